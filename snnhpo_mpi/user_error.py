"""What a user's code raised, said in one line with the place in it: ``KeyError: 'hidden'`` alone is no message."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

_OURS = os.path.dirname(__file__)  # noqa: PTH120 - compared with the texts of frames
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})
_STANDARD = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})


def said(error: BaseException) -> str:
    """The error and the line of the user's code that it came from.

    Returns:
        Such as ``KeyError: 'hidden' (mynet.py, line 12: self.w = params["hidden"])``; without a place if it came from
        none of the user's lines.
    """
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}{_place(error.filename, error.lineno, error.text)}"
    text = traceback.format_exception_only(error)[0].strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _rank(frame.filename)]
    if not frames:
        return text
    last = max(enumerate(frames), key=lambda place: (_rank(place[1].filename), place[0]))[1]
    return f"{text}{_place(last.filename, last.lineno, last.line)}"


def _rank(file: str) -> int:
    """2 for a file of the user's, 1 for one of a library, 0 for ours, Python's own and what is no file."""
    if file.startswith(("<", _OURS + os.sep)):
        return 0
    if file.startswith(_LIBRARIES):
        return 1
    return 0 if file.startswith(_STANDARD) else 2


def _place(file: str | None, line: int | None, text: str | None) -> str:
    if file is None or line is None:
        return ""
    return f" ({Path(file).name}, line {line}{f': {text.strip()}' if text and text.strip() else ''})"
