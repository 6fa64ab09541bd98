"""What people's code takes for a number (of Python, NumPy, torch, decimal, ...) -> a float, or why it is none."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

MOST_NOTES = 5  # of one evaluation
_SHOWN = 60  # characters of a value in a message


class NotANumberError(ValueError):
    """A value is no number; the text says what it is, to follow the word ``is``."""


def as_float(value: Any) -> float:
    """A number as a float: NaN and infinities pass, truth values do not.

    Arrays and tensors of one element are numbers.

    Raises:
        NotANumberError: it is none.
    """
    plain = _only_element(value)
    if isinstance(plain, bool):
        raise NotANumberError(f"{plain}, not a number")
    if not isinstance(plain, Real | Decimal) and (isinstance(plain, str | bytes) or not hasattr(plain, "__float__")):
        raise NotANumberError(f"{shown(plain)}, not a number")
    try:
        return float(plain)
    except OverflowError as error:
        raise NotANumberError("an integer too large for a float") from error
    except Exception as error:  # of whatever type came in
        raise NotANumberError(f"{shown(value)}, not a number ({type(error).__name__}: {error})") from None


def as_metric(value: Any) -> float:
    """As ``as_float``, but truth values are 0 and 1, and NaN is nothing to record.

    Raises:
        NotANumberError: it is none.
    """
    plain = _only_element(value)
    number = float(plain) if isinstance(plain, bool) else as_float(plain)
    if number != number:
        raise NotANumberError("NaN")
    return number


def metrics_of(given: Any) -> tuple[dict[str, float], tuple[str, ...]]:
    """The metrics that can be recorded, and a note for each of the others.

    Args:
        given: whatever an evaluation gave; None is no metrics.
    """
    if given is None:
        return {}, ()
    if not isinstance(given, Mapping):
        return {}, (f"metrics is {shown(given)}, not a dict of names and numbers: none is recorded",)
    metrics: dict[str, float] = {}
    notes: list[str] = []
    for name, value in given.items():
        try:
            metrics[str(name)] = as_metric(value)
        except NotANumberError as reason:
            notes.append(f"metrics[{shown(name)}] is {reason}: it is not recorded")
    return metrics, tuple(notes[:MOST_NOTES])


def shown(value: Any) -> str:
    """A value for a message: short, and with its type where that is not plain to see."""
    try:
        text = repr(value)
    except Exception:  # of whatever type came in
        text = "a value that cannot be shown"
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
    return text if value is None or isinstance(value, str | int | float | bytes) else f"{text} ({type(value).__name__})"


def _only_element(value: Any) -> Any:
    """The element of an array or tensor that has one; anything else as it is."""
    if not hasattr(value, "item"):
        return value
    try:
        return value.item()
    except Exception as error:  # more than one element, or none
        shape = getattr(value, "shape", None)
        size = f" of shape {tuple(shape)}" if shape is not None else ""
        raise NotANumberError(f"a {type(value).__name__}{size}, not a number") from error
