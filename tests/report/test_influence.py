from __future__ import annotations

from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.record import read
from snnhpo_mpi.report.influence import FEWEST_TRIALS, explained, influences


def test_a_group_that_decides_explains_all() -> None:
    group = np.repeat([0, 1], 20)
    assert explained(group, group.astype(float)) == pytest.approx(1.0)


def test_the_share_is_that_of_a_sum_by_hand() -> None:
    group, y = np.repeat([0, 1], 10), np.tile([0.0, 1.0], 10)
    y[:10] += 1.0
    # within: 20 values 1/2 from their group's mean; in all: between the means, 1/2 from the mean, as much again
    assert explained(group, y) == pytest.approx(1 - 0.5 * 19 / 18)


def test_chance_explains_nothing_on_average() -> None:
    rng = np.random.default_rng(0)
    shares = [explained(rng.integers(0, 5, 60), rng.normal(size=60)) for _ in range(200)]
    assert np.mean(shares) < 0.04


@pytest.mark.parametrize("y", [np.zeros(40), np.empty(0), np.arange(FEWEST_TRIALS - 1.0)])
def test_too_little_is_not_judged(y: np.ndarray) -> None:
    assert np.isnan(explained(np.arange(len(y)) % 2, y))


def test_the_threshold_that_makes_networks_silent_is_found(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 150))
    by_name = {one.name: one.silence for one in influences(data)}
    assert max(by_name, key=lambda name: by_name[name]) == "e_thresh"
