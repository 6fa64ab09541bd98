"""The hyperparameters that are searched: the types of the key ``space``."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from snnhpo_mpi.config.conditions import Conditions, searched
from snnhpo_mpi.config.values import Integer, Name, Number, Settings, Value
from snnhpo_mpi.trial import Params, ParamValue

Scale = Literal["linear", "log", "reverse_log"]
RESOLVED = 1e-12  # share of a range's upper end that reverse_log can still tell from it
LARGE_INT = 2**48  # up to here the borders between integers are exact to a 32nd
MIN_VALUES = 1000  # floating-point numbers between the bounds of a real hyperparameter


When = dict[Name, Annotated[tuple[Value, ...], Field(min_length=1)]]


class _Hyperparameter(Settings):
    """What is searched."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A condition that there is not is left out, as in records of earlier programs."""
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if key != "when" or value}


class FloatParameter(_Hyperparameter):
    """A real hyperparameter."""

    type: Literal["float"]
    """A real number."""
    low: Number
    """Smallest value."""
    high: Number
    """Largest value."""
    scale: Scale = "linear"
    """``log`` spreads orders of magnitude evenly; ``reverse_log`` is dense near ``high``. Both need ``low`` > 0."""
    when: When = Field(default={})
    """It exists only with these values of others, all of them: ``{optimizer: [sgd]}``."""

    @model_validator(mode="after")
    def _bounds(self) -> FloatParameter:
        _check_bounds(self.low, self.high, self.scale)
        if self.high - self.low < MIN_VALUES * math.ulp(max(abs(self.low), abs(self.high))):
            raise ValueError(
                f"low ({self.low!r}) and high ({self.high!r}) are too close: fewer than {MIN_VALUES} floating-point "
                "numbers lie between them"
            )
        return self


class IntParameter(_Hyperparameter):
    """An integer hyperparameter, both bounds included."""

    type: Literal["int"]
    """A whole number."""
    low: Integer
    """Smallest value."""
    high: Integer
    """Largest value."""
    scale: Scale = "linear"
    """``log`` spreads orders of magnitude evenly; ``reverse_log`` is dense near ``high``. Both need ``low`` > 0."""
    when: When = Field(default={})
    """It exists only with these values of others, all of them: ``{optimizer: [sgd]}``."""

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


class CategoricalParameter(_Hyperparameter):
    """An unordered hyperparameter."""

    type: Literal["categorical"]
    """One of some values without an order."""
    choices: Annotated[tuple[Value, ...], Field(min_length=2)]
    """Two or more different values."""
    when: When = Field(default={})
    """It exists only with these values of others, all of them: ``{optimizer: [sgd]}``."""

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


def conditions(space: Mapping[str, Parameter]) -> Conditions:
    """What each hyperparameter of a space depends on."""
    return {name: parameter.when for name, parameter in space.items()}


def searched_space(space: Mapping[str, Parameter], fixed: Params) -> dict[str, Parameter]:
    """The hyperparameters that exist in some trial, with their conditions on one another.

    Args:
        space: as configured; its conditions are right.
        fixed: values of hyperparameters that are not searched, which decide the conditions on them.
    """
    left = searched(conditions(space), fixed)
    return {name: space[name].model_copy(update={"when": when}) for name, when in left.items()}


def outside(parameter: Parameter, value: ParamValue) -> str | None:
    """Why a value is not one of the searched ones, or None."""
    if isinstance(parameter, CategoricalParameter):
        return None if value in parameter.choices else f"one of {', '.join(map(str, parameter.choices))} is allowed"
    if isinstance(value, str) or (isinstance(parameter, IntParameter) and not isinstance(value, int)):
        return "an integer is needed" if isinstance(parameter, IntParameter) else "a number is needed"
    if not parameter.low <= value <= parameter.high:
        return f"must lie in its bounds {parameter.low:g} to {parameter.high:g}"
    return None


def when_text(parameter: Parameter) -> str:
    """Its own conditions in words: ``only when optimizer is sgd or adam``; empty where it always exists."""
    each = [f"{other} is {' or '.join(map(str, values))}" for other, values in parameter.when.items()]
    return f"only when {' and '.join(each)}" if each else ""
