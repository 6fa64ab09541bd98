"""When so many trials fail that going on is of no use: a row of failures that chance does not explain. Pure.

Notation
    r  failures in a row, at present      f  failures before that row      s  trials completed or stopped
    k  ``budget.max_failures``

A row is too long from ``r = k`` on, and where failing is usual from k times as many on as there are trials to each
finished one, ``k (f + s) / s``: whatever share of the trials fails, a row that long comes by chance once in e^k trials.
"""

from __future__ import annotations

from snnhpo_mpi.trial import Outcome, State


class Failures:
    """Counts the outcomes of a study, in the order of their recording."""

    def __init__(self, most: int | None) -> None:
        """Allow so many failures in a row (k); any number without."""
        self._most = most
        self.in_a_row = 0
        self._n_before = 0
        self._n_finished = 0

    def note(self, outcome: Outcome) -> None:
        """Count an outcome; that a worker was lost says nothing about the evaluation."""
        if outcome.state is State.FAILED:
            self.in_a_row += 1
        elif outcome.state is not State.LOST:
            self.forgive()
            self._n_finished += 1

    def forgive(self) -> None:
        """Begin a new row: of a run that ended for its failures, the cause may be removed."""
        self._n_before += self.in_a_row
        self.in_a_row = 0

    @property
    def too_many(self) -> bool:
        """Whether the row is too long."""
        if self._most is None:
            return False
        usual = (self._n_before + self._n_finished) / self._n_finished if self._n_finished else 1.0
        return self.in_a_row >= self._most * usual
