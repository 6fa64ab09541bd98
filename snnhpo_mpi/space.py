"""The search space: named hyperparameters in the user's units <-> points of the unit cube that a model can use.

Notation
    d   encoded columns: one per float or int, k per categorical of k choices (one-hot)
    x   d       in [0, 1]^d
    X   n x d   rows of such points

A float's column is linear in its *scale*: ``log`` spreads orders of magnitude evenly, ``reverse_log`` mirrors it, dense
near the upper bound (value = high + low - log-scaled value). An int of n values owns n cells of its scaled axis, which
begins half a value below ``low`` and ends half a value above ``high``: both ends are as likely as their neighbours.

A hyperparameter with a condition (``when``) exists only beside some values of others. Where it does not, its columns
have one value, the middle of their range (of k choices 1/k each), so that a model sees no difference between points
that are the same trial: ``snap`` and ``encode`` both give that value, and ``decode`` leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter, Parameter, Scale, outside, when_text
from snnhpo_mpi.config.conditions import exists, needs
from snnhpo_mpi.config.parameters import conditions
from snnhpo_mpi.config.space_settings import space_settings
from snnhpo_mpi.trial import Params, ParamValue

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def _to_unit(value: Array | float, low: float, high: float, scale: Scale) -> Array:
    value = np.asarray(value, dtype=np.float64)
    match scale:
        case "linear":
            u = (value - low) / (high - low)
        case "log":
            u = np.log(value / low) / math.log(high / low)
        case "reverse_log":
            u = 1.0 - np.log((high + low - value) / low) / math.log(high / low)
        case _:
            assert_never(scale)
    return np.clip(u, 0.0, 1.0)


def _from_unit(u: Array | float, low: float, high: float, scale: Scale) -> Array:
    u = np.clip(np.asarray(u, dtype=np.float64), 0.0, 1.0)
    match scale:
        case "linear":
            value = low + u * (high - low)
        case "log":
            value = low * np.exp(u * math.log(high / low))
        case "reverse_log":
            value = high + low - low * np.exp((1.0 - u) * math.log(high / low))
        case _:
            assert_never(scale)
    return np.where(u == 0.0, low, np.where(u == 1.0, high, np.clip(value, low, high)))  # the ends without rounding


@dataclass(frozen=True, slots=True)
class _FloatAxis:
    low: float
    high: float
    scale: Scale
    width: int = 1
    absent: float = 0.5

    def encode(self, value: ParamValue) -> Array:
        return _to_unit(float(value), self.low, self.high, self.scale).reshape(1)

    def decode(self, x: Array) -> float:
        return float(_from_unit(x, self.low, self.high, self.scale)[0])

    def typed(self, value: ParamValue) -> float:
        return float(value)

    def snap(self, X: Array) -> Array:
        return np.clip(X, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class _IntAxis:
    """Cells on the scaled axis of [low - 1/2, high + 1/2]; a value is encoded at the centre of its cell."""

    low: int
    high: int
    scale: Scale
    width: int = 1
    absent: float = 0.5

    @property
    def n_values(self) -> int:
        return self.high - self.low + 1

    def _values(self, u: Array) -> Array:
        raw = _from_unit(u, self.low - 0.5, self.high + 0.5, self.scale)
        return np.clip(np.floor(raw + 0.5), self.low, self.high)

    def _centres(self, values: Array) -> Array:
        edges = np.stack([values - 0.5, values + 0.5])
        return np.asarray(_to_unit(edges, self.low - 0.5, self.high + 0.5, self.scale).mean(axis=0))

    def room(self, u: float) -> tuple[float, float]:
        value = self._values(np.asarray(u))
        edges = _to_unit(
            np.stack([value - 1.5, value + 1.5]).clip(self.low - 0.5, self.high + 0.5),
            self.low - 0.5,
            self.high + 0.5,
            self.scale,
        )
        return float(edges[0]), float(edges[1])

    def between(self, lower: float, upper: float) -> Array:
        first, last = self._values(np.array([lower, upper]))
        return self._centres(np.arange(first, last + 1.0))

    def encode(self, value: ParamValue) -> Array:
        return self._centres(np.asarray(float(value))).reshape(1)

    def decode(self, x: Array) -> int:
        return int(self._values(x)[0])

    def typed(self, value: ParamValue) -> int:
        return int(value)

    def snap(self, X: Array) -> Array:
        return self._centres(self._values(X))

    def has(self, X: Array, allowed: Sequence[ParamValue]) -> Flags:
        return np.isin(self._values(X[:, 0]), np.array(allowed, dtype=np.float64))


@dataclass(frozen=True, slots=True)
class _CategoricalAxis:
    choices: tuple[ParamValue, ...]

    @property
    def width(self) -> int:
        return len(self.choices)

    @property
    def absent(self) -> float:
        return 1.0 / len(self.choices)

    def encode(self, value: ParamValue) -> Array:
        x = np.zeros(self.width)
        x[self.choices.index(value)] = 1.0
        return x

    def decode(self, x: Array) -> ParamValue:
        return self.choices[int(np.argmax(x))]

    def typed(self, value: ParamValue) -> ParamValue:
        return self.choices[self.choices.index(value)]

    def snap(self, X: Array) -> Array:
        onehot: Array = np.eye(self.width)[np.argmax(X, axis=1)]
        return onehot

    def has(self, X: Array, allowed: Sequence[ParamValue]) -> Flags:
        is_allowed = np.array([choice in allowed for choice in self.choices])
        allowed_rows: Flags = is_allowed[np.argmax(X, axis=1)]
        return allowed_rows


def _axis(parameter: Parameter) -> _FloatAxis | _IntAxis | _CategoricalAxis:
    match parameter:
        case FloatParameter():
            return _FloatAxis(parameter.low, parameter.high, parameter.scale)
        case IntParameter():
            return _IntAxis(parameter.low, parameter.high, parameter.scale)
        case CategoricalParameter():
            return _CategoricalAxis(parameter.choices)
        case _:
            assert_never(parameter)


class Space:
    """Searched hyperparameters and their encoding; immutable.

    Attributes:
        names: hyperparameters, in the order of the configuration.
        parameters: hyperparameter -> its settings: type, bounds and scale, or choices.
        dim: number of encoded columns d.
        columns: hyperparameter -> its columns.
        onehot_blocks: the columns of each categorical.
        integer_columns: column of an int hyperparameter -> how many values it has.
        needs: hyperparameter that does not always exist -> all that it depends on, by whatever chain -> the values with
            which it exists.
        absent: ``d``, the value of each column where its hyperparameter does not exist.
    """

    def __init__(self, parameters: Mapping[str, Parameter | Mapping[str, object]]) -> None:
        """From settings, or plain dicts as under ``space`` of a configuration.

        Args:
            parameters: hyperparameter -> ``{"type": "float", "low": ..., "high": ..., "scale": "log"}`` (``scale``:
                ``linear`` by default, ``log`` or ``reverse_log``), the same with ``int``, or ``{"type": "categorical",
                "choices": [...]}``. ``"when": {"optimizer": ["sgd"]}``: it exists only with these values of others.

        Raises:
            ConfigError: a plain dict is wrong; the message is that of a configuration.
        """
        self.parameters: Mapping[str, Parameter] = dict(space_settings(parameters))
        self._axes = {name: _axis(parameter) for name, parameter in self.parameters.items()}
        self.names = tuple(self._axes)
        self.columns: dict[str, slice] = {}
        start = 0
        for name, axis in self._axes.items():
            self.columns[name] = slice(start, start + axis.width)
            start += axis.width
        self.dim = start
        self.needs = {name: need for name, need in needs(conditions(self.parameters)).items() if need}
        self.absent = np.concatenate([np.full(axis.width, axis.absent) for axis in self._axes.values()])
        self.onehot_blocks = tuple(
            tuple(range(self.columns[name].start, self.columns[name].stop))
            for name, axis in self._axes.items()
            if isinstance(axis, _CategoricalAxis)
        )
        self._int_axes = {
            self.columns[name].start: axis for name, axis in self._axes.items() if isinstance(axis, _IntAxis)
        }
        self.integer_columns = {column: axis.n_values for column, axis in self._int_axes.items()}

    def int_room(self, column: int, u: float) -> tuple[float, float]:
        """Ends of the stretch of an int's column that holds its value at ``u`` and the neighbouring values."""
        return self._int_axes[column].room(u)

    def int_points(self, column: int, lower: float, upper: float) -> Array:
        """Encodings of the values that an int's column has between two of its positions, those at the ends included."""
        return self._int_axes[column].between(lower, upper)

    def encode(self, params: Params) -> Array:
        """Values of all hyperparameters that exist -> ``d``; other keys of ``params`` are ignored."""
        x = self.absent.copy()
        for name in self._existing(params):
            x[self.columns[name]] = self._axes[name].encode(params[name])
        return x

    def typed(self, params: Params) -> dict[str, ParamValue]:
        """Values in the type of their hyperparameter, as ``decode`` makes them: the choice 1 where 1.0 is given."""
        return {name: self._axes[name].typed(params[name]) for name in self._existing(params)}

    def filled(self, params: Params) -> dict[str, ParamValue]:
        """Values of all hyperparameters: one that does not exist has the middle of its range, or its first choice."""
        return {
            name: params[name] if name in params else axis.decode(self.absent[self.columns[name]])
            for name, axis in self._axes.items()
        }

    def unfit(self, params: Params) -> str | None:
        """Why these are no values of just what exists, inside their bounds and of their types, or None."""
        there = self._existing(params)
        if set(params) != set(there):
            absent = [name for name in self.needs if name in params and name not in there]
            hints = [f"; {name} exists {when_text(self.parameters[name])}" for name in absent]
            found = f"found {', '.join(map(str, params)) or 'none'}"
            return f"exactly {', '.join(there)} must have values, {found}{''.join(hints)}"
        reasons = ((name, outside(self.parameters[name], params[name])) for name in there)
        return next((f"{name} = {params[name]!r}: {reason}" for name, reason in reasons if reason), None)

    def decode(self, x: Array) -> dict[str, ParamValue]:
        """Any point ``d`` of [0, 1]^d -> values inside the bounds, of those hyperparameters that exist there."""
        there = {name: bool(self.exists(name, x[None])[0]) for name in self.needs}
        return {name: axis.decode(x[self.columns[name]]) for name, axis in self._axes.items() if there.get(name, True)}

    def snap(self, X: Array) -> Array:
        """``n x d`` -> ``n x d``: each row moved to the encoding of the values it decodes to."""
        snapped: Array = np.concatenate([axis.snap(X[:, self.columns[name]]) for name, axis in self._axes.items()], 1)
        return np.where(self.existing(snapped), snapped, self.absent) if self.needs else snapped

    def exists(self, name: str, X: Array) -> Flags:
        """``n x d`` -> ``n``: whether a hyperparameter exists in the rows, which need not be snapped."""
        there = np.ones(len(X), dtype=np.bool_)
        for other, allowed in self.needs.get(name, {}).items():
            there &= self._axis_of_condition(other).has(X[:, self.columns[other]], allowed)
        return there

    def existing(self, X: Array) -> Flags:
        """``n x d`` -> ``n x d``: whether the hyperparameter of each column exists in the row; any points."""
        there = np.ones(X.shape, dtype=np.bool_)
        for name in self.needs:
            there[:, self.columns[name]] = self.exists(name, X)[:, None]
        return there

    def made_to_exist(self, name: str, X: Array, rng: np.random.Generator) -> Array:
        """``n x d`` -> ``n x d``: rows in which a hyperparameter exists; what forbids it has a random allowed value."""
        X = X.copy()
        for other, allowed in self.needs.get(name, {}).items():
            axis, columns = self._axis_of_condition(other), self.columns[other]
            wrong = np.flatnonzero(~axis.has(X[:, columns], allowed))
            for row, pick in zip(wrong, rng.integers(len(allowed), size=len(wrong)), strict=True):
                X[row, columns] = axis.encode(allowed[pick])
        return X

    def _existing(self, params: Params) -> list[str]:
        return [name for name in self.names if exists(self.needs.get(name, {}), params)]

    def _axis_of_condition(self, name: str) -> _IntAxis | _CategoricalAxis:
        """The axis of a hyperparameter on which another one depends."""
        axis = self._axes[name]
        assert not isinstance(axis, _FloatAxis)  # refused by the configuration
        return axis
