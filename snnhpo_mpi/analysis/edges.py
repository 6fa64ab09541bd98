"""Where the search's own limits may have held it back: the best at the end of a range, or nothing left to ask."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhpo_mpi.analysis import points
from snnhpo_mpi.config.conditions import exists, needs
from snnhpo_mpi.plain_text import some
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import ParamValue

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
        value, place = axis.values[row], float(axis.position[row])
        if axis.choices or math.isnan(place):
            continue
        if value <= axis.low if axis.whole else place <= NEAR:
            found.append(Edge(axis.name, "low", axis.low))
        elif value >= axis.high if axis.whole else place >= 1.0 - NEAR:
            found.append(Edge(axis.name, "high", axis.high))
    return tuple(found)


def advice(found: Sequence[Edge], n_ranges: int, most: int = 8) -> str:
    """Which bounds to widen, in one sentence."""
    keys = some([f"{edge.key} ({edge.limit:.4g})" for edge in found], most)
    return f"the best lies at the end of {len(found)} of {n_ranges} ranges; if these may be wider, widen {keys}"


def n_ranges(data: StudyData) -> int:
    """Hyperparameters that are numbers."""
    return sum("choices" not in one.parameter for one in points.hyperparameters(data))


def used_up(data: StudyData) -> int | None:
    """How many configurations the space has, if it is finite and all of them were asked; None otherwise."""
    space = {one.name: one.parameter for one in points.hyperparameters(data)}
    if not space or any(parameter["type"] == "float" for parameter in space.values()):
        return None
    size = _size(space, data.n_trials)
    return size if size <= data.n_trials and len(np.unique(data.x.round(9), axis=0)) >= size else None


def _size(space: Mapping[str, Mapping[str, Any]], most: int) -> int:
    """How many configurations a space of ints and choices has; where they are more than ``most``, any larger number."""
    conditions = points.conditions(space)
    known = needs({name: {k: v for k, v in of.items() if k in space} for name, of in conditions.items()})
    deciding = {other for need in known.values() for other in need}
    parts: list[tuple[dict[str, ParamValue], int]] = [({}, 1)]  # what decides, and how many configurations have it
    for name in known:  # those that others depend on first
        values = _values(space[name])
        grown: list[tuple[dict[str, ParamValue], int]] = []
        for chosen, n in parts:
            if not exists(known[name], chosen):
                grown.append((chosen, n))
            elif name in deciding:
                grown += [({**chosen, name: value}, n) for value in values[: most + 1]]
            else:
                grown.append((chosen, n * len(values)))
        parts = grown
        if sum(n for _, n in parts) > most:
            break
    return sum(n for _, n in parts)


def _values(parameter: Mapping[str, Any]) -> Sequence[ParamValue]:
    return parameter["choices"] if "choices" in parameter else range(parameter["low"], parameter["high"] + 1)
