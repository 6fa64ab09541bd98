"""What trials reported while they trained, and when and why each of these curves ended.

Notation: k trials that reported; r_i reports of trial i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis.points import by_kind
from snnhpo_mpi.record import StudyData

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """The reports of a trial.

    Attributes:
        number: of the trial.
        kind: how it ended, as figures call it (``points.by_kind``).
        position: ``r_i``, in samples, or in what a function of the user counts.
        score: ``r_i``.
    """

    number: int
    kind: str
    position: Floats
    score: Floats


def learning_curves(data: StudyData) -> list[LearningCurve]:
    """Those with a finite score, in the order of their trials; of a trial that was sent again, each report once."""
    kinds = {int(data.number[row]): kind for kind, rows in by_kind(data) for row in rows}
    known = np.flatnonzero(np.isfinite(data.reports["score"]))
    known = known[np.argsort(data.reports["number"][known], kind="stable")]
    numbers, starts = np.unique(data.reports["number"][known], return_index=True)
    found = []  # of no report, the split has one part and the numbers none
    for number, mine in zip(numbers.tolist(), np.split(known, starts[1:]), strict=False):
        position, first = np.unique(data.reports["position"][mine], return_index=True)
        if number in kinds:
            score = data.reports["score"][mine][first]
            found.append(LearningCurve(number, kinds[number], position.astype(float), score))
    return found
