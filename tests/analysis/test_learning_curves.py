"""Reports of trials as curves, and what stopping and pruning saved, apart."""

from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis.learning_curves import learning_curves
from snnhpo_mpi.analysis.summary import status_dict, summarise
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import conclusion, terminal
from snnhpo_mpi.report.figures import learning_curves as figure
from snnhpo_mpi.report.page import render_page
from snnhpo_mpi.trial import Asked, Ended, Event, Interim, Outcome, Reported, Started, State

STATES = (State.COMPLETED, State.PRUNED, State.STOPPED, State.COMPLETED)


def events() -> list[Event]:
    found: list[Event] = []
    for number, state in enumerate(STATES):
        found += [Asked(fake_study.trial(number), fake_study.T0), Started(number, 1, fake_study.T0)]
        for position, score in ((250, 0.2), (354, None), (500, 0.3 + 0.1 * number)):
            found.append(Reported(Interim(number, position, 1.0, score), 1, fake_study.T0))
        if number == 1:  # it was sent again
            found += [Started(number, 2, fake_study.T0), Reported(Interim(1, 250, 1.0, 0.2), 2, fake_study.T0)]
        metrics = {"n_samples": 500.0, "n_samples_planned": 2000.0, "train_seconds": 10.0 * (number + 1)}
        outcome = Outcome(number, state, {"accuracy": 0.5}, (-0.1, -0.1), metrics)
        found.append(Ended(outcome, 1, fake_study.T0 + 50.0, 10.0))
    return [event for event in found if not (isinstance(event, Reported) and event.number == 3)]


@pytest.fixture
def data(tmp_path: Path) -> StudyData:
    clock = fake_study.Clock(fake_study.T0)
    with fake_study.at(clock):
        record = fake_study.create(tmp_path / "s")
        record.append(*events())
        record.close("complete")
    return read(tmp_path / "s")


def test_a_curve_has_each_report_once_and_says_how_its_trial_ended(data: StudyData) -> None:
    found = learning_curves(data)
    assert [(curve.number, curve.kind) for curve in found] == [(0, "feasible"), (1, "pruned"), (2, "stopped early")]
    for curve in found:
        np.testing.assert_array_equal(curve.position, [250, 500])
        np.testing.assert_allclose(curve.score, [0.2, 0.3 + 0.1 * curve.number])


def test_what_pruning_saved_and_what_stopping_saved_are_told_apart(data: StudyData) -> None:
    summary = summarise(data)
    assert (summary.pruned_seconds, summary.saved_seconds) == (60.0, 90.0)  # three quarters are left of each
    assert status_dict(summary)["saved_seconds"] == {"stopped": 90.0, "pruned": 60.0}
    text = conclusion.conclusion(data)
    assert "stopping them early saved 1 min 30 s" in text
    assert "pruned   1 of 4 trials, which could not win; that saved 1 min" in text
    assert "1 of 4 trials, 1 min of training saved" in terminal.as_text(data).replace("60 s", "1 min")


def test_the_figure_has_a_line_and_marks_for_each_kind(data: StudyData) -> None:
    found = figure.compute(data)
    assert found is not None
    (chart,) = figure.charts(found)
    names = [trace["name"] for trace in chart.traces if trace["mode"] == "markers"]
    assert names == ["feasible: trained to the end", "stopped early: a monitor stopped it", "pruned: could not win"]
    pruned = next(trace for trace in chart.traces if trace["mode"] == "markers" and "pruned" in trace["name"])
    assert (pruned["x"], pruned["y"], pruned["customdata"]) == ([500.0], [0.4], [1])
    drawn = figure.paper(found)
    assert drawn.axes[0].get_xscale() == "log"
    drawn.canvas.draw()
    labels = [label.get_text() for label in drawn.axes[0].get_xticklabels(which="both")]
    assert "500" in labels and all(label.replace(",", "").isdigit() for label in labels if label)
    assert "What trials reported" in render_page(data)


def test_a_study_without_reports_has_no_such_figure(tmp_path: Path) -> None:
    assert figure.compute(read(fake_study.written(tmp_path / "s", 3))) is None
