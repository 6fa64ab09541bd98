"""Replay asks the list it was given."""

from __future__ import annotations

import pytest

from snnhpo_mpi.optim.replay import Replay
from snnhpo_mpi.trial import Trial, trial_seed

PARAMS = [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}]


def test_the_list_is_asked_in_order_with_the_seeds_of_this_study() -> None:
    replay = Replay(PARAMS, seed=9)
    assert [replay.ask().trial for _ in range(3)] == [Trial(i, PARAMS[i], trial_seed(9, i)) for i in range(3)]


def test_adopted_trials_are_not_asked_again() -> None:
    replay = Replay(PARAMS, seed=9)
    replay.adopt(Trial(1, PARAMS[1], 0))
    assert replay.ask().trial.params == {"x": 3.0}


def test_the_end_of_the_list_is_said() -> None:
    replay = Replay([], seed=9)
    with pytest.raises(IndexError, match="0 trials"):
        replay.ask()
