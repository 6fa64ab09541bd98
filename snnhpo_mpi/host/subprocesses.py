"""Python processes that a rank starts: they run without MPI and end with the rank."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

from snnhpo_mpi.host.launchers import without_mpi

_PR_SET_PDEATHSIG = 1  # Linux: prctl.h

log = logging.getLogger(__name__)


def spawn(call: str, given: bytes, *, own: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """Start ``call``, as in ``from package.module import main; main(3)``, in a session of its own.

    It has this process's ``sys.path`` (a file in the working directory never stands in for a module of the standard
    library) and its environment without MPI.

    Args:
        call: what it runs; ``die_with`` is for its beginning.
        given: what it finds on standard input.
        own: further environment variables.
        options: of ``subprocess.Popen``.

    Raises:
        OSError: there is no room for another process.
    """
    process = subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-c",
            f"import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); {call}",
        ],
        stdin=subprocess.PIPE,
        start_new_session=True,  # what it forks ends with it; Ctrl-C at the terminal does not reach it
        env=without_mpi(os.environ) | {"PYTHONUNBUFFERED": "1"} | dict(own or {}),
        **options,
    )
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(json.dumps(list(map(str, sys.path))).encode("ascii") + b"\n" + given)
    except BrokenPipeError:
        log.debug("process %d ended at once", process.pid)  # its exit code tells the rest
    process.stdin = None  # ``communicate`` would flush it
    return process


def die_with(parent: int) -> None:
    """Be killed when the parent ends, however it does; children forked by the main thread with this process."""
    main_thread = threading.get_ident()

    def bind() -> None:
        # Linux sends the signal when the *thread* that forked ends, so others than the main thread must not ask for it.
        if sys.platform == "linux" and threading.get_ident() == main_thread:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    bind()
    os.register_at_fork(after_in_child=bind)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)
