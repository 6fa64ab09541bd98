from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import compare
from snnhpo_mpi.report.summary import summarise
from snnhpo_mpi.trial import State


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> list[StudyData]:
    folder = tmp_path_factory.mktemp("studies")
    other = fake_study.config(study={"name": "other", "seed": 2})
    return [
        read(fake_study.written(folder / "a", 60)),
        read(fake_study.written(folder / "b", 30, n_workers=2, configuration=other)),
        read(fake_study.written(folder / "c", 12, state=State.STOPPED)),
        read(fake_study.written(folder / "d", 0)),
    ]


def test_levels_are_reached_when_the_first_good_enough_trial_ended(studies: list[StudyData]) -> None:
    data = studies[0]
    level = float(np.sort(data.objective[data.feasible])[-3])
    (one,) = compare.compare([data], [level, 2.0])
    good = data.feasible & (data.objective >= level)
    first = np.nanmin(data.ended_at[good])
    assert one.reached[0].seconds == pytest.approx(first - data.sessions[0].began.at)
    assert one.reached[0].trials == int((data.ended_at <= first).sum())
    assert one.reached[0].worker_seconds == pytest.approx(np.nansum(data.seconds[data.ended_at <= first]))
    assert one.reached[1] == compare.Reached(2.0, None, None, None)


def test_without_levels_each_is_reached_by_all_that_found_anything(studies: list[StudyData]) -> None:
    compared = compare.compare(studies[:2])
    assert len(compared[0].reached) == 4
    assert all(reached.seconds is not None for one in compared for reached in one.reached)


def test_the_table_has_a_column_a_study_and_numbers_of_the_summary(studies: list[StudyData]) -> None:
    compared = compare.compare(studies)
    lines = compare.as_table(compared).splitlines()
    assert lines[0].split() == [str(studies[0].folder), "other", str(studies[2].folder), str(studies[3].folder)]
    best = next(line for line in lines if line.startswith("best"))
    assert best.split()[1:3] == [f"{summarise(data).best.objective:.4f}" for data in studies[:2]]
    assert best.split()[3:] == ["-", "-"]
    assert any(line.startswith("time to") and line.endswith("never") for line in lines)


def test_studies_of_other_amounts_of_data_are_told_apart(studies: list[StudyData]) -> None:
    small = {"name": "stdp", "dataset": {"name": "digits5000", "train": 300, "held_out": 100}}
    other = replace(studies[1], config={**studies[1].config, "trainer": small})
    row = next(
        line for line in compare.as_table(compare.compare([studies[0], other])).splitlines() if "samples" in line
    )
    assert row.split()[-4:] == ["1000,", "500", "300,", "100"]
    assert "samples" not in compare.as_table(compare.compare(studies))


def test_the_json_is_json_without_nan(studies: list[StudyData]) -> None:
    told = json.loads(json.dumps(compare.as_dict(compare.compare(studies)), allow_nan=False))
    assert [one["ended"] for one in told["studies"]] == [int(data.ended.sum()) for data in studies]


@pytest.mark.parametrize("chosen", [[0, 1], [2], [3], [3, 2, 1, 0]])
def test_the_figure_draws_any_studies(studies: list[StudyData], chosen: list[int], tmp_path: Path) -> None:
    compared = compare.compare([studies[i] for i in chosen])
    compare.write_figure(compared, tmp_path / "new" / "compare.png")
    assert (tmp_path / "new" / "compare.png").read_bytes().startswith(b"\x89PNG")
    left, _ = compare.draw(compared).axes
    assert [line.get_label() for line in left.lines] == [one.label for one in compared]
