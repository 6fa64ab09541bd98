from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import page, trials
from snnhpo_mpi.trial import State


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read(fake_study.written(tmp_path_factory.mktemp("done") / "s", 60))


def test_the_table_has_every_trial_with_its_state_score_and_hyperparameters(data: StudyData) -> None:
    table = trials.table(data)
    cells = dict(zip(table["columns"], table["cells"], strict=True))
    assert all(len(column) == data.n_trials for column in table["cells"])
    assert cells["trial"] == data.number.tolist() and table["left_out"] == []
    for row in range(data.n_trials):
        assert (cells["held-out accuracy"][row] is None) == (not data.completed[row])  # a stopped trial has no score
        assert (cells["state"][row] == "feasible") == bool(data.feasible[row])
        assert cells["map_size"][row] == pytest.approx(data.params["map_size"][row], rel=1e-3)
    assert set(cells["decoder"]) <= {"all", "vote", "2gram", "3"}
    assert {*data.constraint_names, "seconds"} <= cells.keys()
    json.dumps(table, allow_nan=False)


def test_a_failed_trial_has_its_reason_and_its_traceback(data: StudyData) -> None:
    table = trials.table(data)
    failed = np.flatnonzero(data.state == State.FAILED.value).tolist()
    assert failed and sorted(table["errors"]) == failed
    for row in failed:
        assert table["errors"][row].startswith("Traceback") and "stdp.py" in table["errors"][row]
        assert table["cells"][-1][row] in table["errors"][row]


def test_a_long_study_shows_its_best_and_its_latest_failures(data: StudyData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MOST_ROWS", 10)
    monkeypatch.setattr(trials, "_MOST_FAILURES", 2)
    rows = trials.chosen(data).tolist()
    failed = np.flatnonzero(np.isin(data.state, ["failed", "lost"])).tolist()
    best = np.argsort(-np.where(data.feasible, data.objective, -np.inf), kind="stable")[:8].tolist()
    assert rows == sorted({*best, *failed[-2:]})
    (note,) = trials.table(data)["left_out"]
    assert note.startswith(f"{data.n_trials - 10} of {data.n_trials} trials")


def test_nothing_in_the_table_ends_its_script_and_a_long_traceback_loses_its_middle(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 16, state=State.FAILED))
    html = page.render_page(data)
    inside = html.partition('id="trials_data">')[2].partition("</script>")[0]
    table = json.loads(inside)
    assert "ValueError: <b>NaN</b> & co" in table["cells"][-1] and "<b>" not in inside
    assert len(trials._middle_left_out("x" * 10**6)) < 4100


def test_contents_name_every_section_of_the_page(data: StudyData) -> None:
    html = page.render_page(data)
    named = {part.partition('"')[0] for part in html.split('<a href="#')[1:]}
    there = {part.partition('"')[0] for part in html.split('<h2 id="')[1:]}
    assert named == there and {"search", "stopping", "constraints", "best", "trials_table", "failures"} <= there


def own_function(data: StudyData) -> StudyData:
    """The completed trials of the study as those of a function of the user's, which violates a constraint at times."""
    n = data.n_trials
    constraint = np.where(np.arange(n) % 3 == 0, 0.2, -0.1)[:, None]
    trainer = {"name": "python", "function": "mine.py:evaluate", "constraints": ["silent"]}
    config = {**data.config, "trainer": trainer, "stopping": [], "space": data.config["space"]}
    cost = np.where(data.completed, np.arange(n, dtype=float), np.nan)
    return replace(
        data, config=config, constraint_names=("silent",), constraints=constraint,
        metrics={"synops": cost, "parameters": np.full(n, 7.0), "accuracy": cost / n},
    )  # fmt: skip


def test_a_function_of_ones_own_has_its_metrics_and_nothing_of_stopping(tmp_path: Path) -> None:
    from snnhpo_mpi.report import conclusion, figures, terminal

    data = own_function(read(fake_study.written(tmp_path / "s", 40, state=State.COMPLETED)))
    computed = {one.name: one for one in figures.compute(data)}
    assert {"metrics", "constraints", "incumbent"} <= computed.keys()
    assert not {"silence", "confusion"} & computed.keys()
    charts = computed["metrics"].drawing.charts(computed["metrics"].found)
    assert [chart.title for chart in charts] == ["synops", "accuracy"]
    assert "parameters = 7" in charts[0].caption
    html = page.render_page(data)
    assert "stopped early" not in html.partition("<script>")[0] and "silent networks" not in html
    share = f"{np.mean(~data.feasible[data.completed]):.0%}".replace("%", " %")
    assert f"<b>{share}</b>infeasible" in html
    for said in (conclusion.conclusion(data), terminal.as_text(data)):
        assert "stopped" not in said and "silent" not in said


def test_a_bound_is_written_as_it_was_configured() -> None:
    from snnhpo_mpi.report.text import bound

    assert [bound(value) for value in (256, 78.4, 1e-4, 0.5, 12345, 1e22)] == [
        "256", "78.4", "0.0001", "0.5", "12345", "1e+22",
    ]  # fmt: skip
