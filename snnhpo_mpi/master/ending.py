"""Why and when a search ends before its budget is spent: its user stops it, or its time is nearly over. Pure.

From the moment at which it is to stop, nothing new is sent and the running trials may finish for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

_LOOK_S = 1.0  # between two looks at the time left, for which a batch system may have to be asked


class Ending(Enum):
    """Why a search ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    OUT_OF_TIME = "out of time"
    FAILURES = "too many failures"  # in a row
    NO_WORKERS = "no worker can work"  # all said so
    WORKERS_LOST = "no workers left"  # and some were lost

    @property
    def exit_code(self) -> int:
        """Of every rank: 75 (``EX_TEMPFAIL``) when the study should simply be resumed."""
        return {Ending.COMPLETE: 0, Ending.FAILURES: 1, Ending.NO_WORKERS: 1}.get(self, 75)


class Stopping:
    """Whether a search is to stop, how it will have ended, and until when it waits for its running trials."""

    def __init__(
        self, time_left: Callable[[], float | None], grace_s: float, closing_s: float, time_is_budget: bool
    ) -> None:
        """A search that goes on.

        Args:
            time_left: seconds until the job ends, None if nobody knows; called about once a second.
            grace_s: what running trials are given to finish; a search stops so long before the end of its time.
            closing_s: what is left of the time for closing: of a short grace no more than a fifth.
            time_is_budget: the end of the time is the end of the budget, so that nothing is left to resume.
        """
        self._time_left, self._grace_s, self._time_is_budget = time_left, grace_s, time_is_budget
        self._closing_s = min(closing_s, grace_s / 5)
        self._n_requests = 0
        self._end_at = self._until = float("inf")
        self._looked_at = float("-inf")
        self.ending: Ending | None = None  # of a search that is to stop

    def request(self) -> None:
        """The user stops it. For signal handlers."""
        self._n_requests += 1

    @property
    def at_once(self) -> bool:
        """Whether the user insists, and running trials are not waited for."""
        return self._n_requests > 1

    def time_left_s(self, now: float) -> float:
        """Until running trials are given to finish, where the end of the time is that of the budget; else infinite."""
        return self._end_at - self._grace_s - now if self._time_is_budget else float("inf")

    def begins(self, now: float) -> Ending | None:
        """Why the search is to stop from this moment [s] on; None if it goes on, or is to stop already."""
        if now - self._looked_at > _LOOK_S:
            self._looked_at = now
            left_s = self._time_left()
            self._end_at = float("inf") if left_s is None else now + left_s
        reason = None
        if self.ending is None and (self._n_requests or now >= self._end_at - self._grace_s):
            reason = Ending.INTERRUPTED if self._n_requests else Ending.OUT_OF_TIME
            self.ending = Ending.COMPLETE if reason is Ending.OUT_OF_TIME and self._time_is_budget else reason
            self._until = now + self._grace_s
        self._until = min(self._until, self._end_at - self._closing_s)
        return reason

    def is_over(self, now: float) -> bool:
        """Whether running trials are waited for no longer."""
        return now >= self._until
