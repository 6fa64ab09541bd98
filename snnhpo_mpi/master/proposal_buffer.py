"""How many proposals to hold ready: few are fresh, many never run out. Pure.

While the optimizer makes one proposal, on average ``rate`` x ``ask seconds`` results arrive and each takes a proposal.
The pool is the smallest for which, with Poisson arrivals, at most ``shortage`` of these moments empty it. Where results
come faster than proposals can be made at leisure, they are to be hurried.
"""

from __future__ import annotations

import math

_LONG_WAIT = 0.01  # of a trial's duration
_HIGHEST_LOAD = 0.7  # share of the time that making proposals at leisure may take
_LOOK, _QUICKEST_LOOK_S, _SLOWEST_LOOK_S = 0.001, 0.0007, 0.003  # the first in times between two results
_OUTLIER = 10.0  # times the mean: a proposal that took longer met with something else
_FADING = 0.99  # of what is known of proposals at leisure, with each hurried one
_WEIGHT = 0.1  # of the newest observation in the running means


class PoolSize:
    """Chooses the pool's size from what it observes."""

    def __init__(self, shortage: float = 0.01) -> None:
        self._shortage = shortage
        self._ask_s = self._unhurried_s = 0.0
        self._interval_s: float | None = None
        self._arrived_at: float | None = None

    def observe_ask(self, seconds: float, hurried: bool = False) -> None:
        """A proposal took this long."""
        self._ask_s = _mean(self._ask_s, seconds)
        if hurried:
            self._unhurried_s *= _FADING  # so that one at leisure is tried again, whatever the last ones met with
        else:
            outlier_s = _OUTLIER * self._unhurried_s or seconds
            self._unhurried_s = _mean(self._unhurried_s, min(seconds, outlier_s))

    def observe_arrival(self, at: float) -> None:
        """A result came at this time [s] of any steady clock."""
        if self._arrived_at is not None:
            interval_s = at - self._arrived_at
            mean_s = self._interval_s
            self._interval_s = interval_s if mean_s is None else mean_s + _WEIGHT * (interval_s - mean_s)
        self._arrived_at = at

    @property
    def look_s(self) -> float:
        """How often to look for results [s]: the oftener, the more of them come."""
        return (
            _SLOWEST_LOOK_S
            if self._interval_s is None
            else max(_QUICKEST_LOOK_S, min(_SLOWEST_LOOK_S, _LOOK * self._interval_s))
        )

    def hurried(self, n_workers: int, n_waiting: int) -> bool:
        """Whether proposals must be cheap: results come too fast for others, or so many workers wait too long.

        Never of one worker, whose search repeats exactly.
        """
        if n_workers <= 1 or self._interval_s is None:
            return False
        too_fast = self._unhurried_s > _HIGHEST_LOAD * self._interval_s
        return too_fast or n_waiting * self._unhurried_s > _LONG_WAIT * self._interval_s * n_workers

    def target(self, n_workers: int) -> int:
        """Proposals to hold ready: 1 to the number of workers, always 1 for one worker."""
        if n_workers <= 1 or self._interval_s is None:
            return 1
        mean = self._ask_s / max(self._interval_s, 1e-6)
        if mean > n_workers:
            return n_workers
        size, probability = 0, math.exp(-mean)
        tail = 1.0  # P(at least `size` arrivals)
        while tail > self._shortage and size < n_workers:
            tail -= probability
            size += 1
            probability *= mean / size
        return max(1, size)


def _mean(mean: float, newest: float) -> float:
    return newest if mean == 0 else mean + _WEIGHT * (newest - mean)
