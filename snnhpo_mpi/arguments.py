"""Types of the command line's arguments, which several commands share."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """An integer of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is less, or no integer.
    """
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """An integer of at least 0; raises as ``positive`` does."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"an integer of at least {least} is needed, found {text[:60]!r}") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"at least {least} is needed, found {text}")
    return value
