from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis.partial_dependence import feasible_along
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import page
from snnhpo_mpi.report.figures import feasible
from snnhpo_mpi.trial import State


def searched(folder: Path, n: int, state: State | None = None) -> StudyData:
    """A made-up search whose configuration is complete."""
    trainer = {
        "name": "stdp",
        "dataset": {"name": "digits5000", "train": 200, "held_out": 100},
        "encoding": {"steps": 10, "max_rate_hz": 500.0},
    }
    sections = {key: fake_study.CONFIG[key] for key in ("study", "budget", "optimizer", "stopping", "space")}
    config = StudyConfig.model_validate(sections | {"trainer": trainer})
    return read(fake_study.written(folder, n, state=state, configuration=config.model_dump(mode="json")))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return searched(tmp_path_factory.mktemp("done") / "s", 120)


def test_silence_lies_where_the_threshold_is_high(data: StudyData) -> None:
    along = {one.name: one for one in feasible_along(data)}
    assert list(along) == list(fake_study.PARAMETERS)
    threshold = along["e_thresh"].anywhere  # of the made-up networks, high thresholds are silent, strong drives not
    assert threshold[0] > threshold[-1] + 0.3
    assert along["strength_exc"].anywhere[-1] > along["strength_exc"].anywhere[0]
    assert np.mean(along["e_thresh"].near_best) > np.mean(threshold)
    for one in along.values():
        for curve in (one.anywhere, one.near_best):
            assert curve.shape == one.position.shape and (curve >= 0).all() and (curve <= 1).all()
    assert len(along["decoder"].position) == 4


def test_the_curves_agree_with_what_random_configurations_gave(data: StudyData) -> None:
    expected = np.mean([np.mean(one.anywhere) for one in feasible_along(data)])
    random = [fake_study.outcome(fake_study.trial(number)).feasible for number in range(12)]  # before it learnt
    assert abs(expected - np.mean(random)) < 0.35


def test_the_same_record_gives_the_same_curves(data: StudyData) -> None:
    first, again = feasible_along(data), feasible_along(data)
    assert all(np.array_equal(a.anywhere, b.anywhere) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("n", "state"), [(0, None), (3, None), (30, State.STOPPED), (30, State.FAILED), (30, State.COMPLETED)]
)
def test_without_a_border_there_is_nothing_to_show_and_all_draws(n: int, state: State | None, tmp_path: Path) -> None:
    data = searched(tmp_path / "s", n, state)
    along = feasible_along(data)
    if state is not State.COMPLETED:  # completed networks may be infeasible
        assert along == []
    found = feasible.compute(data)
    assert isinstance(found, str) == (not along)
    if isinstance(found, feasible.Found):
        assert len(feasible.charts(found)) == len(along) and feasible.paper(found).axes


def test_the_page_and_the_figure_show_a_panel_a_hyperparameter(data: StudyData) -> None:
    html = page.render_page(data)
    assert all(f'id="feasible{i}"' in html for i in range(len(fake_study.PARAMETERS)))
    found = feasible.compute(data)
    assert isinstance(found, feasible.Found)
    shown = [ax.get_title() for ax in feasible.paper(found).axes if ax.get_title()]
    assert shown == list(fake_study.PARAMETERS)


def test_a_record_of_another_version_has_no_curves(data: StudyData) -> None:
    assert feasible_along(replace(data, config={"study": {}})) == []
    assert feasible_along(replace(data, constraint_names=())) == []
