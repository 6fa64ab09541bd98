"""Text from elsewhere (errors of evaluations, logs, names in files) before it reaches a terminal or a log.

A terminal acts on what it is sent: a trial's error must not move its cursor, change its title or hide lines.
"""

from __future__ import annotations

import logging
import re
import unicodedata

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
    """A log record's line, its message and traceback plain."""

    def format(self, record: logging.LogRecord) -> str:
        """As the base class."""
        return plain(super().format(record))
