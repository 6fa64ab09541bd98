"""The hyperparameters that are searched: the types of the key ``space``."""

from __future__ import annotations

import math
import sys
from typing import Annotated, Literal

from pydantic import Field, model_validator

from snnhpo_mpi.config.values import Integer, Number, Settings, Value
from snnhpo_mpi.trial import ParamValue

Scale = Literal["linear", "log", "reverse_log"]
RESOLVED = 1e-12  # share of a range's upper end that reverse_log can still tell from it
LARGE_INT = 2**48  # up to here the borders between integers are exact to a 32nd
MIN_VALUES = 1000  # floating-point numbers between the bounds of a real hyperparameter


class FloatParameter(Settings):
    """A real hyperparameter."""

    type: Literal["float"]
    """A real number."""
    low: Number
    """Smallest value."""
    high: Number
    """Largest value."""
    scale: Scale = "linear"
    """``log`` spreads orders of magnitude evenly; ``reverse_log`` is dense near ``high``. Both need ``low`` > 0."""

    @model_validator(mode="after")
    def _bounds(self) -> FloatParameter:
        _check_bounds(self.low, self.high, self.scale)
        if self.high - self.low < MIN_VALUES * math.ulp(max(abs(self.low), abs(self.high))):
            raise ValueError(
                f"low ({self.low!r}) and high ({self.high!r}) are too close: fewer than {MIN_VALUES} floating-point "
                "numbers lie between them"
            )
        return self


class IntParameter(Settings):
    """An integer hyperparameter, both bounds included."""

    type: Literal["int"]
    """A whole number."""
    low: Integer
    """Smallest value."""
    high: Integer
    """Largest value."""
    scale: Scale = "linear"
    """``log`` spreads orders of magnitude evenly; ``reverse_log`` is dense near ``high``. Both need ``low`` > 0."""

    @model_validator(mode="after")
    def _bounds(self) -> IntParameter:
        _check_bounds(self.low, self.high, self.scale)
        largest = max(abs(self.low), abs(self.high))
        if self.high - self.low < MIN_VALUES and largest > LARGE_INT:
            raise ValueError(
                f"low ({self.low}) and high ({self.high}) are too close: beyond {LARGE_INT} integers must be at least "
                f"{MIN_VALUES} apart, as floating-point numbers are coarse there"
            )
        return self


class CategoricalParameter(Settings):
    """An unordered hyperparameter."""

    type: Literal["categorical"]
    """One of some values without an order."""
    choices: Annotated[tuple[Value, ...], Field(min_length=2)]
    """Two or more different values."""

    @model_validator(mode="after")
    def _distinct(self) -> CategoricalParameter:
        first: dict[ParamValue, ParamValue] = {}
        for choice in self.choices:
            if choice in first:
                raise ValueError(f"a choice stands twice: {first[choice]!r} and {choice!r} are the same value")
            first[choice] = choice
        return self


def _check_bounds(low: float, high: float, scale: Scale) -> None:
    """Raise ``ValueError`` where the values between the bounds could not be told apart as floating-point numbers."""
    if not low < high:
        raise ValueError(f"low ({low:g}) must be below high ({high:g})")
    if not math.isfinite(high - low):
        raise ValueError(f"high - low must be at most {sys.float_info.max:.3g}, found {low:g} to {high:g}")
    if scale == "linear":
        return
    if low <= 0:
        raise ValueError(f"scale {scale} needs low > 0, found {low:g}")
    if low < sys.float_info.min or not math.isfinite(high / low):
        raise ValueError(
            f"scale {scale} needs low of at least {sys.float_info.min:.3g} and high / low of at most "
            f"{sys.float_info.max:.3g}, found {low:g} to {high:g}"
        )
    if scale == "reverse_log" and low < high * RESOLVED:
        raise ValueError(f"scale reverse_log needs low of at least {RESOLVED:g} high, found {low:g} to {high:g}")


Parameter = FloatParameter | IntParameter | CategoricalParameter
