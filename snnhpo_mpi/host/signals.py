"""What a signal means to rank 0, to a worker rank, and to the processes that these start."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType


class StopSignals:
    """SIGINT, SIGTERM and SIGUSR1 stop the search cleanly, a second one at once; early ones wait for the search.

    A context manager around all that rank 0 does, so that no moment of it can be cut by a KeyboardInterrupt.
    """

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self._n_early = 0
        self._request_stop: Callable[[], None] | None = None

    def __enter__(self) -> StopSignals:
        self._before = [signal.signal(number, self._receive) for number in self.NUMBERS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(self.NUMBERS, self._before, strict=True):
            signal.signal(number, handler)

    def pass_to(self, request_stop: Callable[[], None]) -> None:
        """From now on each signal calls ``request_stop``, as those did that came before."""
        self._request_stop = request_stop
        for _ in range(self._n_early):
            request_stop()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._request_stop is None:
            self._n_early += 1
        else:
            self._request_stop()


def ignore_stop_signals() -> None:
    """For all other ranks: rank 0 alone decides how the search ends."""
    for number in StopSignals.NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def outlive_stop_signals() -> None:
    """Go on when a batch system signals all processes of a job: rank 0 alone decides what becomes of the trials.

    What an evaluation starts or forks can be ended as usual: a handler, unlike an ignored signal, is not inherited by
    another program, and a forked child drops it before a signal can reach it.
    """
    outlived = (signal.SIGTERM, signal.SIGUSR1)

    def drop() -> None:
        for number in outlived:
            signal.signal(number, signal.SIG_DFL)
        unblock()

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, outlived)

    for number in outlived:
        signal.signal(number, lambda number, frame: None)
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, outlived), after_in_parent=unblock, after_in_child=drop
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the supervisor's way to end a trial
