"""Candidates are representable, inside the region, and mostly like the centre."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.optim.candidates import column_groups, draw_candidates, first_unseen, perturbation_mask
from snnhpo_mpi.optim.sobol import row_key
from snnhpo_mpi.space import Space

SPACE = Space(
    {
        "a": FloatParameter(type="float", low=0.0, high=1.0),
        "size": IntParameter(type="int", low=1, high=4),
        "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram")),
        "b": FloatParameter(type="float", low=0.0, high=1.0),
    }
)
CENTER = SPACE.encode({"a": 0.5, "size": 2, "decoder": "vote", "b": 0.1})


def candidates(half: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return draw_candidates(SPACE, CENTER, np.clip(CENTER - half, 0, 1), np.clip(CENTER + half, 0, 1), 500, rng)


def test_columns_of_a_categorical_belong_together() -> None:
    assert column_groups(SPACE).tolist() == [0, 1, 2, 2, 2, 3]


def test_floats_stay_in_the_region() -> None:
    X = candidates(0.05)
    assert np.abs(X[:, [0, 5]] - CENTER[[0, 5]]).max() <= 0.05 + 1e-12


def test_even_a_tiny_region_reaches_the_neighbouring_ints_and_every_choice() -> None:
    sizes = {(p["size"], p["decoder"]) for p in map(SPACE.decode, candidates(1e-3))}
    assert {s for s, _ in sizes} == {1, 2, 3}
    assert {d for _, d in sizes} == {"all", "vote", "2gram"}


def test_every_candidate_is_representable() -> None:
    X = candidates(0.4)
    assert (SPACE.snap(X) == X).all()


@pytest.mark.parametrize("h", [2, 19, 200])
def test_each_candidate_moves_at_least_one_and_many_move_few(h: int) -> None:
    moved = perturbation_mask(1000, h, np.random.default_rng(0)).sum(axis=1)
    assert moved.min() >= 1 and moved.max() <= h
    assert (moved == 1).mean() > 0.1 and (moved > h / 2).mean() > 0.1


def test_a_seen_row_is_passed_over() -> None:
    X = np.array([[0.1], [0.2], [0.3]])
    assert first_unseen(X, {row_key(X[0])}) == pytest.approx([0.2])
    assert first_unseen(X, {row_key(x) for x in X}) is None
