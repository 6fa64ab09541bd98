"""A user's own function or network, tried in a process of its own before any trial: it may do and raise anything."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.host import subprocesses
from snnhpo_mpi.host.process_tuning import quiet_libraries

LIMIT_S = 900.0  # as long as an evaluator may take to start
CHARACTERS = 5000  # as JSON at most 60,000 bytes, which a pipe takes at once; one of the two is short
ANSWER_BYTES = 1 << 16


def try_out(key: str, what: str, attempt: str, arguments: Sequence[Any]) -> str:
    """Run an attempt in a process of its own.

    Args:
        key: of the configuration that names the code, for messages.
        what: the code's name.
        attempt: ``module:function``, of ours, that imports and tries the code, and returns what it found as text, or
            None; raises ``ConfigError`` if it is unfit.
        arguments: of the function, which JSON can hold.

    Returns:
        What was found; empty if nothing is to be said.

    Raises:
        ConfigError: it is unfit, raised something else, or ended the process.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)  # something that it started may hold the other end
    with open(reading, "rb", buffering=0) as answer:  # noqa: PTH123 - a descriptor
        code = _run(json.dumps([attempt, *arguments]).encode(), writing, f"{key}: {what}")
        text = answer.read(ANSWER_BYTES) if code == 0 else None
    if not text:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ConfigError(f"{key}: {what} ended its process ({how}) while it was imported and tried")
    found, reason = json.loads(text)
    if reason:
        raise ConfigError(reason)
    return str(found)


def _run(order: bytes, writing: int, which: str) -> int:
    """The exit code of the process, which ends with all that it started."""
    call = f"from snnhpo_mpi.study.own_code import main; main({writing}, {os.getpid()})"
    try:
        # What it prints is no result of ours.
        process = subprocesses.spawn(call, order, stdout=sys.__stderr__, pass_fds=(writing,))
    finally:
        os.close(writing)
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{which} was not imported and tried within {LIMIT_S:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def main(answer: int, parent: int) -> NoReturn:
    """The process: makes the attempt and writes what was found, and the reason why it failed or null.

    Args:
        answer: descriptor to write to.
        parent: the process to end with.
    """
    subprocesses.die_with(parent)
    quiet_libraries()
    found, reason = "", None
    try:
        attempt, *arguments = json.load(sys.stdin.buffer)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        module, _, function = attempt.partition(":")
        found = getattr(import_module(module), function)(*arguments) or ""
    except ConfigError as error:
        reason = str(error)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too
        reason = said(error)
    os.write(answer, json.dumps([found[:CHARACTERS], reason and reason[:CHARACTERS]]).encode())
    os._exit(0)  # waits for no thread and no exit handler that it left
