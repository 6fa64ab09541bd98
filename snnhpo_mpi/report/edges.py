"""Where the search's own limits may have held it back: the best at the end of a range, or nothing left to ask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points
from snnhpo_mpi.report.labels import some

NEAR = 0.01  # of the scaled range of a float


@dataclass(frozen=True, slots=True)
class Edge:
    """A bound that a trial lies at.

    Attributes:
        name: of the hyperparameter.
        bound: ``low`` or ``high``.
        limit: its value.
    """

    name: str
    bound: str
    limit: float

    @property
    def key(self) -> str:
        """Of the configuration, to be widened."""
        return f"space.{self.name}.{self.bound}"


def edges(data: StudyData, row: int) -> tuple[Edge, ...]:
    """Bounds that the trial in a row lies at: within 1 % of the scaled range of a float, the very end of an int's."""
    found = []
    for axis in points.axes(data):
        if axis.choices:
            continue
        value, place = axis.values[row], float(axis.position[row])
        whole = axis.values.dtype.kind in "iu"
        if value <= axis.low if whole else place <= NEAR:
            found.append(Edge(axis.name, "low", axis.low))
        elif value >= axis.high if whole else place >= 1.0 - NEAR:
            found.append(Edge(axis.name, "high", axis.high))
    return tuple(found)


def advice(found: Sequence[Edge], n_ranges: int, most: int = 8) -> str:
    """Which bounds to widen, in one sentence."""
    keys = some([f"{edge.key} ({edge.limit:.4g})" for edge in found], most)
    return f"the best lies at the end of {len(found)} of {n_ranges} ranges; if these may be wider, widen {keys}"


def n_ranges(data: StudyData) -> int:
    """Hyperparameters that are numbers."""
    return sum("choices" not in parameter for parameter in (data.config.get("space") or {}).values())


def used_up(data: StudyData) -> int | None:
    """How many configurations the space has, if it is finite and all of them were asked; None otherwise."""
    space = data.config.get("space") or {}
    if not space or any(parameter["type"] == "float" for parameter in space.values()):
        return None
    size = math.prod(_n_values(parameter) for parameter in space.values())
    if size > data.n_trials:
        return None
    return size if len(np.unique(data.x.round(9), axis=0)) >= size else None


def _n_values(parameter: dict[str, Any]) -> int:
    return len(parameter["choices"]) if "choices" in parameter else parameter["high"] - parameter["low"] + 1
