"""Which configurations are trained again at the end of a budget, and which of these trainings are left. Pure.

The finalists are the feasible trials with the largest scores, of equals the earliest. Which these are can change while
the last trials run: then the better one has its trainings too, and those of the other were one too many. The first
training of all of them comes before the second of any, so that a budget that ends too early has some of each. All of it
follows from the events of the record and the seed, so that a resumed study repeats no training and leaves none out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from snnhpo_mpi.trial import (
    Asked,
    Ended,
    Event,
    Outcome,
    Params,
    Repeat,
    Repeated,
    State,
    Trial,
    repeat_number,
    repeat_of,
    trial_seed,
)

SLACK = 1.25  # of the time that finalists are given: times what their trainings in the search took


@dataclass(frozen=True, slots=True)
class Finalist:
    """A trial that may be trained again; ``seconds`` is what it took."""

    number: int
    score: float
    params: Params
    seconds: float


class Finalists:
    """Chooses the trainings from the events of a study, in the order of its record."""

    def __init__(self, count: int = 0, repeats: int = 0, study_seed: int = 0) -> None:
        """So many configurations, so many trainings of each; none by default."""
        self._count, self._repeats, self._seed = count, repeats, study_seed
        self._best: list[Finalist] = []
        self._params: dict[int, Params] = {}  # of trials that are out
        self._out: set[int] = set()  # numbers of repeats that were sent
        self._done: set[tuple[int, int]] = set()  # trial and seed

    def note(self, event: Event) -> None:
        """Take in the next event of the record."""
        if not self._count:
            return
        match event:
            case Asked(trial):
                self._params[trial.number] = trial.params
            case Ended(outcome, seconds=seconds):
                self._rank(outcome, self._params.pop(outcome.number, {}), seconds)
            case Repeated(repeat):
                self._done.add((repeat.number, repeat.seed))

    def _rank(self, outcome: Outcome, params: Params, seconds: float) -> None:
        if not outcome.feasible or outcome.objective is None:
            return
        self._best.append(Finalist(outcome.number, outcome.objective, params, seconds))
        self._best.sort(key=lambda one: (-one.score, one.number))
        del self._best[self._count :]

    def left(self) -> list[Trial]:
        """The trainings that are not recorded, in the order in which they are sent."""
        return list(self._left())

    def _left(self) -> Iterator[Trial]:
        for repeat in range(1, self._repeats + 1):
            for one in self._best:
                seed = trial_seed(self._seed, one.number, repeat)
                if (one.number, seed) not in self._done:
                    yield Trial(repeat_number(one.number, repeat), one.params, seed)

    @property
    def done(self) -> bool:
        """Whether nothing is left, as far as the trials have ended."""
        return next(self._left(), None) is None

    def take(self) -> Trial | None:
        """The next training; it is out from now on. None if all are out or recorded."""
        trial = next((trial for trial in self._left() if trial.number not in self._out), None)
        if trial is not None:
            self._out.add(trial.number)
        return trial

    def seconds(self, n_workers: int) -> float:
        """How long so many workers will take for what is left, by what these configurations took in the search.

        What they run at present has to end first.
        """
        longest_s = max((one.seconds for one in self._best), default=0.0)
        return SLACK * longest_s * (1 + math.ceil(sum(1 for _ in self._left()) / max(1, n_workers)))

    def repeated(self, outcome: Outcome, rank: int, at: float, seconds: float) -> Repeated:
        """What a training gave, as the event of the record."""
        number, repeat = repeat_of(outcome.number)
        seed, scored = trial_seed(self._seed, number, repeat), outcome.state is State.COMPLETED
        score, n_scored = (outcome.objective, outcome.n_scored) if scored else (None, None)
        found = Repeat(number, seed, f"split {repeat}", score, n_scored, outcome.state, outcome.feasible)
        return Repeated(found, rank, at, seconds)
