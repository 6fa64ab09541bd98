"""Who works, on what, and when each was last heard. Pure bookkeeping of rank 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Standing(Enum):
    """What rank 0 thinks of a worker."""

    STARTING = auto()  # not ready for its first trial
    WORKING = auto()  # idle, or with a trial
    LOST = auto()  # silent for too long; may come back
    GONE = auto()  # said goodbye


_PRESENT = (Standing.STARTING, Standing.WORKING)


@dataclass(slots=True)
class Worker:
    """One worker rank, as rank 0 knows it; changed by the roster only, but for when it was heard and where it is."""

    rank: int
    heard_at: float
    standing: Standing = Standing.STARTING
    running: int | None = None  # number of its trial
    host: str = ""

    @property
    def idle(self) -> bool:
        """Whether a trial can be sent to it."""
        return self.standing is Standing.WORKING and self.running is None


class Roster:
    """All worker ranks; every question is answered without going through them."""

    def __init__(self, ranks: Iterable[int], now: float) -> None:
        """Expect these ranks, as if each had been heard ``now`` [s]."""
        self._workers = {rank: Worker(rank, now) for rank in ranks}
        self._idle: dict[int, None] = {}  # in the order in which they became idle
        self._running: Counter[int] = Counter()
        self._standings = Counter(worker.standing for worker in self)

    def __getitem__(self, rank: int) -> Worker:
        return self._workers[rank]

    def __contains__(self, rank: int) -> bool:
        return rank in self._workers

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def update(self, rank: int, standing: Standing, running: int | None) -> None:
        """A worker's standing and trial are now these."""
        worker = self._workers[rank]
        self._standings[worker.standing] -= 1
        self._standings[standing] += 1
        if worker.running is not None:
            self._running[worker.running] -= 1
            if not self._running[worker.running]:
                del self._running[worker.running]
        if running is not None:
            self._running[running] += 1
        worker.standing, worker.running = standing, running
        if worker.idle:
            self._idle[rank] = None
        else:
            self._idle.pop(rank, None)

    @property
    def idle(self) -> list[int]:
        """Ranks without a trial, the one that waits longest first."""
        return list(self._idle)

    @property
    def n_idle(self) -> int:
        """How many ranks have no trial."""
        return len(self._idle)

    @property
    def n_present(self) -> int:
        """How many ranks are neither lost nor gone."""
        return sum(self._standings[standing] for standing in _PRESENT)

    @property
    def n_lost(self) -> int:
        """How many ranks fell silent."""
        return self._standings[Standing.LOST]

    @property
    def n_running(self) -> int:
        """How many trials are out."""
        return len(self._running)

    def runs(self, number: int) -> bool:
        """Whether some rank has this trial."""
        return number in self._running

    def silent(self, now: float, timeout_s: float) -> list[int]:
        """Present ranks not heard for longer than the timeout."""
        return [w.rank for w in self if w.standing in _PRESENT and now - w.heard_at > timeout_s]
