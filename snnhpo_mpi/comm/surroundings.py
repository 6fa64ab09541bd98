"""What a process is around an evaluation, put back after it: the next one finds what the first one found.

Working folder, file mask, environment, signal handlers and timers, standard streams. What a module keeps for itself
(caches, counters, settings of libraries) stays: for that there is a fresh process for each trial.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import signal
import sys
from pathlib import Path

_OUT_OF_THE_WAY = 200  # descriptors from here on: an evaluation that closes "all others" often stops below
# SIGCHLD is left alone: torch's data loaders set its handler once and for all.
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Surroundings:
    """As they are at construction."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._mask = os.umask(0)
        os.umask(self._mask)
        self._environment = dict(os.environ)
        self._handlers = {number: signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGCHLD}}
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._streams = {fd: _Stream(fd) for fd in (0, 1, 2)}
        self._files = sys.stdin, sys.stdout, sys.stderr

    def restore(self) -> None:
        """Put everything back; what cannot be (a folder that was removed) stays as the evaluation left it."""
        for timer in _TIMERS:  # an alarm would end a later trial
            signal.setitimer(timer, 0)
        faulthandler.cancel_dump_traceback_later()
        for number, handler in self._handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)
        with contextlib.suppress(OSError):
            os.chdir(self._folder or os.curdir)
        os.umask(self._mask)
        if os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        self._restore_streams()

    def _restore_streams(self) -> None:
        for stream in self._streams.values():
            stream.restore()
        sys.stdin, sys.stdout, sys.stderr = (
            open(fd, mode, buffering=1, closefd=False) if file is None or file.closed else file  # noqa: SIM115
            for fd, (file, mode) in enumerate(zip(self._files, "rww", strict=True))
        )
        self._files = sys.stdin, sys.stdout, sys.stderr


def _folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:  # it was removed
        return None


class _Stream:
    """A standard stream's file, whatever becomes of its descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            self._copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        except OSError:  # so few descriptors are allowed
            self._copy = os.dup(fd)
        self._file = _file(fd)

    def restore(self) -> None:
        """Open the file again under its number, if something else or nothing is there."""
        if _file(self._fd) == self._file:
            return
        if _file(self._copy) == self._file:
            os.dup2(self._copy, self._fd)
            return
        with contextlib.suppress(OSError):  # the copy was closed as well: nothing is better than somebody else's file
            void = os.open(os.devnull, os.O_RDWR)
            if void != self._fd:
                os.dup2(void, self._fd)
                os.close(void)


def _file(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor is open on; None if it is closed."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
