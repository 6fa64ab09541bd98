"""Who works, on what, and when each was last heard. Pure bookkeeping of rank 0."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Standing(Enum):
    """What rank 0 thinks of a worker."""

    STARTING = auto()  # not ready for its first trial
    WORKING = auto()  # idle, or with a trial
    LOST = auto()  # silent for too long; may come back
    GONE = auto()  # said goodbye, or its transport says that it is dead


@dataclass(slots=True)
class Worker:
    """One worker rank, as rank 0 knows it."""

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
    """All worker ranks."""

    def __init__(self, ranks: Iterable[int], now: float) -> None:
        """Expect these ranks, as if each had been heard ``now`` [s]."""
        self._workers = {rank: Worker(rank, now) for rank in ranks}

    def __getitem__(self, rank: int) -> Worker:
        return self._workers[rank]

    def __contains__(self, rank: int) -> bool:
        return rank in self._workers

    @property
    def ranks(self) -> list[int]:
        """All of them."""
        return list(self._workers)

    @property
    def idle(self) -> list[int]:
        """Ranks without a trial."""
        return [worker.rank for worker in self._workers.values() if worker.idle]

    @property
    def running(self) -> set[int]:
        """Numbers of the trials that are out."""
        return {worker.running for worker in self._workers.values() if worker.running is not None}

    @property
    def present(self) -> list[int]:
        """Ranks that are neither lost nor gone."""
        return [w.rank for w in self._workers.values() if w.standing in (Standing.STARTING, Standing.WORKING)]

    @property
    def in_touch(self) -> list[int]:
        """Ranks that are not lost."""
        return [worker.rank for worker in self._workers.values() if worker.standing is not Standing.LOST]

    @property
    def lost(self) -> list[int]:
        """Ranks that fell silent."""
        return [worker.rank for worker in self._workers.values() if worker.standing is Standing.LOST]

    def silent(self, now: float, timeout_s: float) -> list[int]:
        """Present ranks not heard for longer than the timeout."""
        return [rank for rank in self.present if now - self._workers[rank].heard_at > timeout_s]
