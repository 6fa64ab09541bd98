"""Which trials wait, which are out, and whether more may be asked. Pure bookkeeping of rank 0."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from snnhpo_mpi.trial import Trial


class Backlog:
    """Trials that were asked and have not ended, and what is left of the budget."""

    def __init__(self, waiting: Sequence[Trial], n_asked: int, budget: int | None, max_sendings: int) -> None:
        """Start with trials of an earlier run.

        Args:
            waiting: asked, not ended; sent before any new one.
            n_asked: trials asked so far, these included.
            budget: trials that may be asked in all, None for no limit.
            max_sendings: a trial whose worker was lost so often ends as lost.
        """
        self._waiting = deque(waiting)
        self._open = {trial.number: trial for trial in waiting}
        self._n_asked = n_asked
        self._budget = budget
        self._max_sendings = max_sendings
        self._n_lost: Counter[int] = Counter()

    @property
    def n_waiting(self) -> int:
        """Trials to send out again."""
        return len(self._waiting)

    @property
    def n_left(self) -> float:
        """How many trials may still be asked."""
        return float("inf") if self._budget is None else max(0, self._budget - self._n_asked)

    @property
    def done(self) -> bool:
        """Whether the budget is used up and every trial has ended."""
        return self.n_left == 0 and not self._open

    def add(self, trial: Trial) -> None:
        """A new trial goes out, or a repeat of one, which is none of the budget's."""
        self._n_asked += not trial.repeat
        self._open[trial.number] = trial

    def close(self) -> None:
        """No more trials may be asked."""
        self._budget = self._n_asked

    def take_waiting(self) -> Trial | None:
        """The next trial that waits, if any; it goes out."""
        return self._waiting.popleft() if self._waiting else None

    def give_back(self, number: int) -> None:
        """A trial did not start where it was sent: it waits, before all others."""
        trial = self._open.get(number)
        if trial is not None and trial not in self._waiting:
            self._waiting.appendleft(trial)

    def lose(self, number: int) -> bool:
        """A trial's worker is lost: it waits for another, unless this happened too often; whether it did."""
        if number not in self._open:
            return False
        self._n_lost[number] += 1
        if self._n_lost[number] >= self._max_sendings:
            return True
        self.give_back(number)
        return False

    def reclaim(self, number: int) -> None:
        """A worker thought lost runs this trial after all: it waits no longer."""
        trial = self._open.get(number)
        if trial is not None and trial in self._waiting:
            self._waiting.remove(trial)

    def end(self, number: int) -> bool:
        """A result came; whether it is the first of a trial that was asked."""
        self.reclaim(number)
        self._n_lost.pop(number, None)
        return self._open.pop(number, None) is not None
