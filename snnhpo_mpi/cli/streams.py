"""Standard output and error, which may be closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from snnhpo_mpi.errors import ConfigError, file_in_the_way, shortened_path
from snnhpo_mpi.plain_text import for_encoding, plain

if TYPE_CHECKING:
    from snnhpo_mpi.record import StudyData


def say(text: str) -> None:
    """Print a result to standard output.

    Raises:
        OSError: it takes no more; the error names it.
    """
    try:
        sys.stdout.write(f"{for_encoding(plain(text), sys.stdout.encoding)}\n")
        sys.stdout.flush()
    except OSError as error:
        error.filename = "standard output"
        raise


class Voice:
    """Prints lines to standard output as long as somebody reads them: a closed pipe must not end a search."""

    def __init__(self) -> None:
        self._heard = True

    def __call__(self, text: str) -> None:
        """Print a line."""
        if not self._heard:
            return
        try:
            say(text)
        except OSError:
            self._heard = False
            discard(sys.stdout)


def complain(text: str) -> None:
    """Print what is wrong to standard error."""
    try:
        sys.stderr.write(f"snnhpo: {plain(text)}\n")
    except OSError:
        discard(sys.stderr)


def as_json(facts: Mapping[str, Any], *studies: StudyData) -> str:
    """One JSON object, with what was wrong with the files of the studies, if anything was."""
    notices = [notice for data in studies for notice in data.notices]
    return json.dumps({**facts, **({"notices": notices} if notices else {})})


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Say in one line where nothing can be written.

    Raises:
        ConfigError: the disk is full or read-only, or a file is in the way.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        reason = f"{file_in_the_way(place)} is there, and is no folder"
        raise ConfigError(f"cannot write to {place}: {reason}; --out names another place") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write to {shortened_path(place)}: {reason}; --out names another place") from error


def discard(stream: TextIO | None) -> None:
    """Let what is written from now on, and what is still held back, go nowhere: Python would fail of it at its end."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def open_closed_streams() -> None:
    """Give a process that was started without standard streams (``>&-``) empty ones.

    Otherwise the next file that is opened takes their number, and whatever prints writes into it.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd == 0 else os.O_WRONLY)  # takes the lowest free number: this one
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def give_up_on_full_stderr() -> None:
    """Discard what stderr cannot take: Python would end with the code 120 instead of ours."""
    try:
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)
