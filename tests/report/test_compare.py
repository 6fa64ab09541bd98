from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis import compare
from snnhpo_mpi.analysis.summary import summarise
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import comparison
from snnhpo_mpi.report.labels import for_matplotlib
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
    lines = comparison.as_table(compared).splitlines()
    assert lines[0].split() == [str(studies[0].folder), "other", str(studies[2].folder), str(studies[3].folder)]
    best = next(line for line in lines if line.startswith("best"))
    assert best.split()[1:3] == [f"{summarise(data).best.objective:.4f}" for data in studies[:2]]
    assert best.split()[3:] == ["-", "-"]
    assert any(line.startswith("time to") and line.endswith("never") for line in lines)


def test_studies_of_other_amounts_of_data_are_told_apart(studies: list[StudyData]) -> None:
    small = {"name": "stdp", "dataset": {"name": "digits5000", "train": 300, "held_out": 100}}
    other = replace(studies[1], config={**studies[1].config, "trainer": small})
    row = next(
        line for line in comparison.as_table(compare.compare([studies[0], other])).splitlines() if "samples" in line
    )
    assert row.split()[-4:] == ["1000,", "500", "300,", "100"]
    assert "samples" not in comparison.as_table(compare.compare(studies))


def test_the_json_is_json_without_nan(studies: list[StudyData]) -> None:
    told = json.loads(json.dumps(compare.as_dict(compare.compare(studies)), allow_nan=False))
    assert [one["ended"] for one in told["studies"]] == [int(data.ended.sum()) for data in studies]


@pytest.mark.parametrize("chosen", [[0, 1], [2], [3], [3, 2, 1, 0]])
def test_the_figure_draws_any_studies(studies: list[StudyData], chosen: list[int], tmp_path: Path) -> None:
    compared = compare.compare([studies[i] for i in chosen])
    comparison.write_figure(compared, tmp_path / "new" / "compare.png")
    assert (tmp_path / "new" / "compare.png").read_bytes().startswith(b"\x89PNG")
    assert [ax.get_xlabel().partition(" [")[0] for ax in comparison.draw(compared).axes] == [
        "trials ended", "time", "time of all workers",
    ]  # fmt: skip
    drawn = [str(line.get_label()) for line in comparison.draw(compared).axes[0].lines]
    assert drawn == [for_matplotlib(pool.label) for pool in compare.pools(compared)]


def test_unlike_objectives_are_said_and_share_no_levels(studies: list[StudyData]) -> None:
    own = {"name": "python", "function": "loss.py:evaluate", "constraints": []}
    other = replace(studies[1], config={**studies[1].config, "trainer": own})
    compared = compare.compare([studies[0], other])
    (note, *_) = compare.notes(compared)
    assert "not the same thing" in note and "loss.py:evaluate" in note and "digits5000" in note
    assert compared[0].reached == ()
    table = comparison.as_table(compared)
    assert "objective held-out accuracy objective" in " ".join(table.split())
    assert compare.as_dict(compared)["notes"] == compare.notes(compared)
    assert comparison.draw(compared).axes[0].get_ylabel() == "best feasible objective (not the same)"
    assert compare.notes(compare.compare(studies[:2])) == []


def test_other_limits_of_a_constraint_and_other_data_are_said(studies: list[StudyData]) -> None:
    monitors = [{**monitor, "beta": 0.3} for monitor in studies[0].config["stopping"]]
    loose = replace(studies[1], config={**studies[1].config, "stopping": monitors})
    (note,) = compare.notes(compare.compare([studies[0], loose]))
    assert "the constraints differ" in note and "beta 0.3" in note and "beta 0.1" in note
    mnist = {"name": "stdp", "dataset": {"name": "mnist", "train": 1000, "held_out": 500}}
    (note,) = compare.notes(
        compare.compare([studies[0], replace(studies[1], config={**studies[1].config, "trainer": mnist})])
    )
    assert "of mnist" in note


def test_each_best_has_its_standard_error(studies: list[StudyData]) -> None:
    best = summarise(studies[0]).best
    assert best is not None
    one = compare.as_dict(compare.compare(studies[:1]))["studies"][0]
    assert one["n"] == 500
    assert one["standard_error"] == pytest.approx((best.objective * (1 - best.objective) / 500) ** 0.5)
    line = next(line for line in comparison.as_table(compare.compare(studies)).splitlines() if "standard error" in line)
    assert line.split()[-2:] == ["-", "-"] and float(line.split()[-4]) == pytest.approx(one["standard_error"], rel=0.05)


def test_a_retraining_is_not_compared(studies: list[StudyData]) -> None:
    again = replace(studies[1], config={**studies[1].config, "retrain": {"candidates": [], "networks": None}})
    with pytest.raises(ConfigError, match="is a retraining"):
        compare.compare([studies[0], again])


def seeds(folder: Path, n: int) -> list[StudyData]:
    """Repetitions of one configuration whose bests differ."""
    found = []
    for seed in range(n):
        config = fake_study.config(study={"name": f"scbo-{seed}", "seed": seed})
        data = read(fake_study.written(folder / f"s{seed}", 30 + 5 * seed, configuration=config))
        found.append(replace(data, objectives={"accuracy": data.objective - 0.1 * seed}))
    return found


def test_seeds_of_one_configuration_are_pooled(tmp_path: Path, studies: list[StudyData]) -> None:
    three = seeds(tmp_path, 3)
    other = replace(studies[1], config={**studies[1].config, "budget": {"trials": 999}})
    compared = compare.compare([*three, other], [0.5, 2.0])
    pools = compare.pools(compared)
    assert [pool.label for pool in pools] == ["scbo (3 seeds)", "other"]
    bests = [summarise(data).best for data in three]
    values = [best.objective for best in bests if best is not None]
    pooled, alone = compare.as_dict(compared)["pools"]
    assert pooled["studies"] == ["scbo-0", "scbo-1", "scbo-2"]
    mean, sd = pytest.approx(np.mean(values)), pytest.approx(np.std(values, ddof=1))
    assert pooled["best"] == {"mean": mean, "sd": sd, "n": 3}
    assert alone["best"]["n"] == 1 and alone["best"]["sd"] is None
    assert pooled["reached"][1] == {"objective": 2.0, "n": 0, "seconds": None, "trials": None}
    reached = [one.reached[0].trials for one in compared[:3]]
    assert pooled["reached"][0]["trials"] == pytest.approx(np.mean([n for n in reached if n is not None]))
    table = comparison.as_table(compared)
    assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" in table and "scbo (3 seeds)" in table
    figure = comparison.draw(compared)
    assert [len(ax.collections) for ax in figure.axes] == [1, 1, 1]  # a band of the three, none of the one
    assert [len(ax.lines) for ax in figure.axes] == [2, 2, 2]


def test_the_band_is_that_of_the_steps_at_each_place(tmp_path: Path) -> None:
    compared = compare.compare(seeds(tmp_path, 3))
    (pool,) = compare.pools(compared)
    band = compare.band(pool, "trials")
    for place, mean, low, high in zip(band.at, band.mean, band.low, band.high, strict=True):
        bests = [one.incumbent.best[int(place) - 1] for one in compared]
        assert (mean, low, high) == (pytest.approx(np.mean(bests)), min(bests), max(bests))
    assert band.at[-1] == min(len(one.incumbent.best) for one in compared)
    assert band.at[0] == max(int(np.flatnonzero(~np.isnan(one.incumbent.best))[0]) + 1 for one in compared)


def test_a_study_given_twice_is_no_second_seed(studies: list[StudyData]) -> None:
    pools = compare.pools(compare.compare([studies[0], studies[0], studies[1]]))
    assert [len(pool.members) for pool in pools] == [2, 1]
    assert [one.seed for one in pools[0].members] == [1, 2]


def test_a_pool_without_a_feasible_trial_has_no_line(studies: list[StudyData]) -> None:
    (pool,) = compare.pools(compare.compare([studies[2]]))
    assert len(compare.band(pool, "seconds").at) == 0
    (pool,) = compare.pools(compare.compare([studies[3]]))
    assert len(compare.band(pool, "trials").at) == 0
    (pool,) = compare.pools(compare.compare([studies[2], studies[1]]))  # of which one alone found something
    assert len(pool.members) == 2 and (compare.band(pool, "trials").low == compare.band(pool, "trials").high).all()
