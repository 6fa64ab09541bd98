"""A user's own optimizer: what it is asked and told, and what is said of one that does not work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.optim.own_optimizer import OwnOptimizer
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State, Trial

SPACE = Space(
    {
        "rate": FloatParameter(type="float", low=0.0, high=1.0),
        "size": IntParameter(type="int", low=1, high=50),
        "decoder": CategoricalParameter(type="categorical", choices=("all", "vote")),
    }
)
WHERE = "optimizer.function: mine.py:Mine"
FINE = {"rate": 0.5, "size": 7, "decoder": "vote"}


class Mine:
    def __init__(self, space: Space, constraints: list[str], seed: int) -> None:
        self.space, self.constraints, self.seed = space, constraints, seed
        self.asked: list[tuple[int, list[int]]] = []
        self.told: list[tuple[Trial, Outcome, float]] = []

    def ask(self, number: int, pending: list[Trial]) -> Any:
        self.asked.append((number, [trial.number for trial in pending]))
        return {"size": np.int64(number + 1), "rate": np.float32(0.25), "decoder": "all"}

    def tell(self, trial: Trial, outcome: Outcome, seconds: float) -> None:
        self.told.append((trial, outcome, seconds))


def own(make: Any = Mine) -> OwnOptimizer:
    return OwnOptimizer(make, SPACE, ["silent"], 5, WHERE)


def end(number: int) -> Outcome:
    return Outcome(number, State.COMPLETED, {"accuracy": 0.5}, (-1.0,))


def test_it_is_asked_with_what_is_out_and_told_what_each_trial_gave() -> None:
    search = own()
    theirs = search._own
    assert theirs.space is SPACE and theirs.constraints == ["silent"] and theirs.seed == 5
    baseline = Trial(0, FINE, 9)
    search.adopt(baseline)  # which it was not asked for
    second, third = search.ask(), search.ask()
    assert second.trial.params == {"rate": 0.25, "size": 2, "decoder": "all"}
    assert [type(value) for value in second.trial.params.values()] == [float, int, str]
    search.withdraw(third.trial)
    search.tell(end(0), 2.5)
    search.tell(end(0), 2.5)  # a second time
    assert search.ask().n_told == 2
    assert theirs.asked == [(1, [0]), (2, [0, 1]), (2, [1])]
    assert theirs.told == [(baseline, end(0), 2.5)]


def test_a_resume_asks_the_same_of_one_that_follows_from_what_it_was_told() -> None:
    class Best(Mine):
        def ask(self, number: int, pending: list[Trial]) -> Any:
            rng = np.random.default_rng([self.seed, number])
            best = max((trial.params["size"] for trial, *_ in self.told), default=1)
            return {"size": rng.integers(best, 51), "rate": rng.random() / (1 + len(pending)), "decoder": "vote"}

    uncut, resumed = own(Best), own(Best)
    trials = [uncut.ask().trial for _ in range(3)]
    for optimizer in (uncut, resumed):
        if optimizer is resumed:
            for trial in trials:
                optimizer.adopt(trial)
        optimizer.tell(end(1))
    assert uncut.ask() == resumed.ask()


class NoTell:
    def __init__(self, space: Space, constraints: list[str], seed: int) -> None: ...

    def ask(self, number: int, pending: list[Trial]) -> Any: ...


class OldAsk(Mine):
    def ask(self) -> Any:  # type: ignore[override]
        return FINE


class Raising(Mine):
    def __init__(self, space: Space, constraints: list[str], seed: int) -> None:
        raise RuntimeError("no licence")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (NoTell, r" has no tell: write def tell\(self, trial, outcome, seconds\)"),
        (OldAsk, r": Mine\.ask takes \(\) -> 'Any': too many .* it is called as Mine\.ask\(number, pending\)"),
        (
            lambda space: Mine(space, [], 1),
            r": Mine takes \(space\): .*; it is called as Mine\(space, constraints, seed\)",
        ),
        (Raising, r": making it raised RuntimeError: no licence"),
    ],
)
def test_one_that_cannot_be_used_is_refused_before_any_trial(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{WHERE}{message}"):
        own(make)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "ask returned for trial 0 None; a dict of the values of rate, size, decoder is expected"),
        ([1.0] * 100, r"ask returned for trial 0 \[1\.0, .*\.\.\.; a dict"),
        ({"rate": 0.5}, "not in the space: exactly rate, size, decoder must have values, found rate"),
        (FINE | {"more": 1}, "found rate, size, decoder, more"),
        (FINE | {"rate": 1.5}, r"not in the space: rate = 1\.5: must lie in its bounds 0 to 1"),
        (FINE | {"rate": math.nan}, "rate = nan: must lie in its bounds"),
        (FINE | {"size": 7.5}, r"size = 7\.5: an integer is needed"),
        (FINE | {"decoder": "none"}, "decoder = 'none': one of all, vote is allowed"),
        (FINE | {"rate": [0.5]}, r"rate = \[0\.5\]; a number or text is expected"),
        (FINE | {"rate": np.zeros(2)}, "rate = array.*; a number or text is expected"),
    ],
)
def test_an_answer_that_is_no_point_of_the_space_is_said(answer: Any, message: str) -> None:
    class Odd(Mine):
        def ask(self, number: int, pending: list[Trial]) -> Any:
            return answer

    with pytest.raises(ConfigError, match=f"^{WHERE}: .*{message}"):
        own(Odd).ask()


def test_what_it_raises_is_said_with_its_place() -> None:
    class Raises(Mine):
        def ask(self, number: int, pending: list[Trial]) -> Any:
            return {} if number else [][number]

        def tell(self, trial: Trial, outcome: Outcome, seconds: float) -> None:
            raise KeyError("momentum")

    search = own(Raises)
    with pytest.raises(ConfigError, match=rf"^{WHERE}: ask\(0, pending\) raised IndexError: list index out of range"):
        search.ask()
    search.adopt(Trial(0, FINE, 1))
    with pytest.raises(ConfigError, match=rf"^{WHERE}: tell, trial 0 raised KeyError: 'momentum'"):
        search.tell(end(0))
