"""The three exceptions of this program; each knows the exit code that it leads to."""

from __future__ import annotations


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
    shown = str(error.filename or name)
    if len(shown) > 300:
        shown = f"{shown[:100]}...{shown[-100:]}"
    reason = "is there, and is no folder" if isinstance(error, FileExistsError) else error.strerror or error
    return f"{shown}: {reason}"
