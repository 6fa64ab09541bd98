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
