"""Which hyperparameters matter: how much a forest's prediction suffers without one, and how short its lengthscale is.

Permutation importance (Breiman, Machine Learning 45, 2001): a random forest learns half of the trials; each
hyperparameter in turn is shuffled among the other half. The importance is what that takes from R^2, the share of the
variance that is predicted. It sees interactions. The trials of a search are no random sample: it is a hint, no test.
A hyperparameter that does not always exist is shuffled among the trials that have it.

The lengthscale is that of the search's own model of the objective: how far one has to go in the searched range, as a
share of it, for the objective to change. What is shown is its inverse, as a share of the largest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis import points
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import State

Floats = NDArray[np.float64]
FEWEST_TRIALS = 20
MOST_TRIALS = 1500
N_TREES = 60
N_SHUFFLES = 5
ABSENT = 0.5  # place of a hyperparameter that a trial lacks, as the search's own models see it


@dataclass(frozen=True, slots=True)
class Importance:
    """Of one hyperparameter; NaN where too little is known.

    Attributes:
        silence: what shuffling it takes from R^2 in predicting whether a network is stopped.
        objective: the same in predicting the objective of completed trials.
        sensitivity: its inverse lengthscale, 1 for the largest.
    """

    name: str
    silence: float
    objective: float
    sensitivity: float


def importances(data: StudyData) -> list[Importance]:
    """Every hyperparameter's importance, in the order of the configuration."""
    axes = points.axes(data)
    if not axes:
        return []
    X = np.column_stack([axis.position for axis in axes])
    stopped = data.state == State.STOPPED.value
    trained = np.flatnonzero(stopped | data.completed | (data.state == State.PRUNED.value))
    completed = np.flatnonzero(data.completed)
    silence = permutation(X[trained], stopped[trained].astype(np.float64))
    objective = permutation(X[completed], data.objective[completed])
    sensitivity = _sensitivity(data, axes)
    return [
        Importance(axis.name, float(silence[i]), float(objective[i]), float(sensitivity[i]))
        for i, axis in enumerate(axes)
    ]


def permutation(X: Floats, y: Floats) -> Floats:
    """What shuffling each column takes from the R^2 of a forest on unseen rows, not below 0.

    Args:
        X: ``n x k``; NaN where a trial lacks a hyperparameter.
        y: n, of which infinite ones are left out.

    Returns:
        k; NaN where there are too few rows, or nothing to predict.
    """
    rows = points.thinned(np.flatnonzero(np.isfinite(y)), MOST_TRIALS)
    X, y = X[rows], y[rows]
    there = ~np.isnan(X)
    X = np.where(there, X, ABSENT)
    y = y / (np.max(np.abs(y), initial=0.0) or 1.0)  # shares of the variance have no scale, but squares of 1e-300 are 0
    rng = np.random.default_rng(0)
    order = rng.permutation(len(y))
    learnt, unseen = order[::2], order[1::2]
    if len(y) < FEWEST_TRIALS or np.ptp(y[learnt]) == 0 or np.var(y[unseen]) == 0:
        return np.full(X.shape[1], np.nan)
    from sklearn.ensemble import RandomForestRegressor  # a second of import that other commands need not wait for

    forest = RandomForestRegressor(N_TREES, min_samples_leaf=2, max_features=0.5, random_state=0, n_jobs=1)
    forest.fit(X[learnt], y[learnt])
    variance = float(np.var(y[unseen]))
    error = float(np.mean((forest.predict(X[unseen]) - y[unseen]) ** 2))
    lost = np.zeros(X.shape[1])
    for column in range(X.shape[1]):
        for _ in range(N_SHUFFLES):
            shuffled, having = X[unseen], there[unseen, column]
            shuffled[having, column] = rng.permutation(shuffled[having, column])
            lost[column] += (np.mean((forest.predict(shuffled) - y[unseen]) ** 2) - error) / variance / N_SHUFFLES
    return np.maximum(lost, 0.0)


def _sensitivity(data: StudyData, axes: list[points.Axis]) -> Floats:
    """Inverse lengthscales of the latest model, one a hyperparameter: the columns of a categorical share one."""
    recorded = data.optimizer.get("lengthscales", np.empty((0, 0)))
    rows = np.flatnonzero(~np.isnan(recorded).any(axis=1)) if recorded.ndim == 2 else np.empty(0, np.intp)
    columns = {one.name: one.columns for one in points.hyperparameters(data)}
    if not len(rows) or recorded.shape[1] != max((one.stop for one in columns.values()), default=0):
        return np.full(len(axes), np.nan)
    first = [columns[axis.name].start for axis in axes]
    inverse = 1.0 / np.maximum(recorded[rows[-1], first], 1e-12)
    scaled: Floats = inverse / inverse.max()
    return scaled
