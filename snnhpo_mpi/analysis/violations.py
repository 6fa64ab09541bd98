"""Which constraints keep a search from its first feasible trial."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnhpo_mpi.record import StudyData


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that trials violate.

    Attributes:
        name: of the constraint.
        n: trials whose value is above 0.
        of: trials that have a value.
        least: the smallest value among all of these; feasible is at most 0.
    """

    name: str
    n: int
    of: int
    least: float


def violations(data: StudyData) -> tuple[Violation, ...]:
    """Every constraint that some trial violates, the most frequent first."""
    found = []
    for name, column in zip(data.constraint_names, data.constraints.T, strict=True):
        values = column[np.isfinite(column)]
        if n := int((values > 0).sum()):
            found.append(Violation(name, n, len(values), float(values.min())))
    return tuple(sorted(found, key=lambda one: -one.n))
