"""No optimizer proposes what does not exist, in any space; where it exists, it is searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conditional_spaces import NETWORK, is_right, points, spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.interfaces import Box, Optimizer
from snnhpo_mpi.optim.candidates import draw_candidates, widened
from snnhpo_mpi.optim.engines import engine_of
from snnhpo_mpi.optim.mixed_climb import climb_mixed
from snnhpo_mpi.optim.optuna_search import OptunaSearch
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.settings import DEFAULTS, changed
from snnhpo_mpi.optim.sobol import RandomSearch, SobolSearch
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State, Trial

SPACE = Space(NETWORK)
MAKERS: dict[str, Callable[[Space, int], Optimizer]] = {
    "sobol": SobolSearch,
    "random": RandomSearch,
    "scbo": lambda space, seed: ScboSearch(space, 1, seed, 4),
    "optuna_tpe": lambda space, seed: OptunaSearch("optuna_tpe", space, 1, seed, 4),
}


def scored(trial: Trial) -> Outcome:
    """Depends on which hyperparameters there are and on their values; now and then infeasible, stopped or failed."""
    value = sum(len(name) * (hash_of(v) % 7) for name, v in trial.params.items()) / 50
    state = (State.COMPLETED, State.COMPLETED, State.STOPPED, State.FAILED)[trial.number % 4 if trial.number > 2 else 0]
    if state is State.FAILED:
        return Outcome(trial.number, state)
    return Outcome(trial.number, state, {"accuracy": value}, (0.3 - value % 1,))


def hash_of(value: float | int | str) -> float:
    return float(sum(map(ord, value))) if isinstance(value, str) else abs(float(value)) * 3


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=6, deadline=None)
@given(given_space=spaces(), seed=st.integers(0, 1000))
def test_every_trial_has_just_what_exists(name: str, given_space: dict[str, Any], seed: int) -> None:
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    space = Space(given_space)
    optimizer = MAKERS[name](space, seed)
    for i in range(14):
        trial = optimizer.ask(hurried=i % 5 == 4).trial
        assert is_right(given_space, dict(trial.params))
        assert space.decode(space.encode(trial.params)).keys() == trial.params.keys()
        if i % 3:
            optimizer.tell(scored(trial))


def test_optunas_gaussian_process_proposes_just_what_exists() -> None:
    pytest.importorskip("optuna")
    optimizer = OptunaSearch("optuna_gp", SPACE, 1, 1, 4)
    for i in range(7):
        trial = optimizer.ask().trial
        assert is_right(NETWORK, dict(trial.params))
        if i % 3:
            optimizer.tell(scored(trial))


def goal(trial: Trial) -> Outcome:
    """Best with sgd, three layers, a momentum near 0.9 and a third layer of 20."""
    p = trial.params
    value = -((np.log10(float(p["rate"])) + 2) ** 2)
    value -= (float(p["momentum"]) - 0.9) ** 2 * 20 if "momentum" in p else 1.0
    value -= ((float(p["third_width"]) - 20) / 40) ** 2 if "third_width" in p else 1.0
    return Outcome(trial.number, State.COMPLETED, {"accuracy": value}, ())


@pytest.mark.parametrize(("engine", "n"), [("fast", 40), ("library", 14)])
def test_it_finds_the_branch_with_more_hyperparameters_and_tunes_them(engine: str, n: int) -> None:
    optimizer = ScboSearch(SPACE, 0, 1, 10, changed([f"engine={engine}"]))
    best, at = -np.inf, {}
    for _ in range(n):
        trial = optimizer.ask().trial
        assert is_right(NETWORK, dict(trial.params))
        outcome = goal(trial)
        if float(outcome.objective or 0) > best:
            best, at = float(outcome.objective or 0), dict(trial.params)
        optimizer.tell(outcome)
    assert at["optimizer"] == "sgd" and at["layers"] == 3
    assert best > (-0.1 if engine == "fast" else -0.5)  # the library's takes seconds a proposal


def test_no_two_trials_of_a_small_space_differ_in_nothing_that_exists() -> None:
    """Nine configurations: of a's eight beside ``on`` each its own, and one beside ``off``."""
    space = Space(
        {
            "a": {"type": "int", "low": 1, "high": 8, "when": {"switch": ["on"]}},
            "switch": {"type": "categorical", "choices": ["on", "off"]},
        }
    )
    optimizer = ScboSearch(space, 0, 3, 3)
    asked = [optimizer.ask().trial for _ in range(9)]
    assert len({tuple(sorted(trial.params.items())) for trial in asked}) == 9


def test_what_the_centre_lacks_takes_any_value_where_it_comes_to_exist() -> None:
    center = SPACE.encode({"layers": 1, "optimizer": "adam", "rate": 0.01})
    box = center - 0.1, center + 0.1
    X = draw_candidates(SPACE, center, *np.clip(box, 0, 1), 400, np.random.default_rng(0))
    there = SPACE.exists("momentum", X)
    momentum = X[there, SPACE.columns["momentum"]]
    assert there.sum() > 30
    assert momentum.min() < 0.1 and momentum.max() > 0.9 and len(np.unique(momentum)) == there.sum()
    assert (
        len(np.unique(X.round(12), axis=0)) > 200
    )  # what is perturbed exists at the centre: few are the centre itself


class Slope:
    """A merit that rises in every column."""

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return Z.sum(axis=1), np.ones_like(Z)


def test_a_climb_leaves_the_absent_where_it_is_and_goes_on_with_what_an_int_brought_about() -> None:
    space = Space(
        {
            "layers": {"type": "int", "low": 1, "high": 3},
            "width": {"type": "float", "low": 0, "high": 1, "when": {"layers": [3]}},
            "first": {"type": "float", "low": 0, "high": 1, "when": {"layers": [1, 2]}},
        }
    )
    start = space.encode({"layers": 1, "first": 0.2})
    box = Box(space, *widened(space, start, np.zeros(space.dim), np.ones(space.dim)))
    found = climb_mixed([Slope(), Slope()], start[None], box, 30, DEFAULTS.local_search)
    assert space.decode(found[0]) == {"layers": 3, "width": 1.0}
    assert found[0, space.columns["first"]] == 0.5


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_librarys_search_sees_the_encoding_of_the_same_trial(seed: int) -> None:
    _encoded = engine_of(changed(["engine=library"]))._encoded  # type: ignore[attr-defined]
    rng = np.random.default_rng(seed)
    X = SPACE.snap(points(5, SPACE, seed))
    native = []
    for name in SPACE.names:  # as the search has them: its own value in what does not exist
        columns = SPACE.columns[name]
        width = columns.stop - columns.start
        own = np.argmax(X[:, columns], axis=1) if width > 1 else X[:, columns.start]
        random = rng.integers(width, size=5) if width > 1 else rng.random(5)
        native.append(np.where(SPACE.exists(name, X), own, random))
    found = _encoded(torch.tensor(np.column_stack(native))[:, None], SPACE)[:, 0].numpy()
    np.testing.assert_array_equal(found, X)
