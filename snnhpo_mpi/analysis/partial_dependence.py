"""Where networks are silent: the feasible probability that the constraints' models see along each hyperparameter.

The models are the search's own kind, fitted anew to the record: to all of it, or to a sample of a long one.

Notation: d columns, n trials of the sample, r points, b points that stand for the rest of the space.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.special import ndtr

from snnhpo_mpi.analysis.summary import best_trials
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.optim.candidates import column_groups
from snnhpo_mpi.optim.gp.batched import Moments
from snnhpo_mpi.optim.gp.conditioning import condition, fit_anchor
from snnhpo_mpi.optim.gp.refit import outputs
from snnhpo_mpi.optim.observations import Told, admit
from snnhpo_mpi.optim.settings import DEFAULTS
from snnhpo_mpi.optim.single_thread import single_threaded
from snnhpo_mpi.optim.sobol import generator
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State

Array = NDArray[np.float64]

MOST_TRIALS = 300  # in a model: a fit takes seconds, and the curves are averages
FEWEST_TRIALS = 10
N_BASE, N_BEST = 32, 16  # b of random configurations, and of the best feasible ones
N_GRID = 13  # values of a number; a categorical has its choices
KEY = 0x5E1F  # of the generator


@dataclass(frozen=True, slots=True)
class Along:
    """The feasible probability along one hyperparameter, where it exists.

    Attributes:
        position: g, places in its range on the scale of the search, in [0, 1]; of a categorical one a choice.
        anywhere: g, with the other hyperparameters at random.
        near_best: g, with the others as in the best feasible trials; NaN where there are none.
    """

    name: str
    position: Array
    anywhere: Array
    near_best: Array


@single_threaded()
def feasible_along(data: StudyData) -> list[Along]:
    """The curves, in the order of the configuration; none without constraints, or with too few answers to model."""
    try:
        config = StudyConfig.model_validate_json(json.dumps(dict(data.config)))
    except ValidationError:  # of another version: everything else of a report needs no settings
        return []
    space, told = Space(config.searched), _told(data)
    if not data.constraint_names or data.x.shape[1] != space.dim or len(told) < FEWEST_TRIALS:
        return []
    if len(np.unique(told.feasible)) < 2:  # no border between feasible and not: nothing to show
        return []
    models = _models(told, column_groups(space))
    rng = generator(config.study.seed, KEY, 0)
    anywhere = rng.random((N_BASE, space.dim))
    rows = [int(np.flatnonzero(data.number == found.number)[0]) for found in best_trials(data, N_BEST)]
    best = data.x[rows]
    return [
        _along(space, name, models, space.made_to_exist(name, anywhere, rng), best[space.exists(name, best)])
        for name in space.names
    ]


def _told(data: StudyData) -> Told:
    """The answers as the optimizer sees them, an even sample of the ended trials where there are many."""
    rows = np.flatnonzero(data.ended & (data.state != State.LOST.value))
    if len(rows) > MOST_TRIALS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_TRIALS).round().astype(np.intp)]
    m = len(data.constraint_names)
    k = len(data.objective_names)
    answers = [admit(_outcome(data, int(row)), m, k) for row in rows]
    Y, C, failed = ([answer[i] for answer in answers] for i in range(3))
    return Told(
        data.x[rows],
        np.array(Y).reshape(len(rows), k),
        np.array(C).reshape(len(rows), m),
        np.array(failed, dtype=np.bool_),
        data.seconds[rows],
    )


def _outcome(data: StudyData, row: int) -> Outcome:
    objectives = {name: float(values[row]) for name, values in data.objectives.items()}
    constraints = tuple(data.constraints[row].tolist())
    return Outcome(int(data.number[row]), State(data.state[row]), objectives, constraints)


def _models(told: Told, groups: NDArray[np.intp]) -> Moments:
    """Models of the constraints, and of failing where trials failed."""
    none = told.X[:0]
    found = []
    for j, output in enumerate(outputs(told)[1:], start=1):
        if output is not None:
            fitted = fit_anchor(told.X[output.rows], output.y, groups, generator(0, KEY, j), DEFAULTS.gp)
            found.append(condition(fitted, none, output.y, none))
    return Moments(found)


def _along(space: Space, name: str, models: Moments, anywhere: Array, best: Array) -> Along:
    columns = space.columns[name]
    width = columns.stop - columns.start
    grid = np.eye(width) if width > 1 else np.linspace(0.0, 1.0, N_GRID)[:, None]
    position = (np.arange(width) + 0.5) / width if width > 1 else grid[:, 0]
    curves = []
    for base in (anywhere, best):
        if not len(base):
            curves.append(np.full(len(grid), np.nan))
            continue
        X = np.repeat(base, len(grid), axis=0)
        X[:, columns] = np.tile(grid, (len(base), 1))
        curves.append(_probability(models, space.snap(X)).reshape(len(base), len(grid)).mean(axis=0))
    return Along(name, position, curves[0], curves[1])


def _probability(models: Moments, X: Array) -> Array:
    """``r x d`` -> ``r``: that every constraint is <= 0 there, the models being independent."""
    means, variances = models(X)
    probability: Array = ndtr(-means / np.sqrt(variances)).prod(axis=0)
    return probability
