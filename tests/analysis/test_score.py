from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis.progress_line import progress_line
from snnhpo_mpi.analysis.score import n_scored, score, standard_error, with_error
from snnhpo_mpi.analysis.summary import best_dict, best_trials, summarise
from snnhpo_mpi.record import read
from snnhpo_mpi.trial import State


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.813, "0.8130"),
        (0.0694, "0.0694"),
        (0.0003, "0.0003"),
        (1.0, "1.0000"),
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (1e-5, "1e-05"),
        (-0.000012, "-1.2e-05"),
        (0.00345, "0.00345"),
        (1e-300, "1e-300"),
        (9e299, "9e+299"),
        (-1.7e308, "-1.7e+308"),
        (97.53, "97.53"),
        (123.4567, "123.457"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "-"),
    ],
)
def test_digits_fit_the_scale(value: float, text: str) -> None:
    assert score(value) == text


@pytest.mark.parametrize("value", [10.0**power * sign * 1.2345 for power in range(-300, 300, 23) for sign in (1, -1)])
def test_any_score_is_written_shortly_and_to_half_a_percent(value: float) -> None:
    assert len(score(value)) <= 13
    assert float(score(value)) == pytest.approx(value, rel=0.005)


def test_the_standard_error_is_that_of_a_share() -> None:
    assert standard_error(0.63, 500) == pytest.approx(math.sqrt(0.63 * 0.37 / 500))
    assert standard_error(0.63, None) is None
    assert (
        standard_error(-0.1, 500) is None and standard_error(1.1, 500) is None and standard_error(math.nan, 5) is None
    )
    assert with_error(0.63, standard_error(0.63, 500)) == "0.6300 ± 0.022"
    assert with_error(0.63, standard_error(0.63, 10**6)) == "0.6300 ± 0.00048"
    assert with_error(1.0, standard_error(1.0, 20)) == "1.0000"  # "± 0" would promise more than 20 samples can


def test_a_score_has_the_standard_error_of_the_samples_that_it_was_measured_on(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 30))
    (best,) = best_trials(data, 1)
    assert best.n == 500 and best.objectives == {"accuracy": best.objective}
    found = best_dict([best])["best"][0]
    assert found["objectives"] == {"accuracy": found["objective"]}
    assert found["n"] == 500 and found["standard_error"] == standard_error(best.objective, 500)
    stopped = int(np.flatnonzero(data.state == "stopped")[0])
    assert n_scored(data, stopped) == data.metrics["stopped_at"][stopped]  # its running accuracy has its own
    own = replace(
        data,
        config=fake_study.config(trainer={"name": "python", "function": "f.py:f"}),
        n_scored=np.full(data.n_trials, -1),
    )
    assert best_dict(best_trials(own, 1))["best"][0]["standard_error"] is None
    assert "on 500 held-out samples" in summarise(data).chosen_from
    assert summarise(own).chosen_from == f"best of {int(data.feasible.sum())} scores"
    old = replace(data, n_scored=np.full(data.n_trials, -1))  # as of schema 1
    assert best_trials(old, 1)[0].n == 500 and n_scored(old, stopped) is None


def test_the_line_of_a_run_writes_any_scale() -> None:
    counts = {"ended": 1, "budget": None, "feasible": 1, "stopped": 0, "failed": 0, "running": 0}
    assert "best 9e+299 (trial 3)" in progress_line(**counts, best=(9e299, 3), seconds_left=None)
    assert "best -1.2e-05 (trial 3)" in progress_line(**counts, best=(-1.2e-5, 3), seconds_left=None)


@pytest.mark.parametrize("state", [State.STOPPED, State.FAILED, State.COMPLETED])
def test_only_a_completed_baseline_has_a_score(tmp_path: Path, state: State) -> None:
    from snnhpo_mpi.report import conclusion, page, terminal
    from snnhpo_mpi.report.figures import incumbent

    configuration = fake_study.config(baseline={"name": "defaults", "params": {}})
    data = read(fake_study.written(tmp_path / "s", 20, configuration=configuration))
    states = data.state.copy()
    states[0] = state.value
    data = replace(data, state=states)
    objective = score(float(data.objective[0]))
    found = incumbent.compute(data)
    assert isinstance(found, incumbent.Found)
    lines = [trace["name"] for chart in incumbent.charts(found) for trace in chart.traces]
    shown = [line.get_label() for axes in incumbent.paper(found).axes for line in axes.lines]
    scored = state is State.COMPLETED
    assert ("defaults" in lines, "defaults" in shown) == (scored, scored)
    assert (f"defaults: {objective}" in page.render_page(data)) == scored
    assert (f"{objective} ± " in terminal.as_text(data).partition("baseline")[2]) == scored
    text = conclusion.conclusion(data)
    assert (f"defaults: {objective}" in text) == scored
    assert scored or "so it has no score (trial 0)" in text
