"""How messages travel: the protocol, and ranks that are threads of one process."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)
LOOK_S = 0.003


class Transport(Protocol):
    """A rank's end of the lines to all others. Knows bytes, not messages; used by one thread."""

    @property
    def rank(self) -> int:
        """This rank; 0 is the master."""

    @property
    def size(self) -> int:
        """Ranks in all."""

    @property
    def peers(self) -> set[int]:
        """Ranks that have not left; whoever learns that one has, removes it."""

    def send(self, destination: int, message: bytes) -> None:
        """Send without waiting; messages to one rank arrive in order, those to a dead rank nowhere."""

    def receive(self) -> tuple[int, bytes] | None:
        """The next message and its sender, None if there is none now.

        Empty bytes say that the transport itself knows its sender to be gone.
        """

    def wait(self, longest_s: float, look_s: float = LOOK_S) -> None:
        """Sleep until a message may be there, or ``longest_s``; a rank that nothing wakes looks every ``look_s``."""

    def close(self, exit_code: int = 0) -> None:
        """Leave. ``exit_code`` is what all ranks end with should some of them not have left."""


class LocalTransport:
    """A rank within this process: queues in memory."""

    def __init__(
        self,
        rank: int,
        inboxes: tuple[deque[tuple[int, bytes] | BaseException], ...],
        arrivals: tuple[threading.Event, ...],
    ) -> None:
        self.rank = rank
        self.size = len(inboxes)
        self.peers = set(range(1, self.size)) if rank == 0 else {0}
        self._inboxes = inboxes
        self._arrivals = arrivals

    def send(self, destination: int, message: bytes) -> None:
        """Put the message into the other's queue."""
        self._put(destination, (self.rank, message))

    def _put(self, destination: int, item: tuple[int, bytes] | BaseException) -> None:
        self._inboxes[destination].append(item)
        self._arrivals[destination].set()

    def receive(self) -> tuple[int, bytes] | None:
        """Take the oldest message of the own queue.

        Raises:
            BaseException: what ended the thread of another rank.
        """
        try:
            item = self._inboxes[self.rank].popleft()  # atomic
        except IndexError:
            return None
        if isinstance(item, BaseException):
            raise item
        return item

    def wait(self, longest_s: float, look_s: float = LOOK_S) -> None:
        """Sleep until a message is put into the own queue, or so long."""
        if self._arrivals[self.rank].wait(longest_s):
            self._arrivals[self.rank].clear()  # before the next look into the queue: what comes later sets it again

    def fail(self, error: BaseException) -> None:
        """Let rank 0 raise what ends this rank."""
        self._put(0, error)

    def hang_up(self) -> None:
        """Let this rank find rank 0 gone."""
        self._put(self.rank, (0, b""))

    def close(self, exit_code: int = 0) -> None:
        """Nothing to leave."""


def local_transports(size: int) -> tuple[LocalTransport, ...]:
    """The ends of ``size`` ranks in this process."""
    inboxes: tuple[deque[tuple[int, bytes] | BaseException], ...] = tuple(deque() for _ in range(size))
    arrivals = tuple(threading.Event() for _ in range(size))
    return tuple(LocalTransport(rank, inboxes, arrivals) for rank in range(size))


class LocalWorkers:
    """Worker ranks as threads of this process, each running ``work(transport)``; a context manager.

    An exception in one of them is raised by rank 0's next ``receive``. At the end whoever still works is told to end.
    """

    def __init__(self, transports: tuple[LocalTransport, ...], work: Callable[[LocalTransport], object]) -> None:
        self._work = work
        self._transports = transports
        self._threads = [
            threading.Thread(target=self._guarded, args=(transport,), name=f"rank {transport.rank}", daemon=True)
            for transport in transports
        ]

    def _guarded(self, transport: LocalTransport) -> None:
        try:
            self._work(transport)
        except BaseException as error:  # anything that ends a rank must end the search, not vanish with its thread
            transport.fail(error)

    def __enter__(self) -> LocalWorkers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for transport in self._transports:
            transport.hang_up()
        self.join()

    def join(self, timeout_s: float = 20.0) -> None:
        """Wait for the threads to end."""
        for thread in self._threads:
            thread.join(timeout_s)
        if hanging := [thread.name for thread in self._threads if thread.is_alive()]:
            _log.warning("%s did not end in time", ", ".join(hanging))
