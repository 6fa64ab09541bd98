"""Ask a given list of configurations in order, as taken from another record."""

from __future__ import annotations

import math
from collections.abc import Sequence

from snnhpo_mpi.trial import Outcome, Params, Proposal, Trial, trial_seed


class Replay:
    """Trial i has the params of entry i of the list; nothing is learnt."""

    def __init__(self, trials: Sequence[Params], seed: int) -> None:
        """Keep the list.

        Args:
            trials: params of each trial to ask.
            seed: of the study; the trials' seeds come from it and not from the other record.
        """
        self._trials = tuple(dict(params) for params in trials)
        self._seed = seed
        self._next_number = self._n_told = 0

    def __len__(self) -> int:
        """How many trials can be asked at all."""
        return len(self._trials)

    def adopt(self, trial: Trial) -> None:
        """Count a trial asked elsewhere as asked."""
        self._next_number = max(self._next_number, trial.number + 1)

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial, which was never sent."""
        self._next_number = trial.number

    def ask(self, hurried: bool = False) -> Proposal:
        """Next trial of the list.

        Raises:
            IndexError: the list is at its end; a study's budget is at most ``len(replay)``.
        """
        number = self._next_number
        if number >= len(self._trials):
            raise IndexError(f"the replayed list has {len(self._trials)} trials; trial {number} was asked")
        trial = Trial(number, self._trials[number], trial_seed(self._seed, number))
        self.adopt(trial)
        return Proposal(trial, self._n_told)

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """Count the answer; nothing is learnt from it."""
        self._n_told += 1
