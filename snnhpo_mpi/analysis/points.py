"""The trials as points of a figure: what kind each is, where each hyperparameter lies in its range, which to draw.

Notation: n trials asked; k of them drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        position: n, where each trial lies in the range, on the scale of the search, in [0, 1].
        values: n, as searched.
        low, high: bounds of a number; 0 and the number of choices of a categorical.
        choices: of a categorical, else empty.
        log: whether the values are shown on a logarithmic axis.
    """

    name: str
    position: Floats
    values: NDArray[Any]
    low: float
    high: float
    choices: tuple[str, ...] = ()
    log: bool = False


def axes(data: StudyData) -> list[Axis]:
    """The hyperparameters in the order of the configuration."""
    found: list[Axis] = []
    start = 0
    for name, parameter in (data.config.get("space") or {}).items():
        choices = tuple(str(choice) for choice in parameter.get("choices", ()))
        block = data.x[:, start : start + max(len(choices), 1)]
        start += max(len(choices), 1)
        if name not in data.params or block.shape[1] == 0:
            continue
        if choices:
            position = (np.argmax(block, axis=1) + 0.5) / len(choices)
            values = np.array([str(value) for value in data.params[name]], dtype=object)
            found.append(Axis(name, position, values, 0, len(choices), choices))
        else:
            log = parameter.get("scale") == "log"
            found.append(Axis(name, block[:, 0], data.params[name], parameter["low"], parameter["high"], (), log))
    return found
