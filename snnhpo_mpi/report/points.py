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


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of trial is drawn, the same in every figure; tells apart without colour too.

    Attributes:
        colour: of Okabe and Ito's palette, which the colour-blind can tell apart.
        marker, symbol: of Matplotlib and of plotly.
    """

    name: str
    colour: str
    marker: str
    symbol: str


FEASIBLE = Look("feasible", "#0072B2", "o", "circle")
INFEASIBLE = Look("completed, infeasible", "#CC79A7", "^", "triangle-up")
STOPPED = Look("stopped early", "#E69F00", "x", "x-thin-open")
FAILED = Look("failed", "#7F7F7F", "s", "square-open")
RUNNING = Look("running", "#56B4E9", "d", "diamond-open")
BEST = "#D55E00"
BASELINE = "#009E73"
CROWD = 500
LARGEST = 1e300  # that can be drawn: figures add margins and multiply
PAPER = "#F4F8FB"  # where there is nothing; dark on a dark page


def by_kind(data: StudyData) -> list[tuple[Look, Rows]]:
    """Every kind that occurs, with its rows; trials not sent out yet are of none."""
    failed = np.isin(data.state, [State.FAILED.value, State.LOST.value])
    masks = (
        (STOPPED, data.state == State.STOPPED.value),
        (INFEASIBLE, data.completed & ~data.feasible),
        (FEASIBLE, data.feasible),
        (FAILED, failed),
        (RUNNING, data.state == "running"),
    )
    return [(look, np.flatnonzero(mask)) for look, mask in masks if mask.any()]


def thinned(rows: Rows, limit: int) -> Rows:
    """At most ``limit`` of the rows, evenly spread."""
    if len(rows) <= limit:
        return rows
    return rows[np.linspace(0, len(rows) - 1, limit).round().astype(np.intp)]


def drawable(values: Floats) -> NDArray[np.bool_]:
    """Which values have a place on an axis: finite, and not so large that no margin fits around them."""
    return np.asarray(np.isfinite(values) & (np.abs(np.nan_to_num(values)) < LARGEST), dtype=np.bool_)


def nothing_drawn(data: StudyData) -> str:
    """Why no objective can be drawn; empty if some can."""
    if drawable(data.objective).any():
        return ""
    ended = not np.isnan(data.objective).all()
    return "all objectives are infinite or beyond 1e300" if ended else "no trial with an objective has ended yet"


def shown(values: Floats) -> Floats:
    """The values, NaN where one has no place on an axis."""
    return np.where(drawable(values), values, np.nan)


def crowding(n: int) -> tuple[float, float]:
    """Opacity of n points, and what their usual size is multiplied by: a cloud of many should not be a blot."""
    return (0.75, 1.0) if n <= CROWD else (0.4, 0.6)


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
