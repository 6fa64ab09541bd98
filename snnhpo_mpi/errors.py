"""The three exceptions of this program, each with its exit code; and how errors of others are said in one line."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path

_OURS = os.path.dirname(__file__)  # noqa: PTH120 - compared with the texts of frames
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})
_STANDARD = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})


class SnnhpoError(Exception):
    """Root of all errors that end a command with a message instead of a traceback."""

    exit_code = 1


class ConfigError(SnnhpoError):
    """A user's mistake: in the YAML file, on the command line or in how the program was launched."""

    exit_code = 2


class RecordError(SnnhpoError):
    """A damaged, foreign or busy study record; the message says what can be recovered and how."""

    exit_code = 3


def refusal(error: OSError, name: object) -> str:
    """What is said of a file or folder that the system does not let us read or write.

    Args:
        error: of the system.
        name: of the file, if the error does not know it.
    """
    path = error.filename or name
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{file_in_the_way(Path(str(path)))}: is there, and is no folder"
    return f"{shortened_path(path)}: {error.strerror or error}"


def file_in_the_way(path: Path) -> Path:
    """What is no folder although a path needs one: itself, or one of those above it."""
    return next((one for one in (path, *path.parents) if one.exists() and not one.is_dir()), path)


def shortened_path(path: object) -> str:
    """A path as a message can show it, which may be as long as a user likes."""
    text = str(path)
    return text if len(text) <= 300 else f"{text[:100]}...{text[-100:]}"


def said(error: BaseException) -> str:
    """The error and the line of the user's code that it came from: ``KeyError: 'hidden'`` alone is no message.

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
