"""How much each hyperparameter alone has to do with silence and with the objective; needs no model.

Trials are put into ``k`` groups of (nearly) equal size by the hyperparameter's value, or into one a choice. The
influence is the share of the variance of ``y`` that lies between the groups, less what chance gives: epsilon squared
(Kelley 1935), 1 - (1 - eta^2) (n - 1) / (n - k) with eta^2 the plain share. It sees no interactions, and the trials of
a search are no random sample: it is a hint, not a test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points
from snnhpo_mpi.trial import State

Floats = NDArray[np.float64]
N_GROUPS = 5
FEWEST_TRIALS = 4 * N_GROUPS


@dataclass(frozen=True, slots=True)
class Influence:
    """Of one hyperparameter.

    Attributes:
        silence: share of the variance of stopped or not that it explains, in [0, 1]; NaN with too few trials.
        objective: the same of the objective among the completed trials.
    """

    name: str
    silence: float
    objective: float


def influences(data: StudyData) -> list[Influence]:
    """Every hyperparameter's influence, in the order of the configuration."""
    stopped = data.state == State.STOPPED.value
    trained = stopped | data.completed
    return [
        Influence(
            axis.name,
            explained(_groups(axis, trained), stopped[trained].astype(np.float64)),
            explained(_groups(axis, data.completed), data.objective[data.completed]),
        )
        for axis in points.axes(data)
    ]


def explained(group: NDArray[np.intp], y: Floats) -> float:
    """Share of the variance of ``y`` between groups, adjusted for chance, not below 0.

    Args:
        group: n, the group of each value.
        y: n.
    """
    n, k = len(y), len(np.unique(group))
    total = float(np.sum((y - y.mean()) ** 2)) if n else 0.0
    if n < FEWEST_TRIALS or total == 0.0 or k >= n:
        return float("nan")
    within = sum(float(np.sum((y[group == g] - y[group == g].mean()) ** 2)) for g in np.unique(group))
    return max(1.0 - within / total * (n - 1) / (n - k), 0.0)


def _groups(axis: points.Axis, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    position = axis.position[chosen]
    if axis.choices or len(np.unique(position)) <= N_GROUPS:
        return np.unique(position, return_inverse=True)[1]
    edges = np.quantile(position, np.linspace(0, 1, N_GROUPS + 1)[1:-1])
    return np.searchsorted(np.unique(edges), position, side="right")
