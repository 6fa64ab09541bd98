"""Random search spaces in which hyperparameters exist only beside some values of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.space import Space

NETWORK: dict[str, dict[str, Any]] = {
    "third_width": {"type": "int", "low": -1, "high": 64, "when": {"layers": [3]}},  # before what decides it
    "layers": {"type": "int", "low": 1, "high": 3},
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam", 1]},
    "momentum": {"type": "float", "low": 0.5, "high": 0.99, "when": {"optimizer": ["sgd"]}},
    "nesterov": {"type": "categorical", "choices": ["on", "off"], "when": {"optimizer": ["sgd"], "layers": [2, 3]}},
    "damping": {"type": "float", "low": 1e-3, "high": 1.0, "scale": "log", "when": {"nesterov": ["off"]}},
    "rate": {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
}
"""Conditions on an int and on a choice, on both, and on what is conditional itself."""

_KINDS: list[dict[str, Any]] = [
    {"type": "float", "low": -1.5, "high": 2.0},
    {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"},
    {"type": "int", "low": -2, "high": 3},
    {"type": "int", "low": 1, "high": 40, "scale": "log"},
    {"type": "categorical", "choices": ["a", "b", "1", 1]},
    {"type": "categorical", "choices": [2.5, "x"]},
]


@st.composite
def spaces(draw: DrawFn) -> dict[str, dict[str, Any]]:
    """Up to seven hyperparameters, in an order in which conditions may come before what they speak of."""
    kinds = draw(st.lists(st.sampled_from(_KINDS), min_size=2, max_size=7))
    space = {f"h{i}": dict(kind) for i, kind in enumerate(kinds)}
    for i, name in enumerate(space):
        deciding = [other for other in list(space)[:i] if space[other]["type"] != "float"]
        for other in draw(st.lists(st.sampled_from(deciding), max_size=2, unique=True)) if deciding else ():
            values = st.sampled_from(values_of(space[other]))
            space[name].setdefault("when", {})[other] = draw(st.lists(values, min_size=1, max_size=3, unique_by=repr))
    shuffled = {name: space[name] for name in draw(st.permutations(list(space)))}
    try:
        Space(shuffled)
    except ConfigError as error:
        assume("can never hold" not in str(error))
        raise
    return shuffled


def values_of(parameter: dict[str, Any]) -> list[Any]:
    return list(parameter.get("choices", ())) or list(range(parameter["low"], parameter["high"] + 1))


def is_right(space: dict[str, dict[str, Any]], params: dict[str, Any]) -> bool:
    """Whether values are of just those hyperparameters that exist beside them: the definition, hyperparameter by
    hyperparameter, without chains."""
    return all(
        (name in params)
        == all(other in params and params[other] in values for other, values in parameter.get("when", {}).items())
        for name, parameter in space.items()
    )


def points(n: int, space: Space, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, space.dim))
