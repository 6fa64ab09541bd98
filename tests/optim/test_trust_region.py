"""The trust region follows hand-computed traces."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.settings import RegionSettings
from snnhpo_mpi.optim.trust_region import TrustRegion, box, first_region, relative_sides, step


def region(failure_tolerance: int, length: float = 0.8, length_min: float = 0.5**7) -> TrustRegion:
    return TrustRegion(RegionSettings(length_min=length_min), failure_tolerance, length)


def lengths(region: TrustRegion, answers: str) -> list[float]:
    """Lengths after each of the answers, ``+`` for an improvement, all proposed in the region of their time."""
    trace = []
    for answer in answers:
        region = step(region, answer == "+", region.generation)
        trace.append(region.length)
    return trace


def test_three_improvements_in_a_row_double_the_length_up_to_its_maximum() -> None:
    assert lengths(region(2), "+++++++++") == [0.8, 0.8, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6, 1.6]


def test_failures_in_a_row_halve_the_length() -> None:
    assert lengths(region(2), "-----") == [0.8, 0.4, 0.4, 0.2, 0.2]


def test_an_improvement_forgives_the_failures_before_it() -> None:
    assert lengths(region(2), "-+-+-") == [0.8] * 5


def test_the_region_is_never_shorter_than_its_minimum() -> None:
    assert lengths(region(1, 0.1, 0.05), "---") == [0.05, 0.05, 0.05]


def test_failures_since_the_last_improvement_are_counted_beyond_changes_of_the_length() -> None:
    now = region(2)
    fruitless = []
    for answer in "-----+--+++-":
        now = step(now, answer == "+", now.generation)
        fruitless.append(now.fruitless)
    assert fruitless == [1, 2, 3, 4, 5, 0, 1, 2, 0, 0, 0, 1]


def test_failures_of_trials_from_an_earlier_length_do_not_count() -> None:
    first = step(region(1), False, 0)
    assert step(first, False, 0) == first
    assert step(first, False, 1).length == 0.2


def test_an_improvement_from_an_earlier_length_counts() -> None:
    first = step(region(1), False, 0)
    assert step(first, True, 0).success_counter == 1


def test_many_hyperparameters_are_given_more_failures() -> None:
    assert first_region(2, RegionSettings()).failure_tolerance == 4
    assert first_region(19, RegionSettings()).failure_tolerance == 19


def test_sides_are_in_proportion_to_the_lengthscales_with_unit_volume() -> None:
    sides = relative_sides(np.array([1.0, 4.0]), 10.0)
    assert sides == pytest.approx([0.5, 2.0])


def test_one_irrelevant_hyperparameter_does_not_flatten_the_region() -> None:
    sides = relative_sides(np.array([0.1] * 5 + [1e9] * 5), 10.0)
    assert sides.max() / sides.min() <= 100.0 + 1e-9


def test_the_box_is_cut_to_the_cube() -> None:
    lower, upper = box(np.array([0.1, 0.5]), 0.4, np.array([1.0, 1.0]))
    assert lower == pytest.approx([0.0, 0.3])
    assert upper == pytest.approx([0.3, 0.7])
