"""The log of an evaluator, kept short: what an evaluation prints in months must not fill the disk."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)
LIMIT = 16 << 20  # bytes
_NOTE = b"[... what came before was cut: the log was too long ...]\n"


def open_log(path: Path | None) -> BinaryIO:
    """The file for adding, or the void where there is none or it cannot be written: a log is no reason to stop."""
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("ab")
        except OSError as error:
            _log.warning("no log in %s: %s", path, error.strerror)
    return open(os.devnull, "ab")  # noqa: PTH123 - the caller closes it


def size(path: Path | None) -> int:
    """Bytes; 0 where there is no file."""
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0


def shorten(path: Path | None, limit: int = LIMIT) -> bool:
    """Cut a file that has outgrown the limit to its last half; a process that adds to it (O_APPEND) goes on there.

    Returns:
        Whether it was cut. Lines written at this very moment may be lost.
    """
    if path is None or size(path) <= limit:
        return False
    try:
        with path.open("rb+") as file:
            file.seek(-limit // 2, os.SEEK_END)
            tail = file.read(limit // 2)
            file.seek(0)
            file.write(_NOTE + tail)
            file.truncate()
    except OSError as error:
        _log.warning("%s has outgrown %d bytes and cannot be cut: %s", path, limit, error.strerror)
        return False
    return True
