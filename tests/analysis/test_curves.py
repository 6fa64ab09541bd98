from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis import curves, points, timeline
from snnhpo_mpi.analysis.summary import saved_seconds
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import looks


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read(fake_study.written(tmp_path_factory.mktemp("done") / "s", 40))


def test_the_incumbent_never_gets_worse_and_comes_from_feasible_trials(done: StudyData) -> None:
    told = curves.incumbent(done)
    best = told.best[~np.isnan(told.best)]
    assert (np.diff(best) >= 0).all()
    assert set(best) <= set(done.objective[done.feasible])
    assert (np.diff(told.seconds) >= 0).all()
    assert told.worker_seconds[-1] == pytest.approx(np.nansum(done.seconds))


def test_by_number_and_by_time_lead_to_the_same_best(done: StudyData) -> None:
    assert curves.incumbent(done).best[-1] == curves.incumbent_by_number(done).best[-1]
    assert (np.diff(curves.incumbent_by_number(done).row) > 0).all()


def test_each_trial_ends_when_so_much_was_spent_by_all_workers(done: StudyData) -> None:
    spent = curves.spent_by(curves.incumbent(done), done.n_trials)
    assert np.array_equal(~np.isnan(spent), done.ended)
    row = int(np.flatnonzero(done.ended)[7])
    assert spent[row] == pytest.approx(np.nansum(done.seconds[done.ended_at <= done.ended_at[row]]))


def test_silent_shares_are_those_of_a_count_by_hand(done: StudyData) -> None:
    told = curves.silence(done, saved_seconds(done))
    rows = [row for row in curves.ended_rows(done) if done.state[row] in ("completed", "stopped")]
    stopped = [done.state[row] == "stopped" for row in rows]
    for k in (1, 5, 12, len(rows)):
        latest = stopped[max(0, k - told.window) : k]
        assert told.total_share[k - 1] == pytest.approx(sum(stopped[:k]) / k)
        assert told.recent_share[k - 1] == pytest.approx(sum(latest) / len(latest))


def test_lanes_hold_every_ended_trial_once_and_do_not_overlap(done: StudyData) -> None:
    lanes = timeline.lanes(done)
    assert sorted(row for lane in lanes for row in lane.row) == np.flatnonzero(done.ended).tolist()
    for lane in lanes:
        assert (lane.begin[1:] >= lane.end[:-1] - 1e-6).all()
        assert 0 < lane.busy_share <= 1


def test_a_lane_ends_now_for_a_running_trial(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 12, live=True))
    rows = {int(row) for lane in timeline.lanes(data) for row in lane.row}
    assert set(np.flatnonzero(data.state == "running")) <= rows


def test_elapsed_time_skips_breaks_and_keeps_absent_times() -> None:
    runs = [timeline.Window(100.0, 200.0, 0.0, False), timeline.Window(1000.0, 1100.0, 100.0, False)]
    at = np.array([100.0, 150.0, 500.0, 1010.0, np.nan, 50.0])
    np.testing.assert_array_equal(timeline.elapsed(runs, at), [0.0, 50.0, 100.0, 110.0, np.nan, 0.0])


def test_every_trial_that_was_sent_out_is_of_one_kind(done: StudyData) -> None:
    rows = np.concatenate([rows for _, rows in points.by_kind(done)])
    assert sorted(rows) == np.flatnonzero(done.state != "asked").tolist()


def test_kinds_differ_in_colour_and_in_marker() -> None:
    kinds = (looks.FEASIBLE, looks.INFEASIBLE, looks.STOPPED, looks.FAILED, looks.RUNNING)
    for part in ("name", "colour", "marker", "symbol"):
        assert len({getattr(look, part) for look in kinds}) == len(kinds)


def test_thinning_keeps_both_ends_and_the_order() -> None:
    kept = points.thinned(np.arange(1000), 10)
    assert len(kept) == 10 and kept[0] == 0 and kept[-1] == 999 and (np.diff(kept) > 0).all()
    assert points.thinned(np.arange(5), 10).tolist() == [0, 1, 2, 3, 4]


def test_axes_put_each_value_at_its_place_in_the_search(done: StudyData) -> None:
    axes = {axis.name: axis for axis in points.axes(done)}
    assert list(axes) == list(fake_study.PARAMETERS)
    place = (np.log(done.params["nu_pre"]) - np.log(1e-4)) / np.log(100)
    np.testing.assert_allclose(axes["nu_pre"].position, place, atol=1e-12)
    choices = axes["decoder"].choices
    np.testing.assert_allclose(
        axes["decoder"].position, [(choices.index(str(v)) + 0.5) / 4 for v in done.params["decoder"]]
    )


def test_a_study_without_its_configuration_still_has_points(done: StudyData) -> None:
    assert points.axes(replace(done, config={})) == []
