"""The three exceptions of this program; each knows the exit code that it leads to."""

from __future__ import annotations

from pathlib import Path


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
