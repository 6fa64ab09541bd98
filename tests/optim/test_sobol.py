"""Designs and the searches without a model."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.optim.sobol import RandomSearch, SobolDesign, SobolSearch, row_key, sobol_points
from snnhpo_mpi.space import Space


def space() -> Space:
    return Space(
        {
            "rate": FloatParameter(type="float", low=1e-4, high=1.0, scale="log"),
            "size": IntParameter(type="int", low=1, high=5),
            "decoder": CategoricalParameter(type="categorical", choices=("a", "b", "c")),
        }
    )


def test_every_half_of_every_axis_holds_half_of_the_design() -> None:
    points = sobol_points(64, 5, np.random.default_rng(1))
    assert ((points < 0.5).sum(axis=0) == 32).all()


def test_a_longer_design_begins_with_the_shorter() -> None:
    design = SobolDesign(3, seed=4)
    first = design[5].copy()
    assert np.isfinite(design[1000]).all()
    assert (design[5] == first).all()


@pytest.mark.parametrize("search", [SobolSearch, RandomSearch])
def test_a_search_repeats_with_its_seed_and_differs_with_another(search: type[SobolSearch | RandomSearch]) -> None:
    def ten(seed: int) -> list[object]:
        optimizer = search(space(), seed)
        return [optimizer.ask().trial for _ in range(10)]

    assert ten(1) == ten(1) != ten(2)


@pytest.mark.parametrize("search", [SobolSearch, RandomSearch])
def test_adopting_the_first_trials_continues_the_search(search: type[SobolSearch | RandomSearch]) -> None:
    one, other = search(space(), 3), search(space(), 3)
    for _ in range(5):
        other.adopt(one.ask().trial)
    assert other.ask().trial == one.ask().trial


def test_a_small_space_is_searched_without_repeats_and_then_repeats() -> None:
    small = Space({"size": IntParameter(type="int", low=1, high=5)})
    optimizer = SobolSearch(small, 0)
    asked = [optimizer.ask().trial.params["size"] for _ in range(7)]
    assert sorted(asked[:5]) == [1, 2, 3, 4, 5]
    assert all(1 <= int(size) <= 5 for size in asked[5:])


def test_rounding_does_not_make_another_point() -> None:
    x = np.array([0.1, 0.2])
    assert row_key(x) == row_key(x + 1e-15)
    assert row_key(x) != row_key(x + 1e-9)
    assert row_key(np.array([0.0])) == row_key(np.array([-0.0]))
