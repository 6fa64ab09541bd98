"""Text from elsewhere (errors of evaluations, logs, names in files) before it reaches a terminal or a log.

A terminal acts on what it is sent: a trial's error must not move its cursor, change its title or hide lines.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_SEQUENCE = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"  # colours, cursor movements (ECMA-48, section 5.4)
    "|\x1b\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)"  # titles, links
)
_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # controls, directions of writing, halves of characters, ...


def plain(text: str) -> str:
    """Text without terminal sequences; what else is invisible is shown as Python would write it.

    Line breaks and tabs stay; a bare carriage return, by which progress bars overwrite their line, breaks it.
    """
    if text.isascii() and text.isprintable():
        return text
    lines = _SEQUENCE.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE else _shown(c) for c in lines)


def for_encoding(text: str, encoding: str | None) -> str:
    """The text with the sign of an error written out where a terminal's encoding may lack it."""
    return text if "utf" in (encoding or "utf").lower() else text.replace("±", "+/-")


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class PlainFormatter(logging.Formatter):
    """A log record's line: time, level, message and traceback, the last two plain."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(message)s") -> None:
        super().__init__(form, "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """As the base class."""
        return plain(super().format(record))


class LogFile(logging.FileHandler):
    """A log in a file, made with its first line. One warning says that it cannot be written, on a full disk or so.

    Every line is tried again: the log goes on when there is room.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._path = path  # as the user knows it: the base class makes it absolute
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """As the base class, which catches no failure to open the file."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Say once what is wrong, and forget the line."""
        error = sys.exc_info()[1]
        self.close()
        self._closed = False  # only its file is
        if not self._failed:
            self._failed = True
            reason = error.strerror if isinstance(error, OSError) else error
            log.warning("no log in %s: %s; the run goes on without", self._path, reason)

    def close(self) -> None:
        """As the base class; what the disk does not take is lost."""
        with contextlib.suppress(OSError):
            super().close()


def some(names: Sequence[str], most: int = 12) -> str:
    """``a, b, c and 4 more``."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
