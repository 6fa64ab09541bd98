"""The trials as points of a figure: what kind each is, where each hyperparameter lies in its range, which to draw.

Notation: n trials asked; k of them drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config.conditions import searched
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import State

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

FEASIBLE, INFEASIBLE = "feasible", "completed, infeasible"  # kinds of trials
STOPPED, PRUNED, FAILED, RUNNING = "stopped early", "pruned", "failed", "running"
LARGEST = 1e300  # that can be drawn: figures add margins and multiply


def by_kind(data: StudyData) -> list[tuple[str, Rows]]:
    """Every kind that occurs, with its rows; trials not sent out yet are of none."""
    failed = np.isin(data.state, [State.FAILED.value, State.LOST.value])
    masks = (
        (STOPPED, data.state == State.STOPPED.value),
        (PRUNED, data.state == State.PRUNED.value),
        (INFEASIBLE, data.completed & ~data.feasible),
        (FEASIBLE, data.feasible),
        (FAILED, failed),
        (RUNNING, data.state == "running"),
    )
    return [(kind, np.flatnonzero(mask)) for kind, mask in masks if mask.any()]


def thinned(rows: Rows, limit: int) -> Rows:
    """At most ``limit`` of the rows, evenly spread."""
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.intp)]


def drawable(values: Floats) -> NDArray[np.bool_]:
    """Which values have a place on an axis: finite, and not so large that no margin fits around them."""
    return np.asarray(np.isfinite(values) & (np.abs(np.nan_to_num(values)) < LARGEST), dtype=np.bool_)


def scored(data: StudyData) -> Floats:
    """n, objectives of the trials that were trained to the end; NaN of the others.

    What a stopped or pruned trial has is what it had shown until then: no score, and not to be compared with one.
    """
    return np.where(data.completed, data.objective, np.nan)


def nothing_drawn(data: StudyData) -> str:
    """Why no objective can be drawn; empty if some can."""
    scores = scored(data)
    if drawable(scores).any():
        return ""
    if not np.isnan(scores).all():
        return "all objectives are infinite or beyond 1e300"
    return "no trial was trained to its end yet" if data.ended.any() else "no trial has ended yet"


def shown(values: Floats) -> Floats:
    """The values, NaN where one has no place on an axis."""
    return np.where(drawable(values), values, np.nan)


@dataclass(frozen=True, slots=True)
class Axis:
    """A hyperparameter as an axis.

    Attributes:
        position: n, where each trial lies in the range, on the scale of the search, in [0, 1]; NaN where the
            hyperparameter does not exist.
        values: n, as searched; None or NaN where it does not exist.
        low, high: bounds of a number; 0 and the number of choices of a categorical.
        choices: of a categorical, else empty.
        log: whether the values are shown on a logarithmic axis.
        whole: whether they are integers.
    """

    name: str
    position: Floats
    values: NDArray[Any]
    low: float
    high: float
    choices: tuple[str, ...] = ()
    log: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Searched:
    """A hyperparameter that exists in some trial: its settings, and its columns of ``StudyData.x``."""

    name: str
    parameter: Mapping[str, Any]
    columns: slice


def hyperparameters(data: StudyData) -> Iterator[Searched]:
    """Those that exist in some trial, in the order of the configuration."""
    space: Mapping[str, Any] = data.config.get("space") or {}
    start = 0
    for name in searched(conditions(space), data.config.get("fixed") or {}):
        width = max(len(space[name].get("choices", ())), 1)
        yield Searched(name, space[name], slice(start, start + width))
        start += width


def conditions(space: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What each hyperparameter of a recorded search space depends on."""
    return {name: parameter.get("when") or {} for name, parameter in space.items()}


def axes(data: StudyData) -> list[Axis]:
    """The hyperparameters that some trial had, in the order of the configuration."""
    return [
        _axis(data, one, data.x[:, one.columns])
        for one in hyperparameters(data)
        if one.name in data.params and data.x[:, one.columns].shape[1]
    ]


def _axis(data: StudyData, one: Searched, block: Floats) -> Axis:
    """The axis of a hyperparameter with these columns ``n x k`` of ``x``."""
    parameter, values = one.parameter, data.params[one.name]
    there = np.array([value is not None and value == value for value in values], dtype=np.bool_)  # NaN is not
    choices = tuple(str(choice) for choice in parameter.get("choices", ()))
    if choices:
        position = np.where(there, (np.argmax(block, axis=1) + 0.5) / len(choices), np.nan)
        texts = np.array([None if value is None else str(value) for value in values], dtype=object)
        return Axis(one.name, position, texts, 0, len(choices), choices)
    log, whole = parameter.get("scale") == "log", parameter["type"] == "int"
    position = np.where(there, block[:, 0], np.nan)
    return Axis(one.name, position, values, parameter["low"], parameter["high"], (), log, whole)
