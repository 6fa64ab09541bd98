"""Where a hyperparameter does not exist, nothing is decoded and models see one value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conditional_spaces import NETWORK, is_right, points, spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.optim.sobol import row_key
from snnhpo_mpi.space import Space

SPACE = Space(NETWORK)
SEEDS = st.integers(0, 2**32 - 1)


@settings(deadline=None)
@given(spaces(), SEEDS)
def test_a_point_decodes_to_just_those_hyperparameters_that_exist_beside_the_rest(
    given_space: dict[str, Any], seed: int
) -> None:
    space = Space(given_space)
    for x in points(8, space, seed):
        params = space.decode(x)
        assert is_right(given_space, params)
        assert list(params) == [name for name in given_space if name in params]
        assert space.typed(params) == params


@settings(deadline=None)
@given(spaces(), SEEDS)
def test_decoding_and_encoding_meet_at_the_snapped_point(given_space: dict[str, Any], seed: int) -> None:
    space = Space(given_space)
    X = points(8, space, seed)
    snapped = space.snap(X)
    for x, at in zip(X, snapped, strict=True):
        params = space.decode(x)
        np.testing.assert_allclose(space.encode(params), at, rtol=0, atol=1e-9)
        again = space.decode(space.encode(params))
        assert list(again) == list(params)
        assert {name: again[name] for name in again if not isinstance(again[name], float)} == {
            name: params[name] for name in params if not isinstance(params[name], float)
        }
    np.testing.assert_array_equal(space.snap(snapped), snapped)


@settings(deadline=None)
@given(spaces(), SEEDS)
def test_points_that_differ_in_what_does_not_exist_alone_are_the_same_trial(
    given_space: dict[str, Any], seed: int
) -> None:
    space = Space(given_space)
    X, other = points(8, space, seed), points(8, space, seed + 1)
    there = space.existing(X)
    moved = np.where(there, X, other)
    for x, y in zip(X, moved, strict=True):
        assert space.decode(x) == space.decode(y)
        assert row_key(space.snap(x[None])[0]) == row_key(space.snap(y[None])[0])
    assert (space.snap(X)[~there] == np.broadcast_to(space.absent, X.shape)[~there]).all()


@settings(deadline=None)
@given(spaces(), SEEDS)
def test_a_hyperparameter_can_be_made_to_exist(given_space: dict[str, Any], seed: int) -> None:
    space, rng = Space(given_space), np.random.default_rng(seed)
    X = points(8, space, seed)
    for name in space.names:
        made = space.made_to_exist(name, X, rng)
        assert space.exists(name, made).all()
        assert all(name in space.decode(x) for x in made)
        already = space.exists(name, X)
        np.testing.assert_array_equal(made[already], X[already])


def test_a_space_without_conditions_has_no_absent_columns() -> None:
    space = Space({name: {k: v for k, v in one.items() if k != "when"} for name, one in NETWORK.items()})
    assert space.needs == {}
    assert space.existing(points(4, space)).all()


def test_the_value_of_the_absent_is_the_middle() -> None:
    x = SPACE.encode({"layers": 1, "optimizer": "adam", "rate": 0.1})
    columns = SPACE.columns
    assert x[columns["momentum"]] == x[columns["third_width"]] == x[columns["damping"]] == 0.5
    assert x[columns["nesterov"]].tolist() == [0.5, 0.5]
    assert SPACE.decode(x).keys() == {"layers", "optimizer", "rate"}


def test_a_chain_ends_where_its_beginning_does_not_hold() -> None:
    assert SPACE.needs["damping"] == {"nesterov": ("off",), "optimizer": ("sgd",), "layers": (2, 3)}
    params = {"layers": 1, "optimizer": "sgd", "nesterov": "off", "damping": 0.1, "momentum": 0.9, "rate": 0.1}
    assert SPACE.typed(params) == {"layers": 1, "optimizer": "sgd", "momentum": 0.9, "rate": 0.1}


@pytest.mark.parametrize("given", [1, 1.0])
def test_a_condition_compares_values_and_not_types(given: float) -> None:
    space = Space({"k": {"type": "categorical", "choices": [1, "1"]},
                   "x": {"type": "float", "low": 0, "high": 1, "when": {"k": [given]}}})  # fmt: skip
    assert "x" in space.decode(np.array([1.0, 0.0, 0.3])) and "x" not in space.decode(np.array([0.0, 1.0, 0.3]))
