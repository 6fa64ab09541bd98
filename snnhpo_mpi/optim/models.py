"""One model for each output, fitted at anchors on a fixed schedule and conditioned on everything told since.

Notation
    n told    a told at the anchor    p pending    d columns    m constraints
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.acquisition import Draw, Improvement
from snnhpo_mpi.optim.history import Told, failure_labels
from snnhpo_mpi.optim.posterior import Fitted, Posterior
from snnhpo_mpi.optim.sobol import generator
from snnhpo_mpi.optim.stack import Moments, Paths
from snnhpo_mpi.optim.surrogate import condition, fit_anchor
from snnhpo_mpi.optim.transforms import scale_constraint, scale_objective

Array = NDArray[np.float64]

N_EVERY = 20  # up to so many told, every answer brings a fit
GROWTH = 1.06  # then one whenever the number told has grown by this factor
N_MODELLED = 400  # most trials that a model is made of
FIT_KEY = 1  # of the generator


def anchor_of(n: int) -> int:
    """The number told at which the models in use at n told were fitted."""
    if n <= N_EVERY:
        return n
    anchor = N_EVERY
    while (following := max(anchor + 1, int(anchor * GROWTH))) <= n:
        anchor = following
    return anchor


def modelled_rows(told: Told) -> NDArray[np.intp]:
    """The answers that models are made of: all, or the nearest to the incumbent where there are too many."""
    if len(told) <= N_MODELLED:
        return np.arange(len(told))
    center = told.X[told.incumbent() or 0]
    distance = np.abs(told.X - center).sum(axis=1)
    return np.sort(np.argsort(distance, kind="stable")[:N_MODELLED])


@dataclass(frozen=True, slots=True)
class Output:
    """Data of one model: the rows of the answers that it sees, and their values of about unit spread."""

    rows: NDArray[np.intp]
    y: Array


def outputs(told: Told) -> list[Output | None]:
    """Objective, m constraints, and failure; None where there is nothing to model (no score, no failure)."""
    scored, answered = np.flatnonzero(told.scored), np.flatnonzero(~told.failed)
    found: list[Output | None] = [Output(scored, scale_objective(told.Y[scored])) if len(scored) else None]
    found += [Output(answered, scale_constraint(c)) if len(answered) else None for c in told.C[answered].T]
    found.append(Output(np.arange(len(told)), failure_labels(told.failed)) if told.failed.any() else None)
    return found


class Models:
    """All models of a study; a cache of the latest anchor's fits is its only state."""

    def __init__(self, groups: NDArray[np.intp], seed: int) -> None:
        self._groups, self._seed = groups, seed
        self._anchor = -1
        self._rows: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._fitted: list[Fitted | None] = []

    def posteriors(self, told: Told, X_pending: Array) -> list[Posterior | None]:
        """Models of all outputs given what was told and what is pending; None where there is nothing to model."""
        anchor = anchor_of(len(told))
        if anchor != self._anchor:
            self._rows = modelled_rows(told.first(anchor))
            known = told.take(self._rows)
            self._fitted = [self._fit(anchor, j, known, output) for j, output in enumerate(outputs(known))]
            self._anchor = anchor
        known = self._known(told)
        return [self._posterior(j, known, output, X_pending) for j, output in enumerate(outputs(known))]

    def improvement(self, posteriors: list[Posterior | None], told: Told) -> Improvement:
        """Expected improvement over the best feasible trial's mean; of feasibility alone while there is none."""
        known, objective = self._known(told), posteriors[0]
        if objective is None or not known.feasible.any():
            return Improvement(Moments([posterior for posterior in posteriors[1:] if posterior]), None)
        means = objective.mean_at_told(int(known.scored.sum()))
        best = float(means[known.feasible[known.scored]].max())
        return Improvement(Moments([posterior for posterior in posteriors if posterior]), best)

    def _known(self, told: Told) -> Told:
        """The answers that the models of the latest anchor are made of, and those told since."""
        return told.take(np.concatenate([self._rows, np.arange(self._anchor, len(told))]))

    def _fit(self, anchor: int, j: int, known: Told, output: Output | None) -> Fitted | None:
        if output is None:
            return None
        rng = generator(self._seed, FIT_KEY, anchor, j)
        return fit_anchor(known.X[output.rows], output.y, self._groups, rng)

    def _posterior(self, j: int, known: Told, output: Output | None, X_pending: Array) -> Posterior | None:
        if output is None:
            return None
        # An output without data at the anchor is fitted on what there is, again at each ask.
        fitted = self._fitted[j] or self._fit(self._anchor, j, known, output)
        assert fitted is not None
        X_new = known.X[output.rows[len(fitted.X) :]]
        return condition(fitted, X_new, output.y, X_pending)


def draw(posteriors: list[Posterior | None], rng: np.random.Generator) -> Draw:
    """One joint draw; the outputs are independent."""
    paths = [posterior.draw(rng) for posterior in posteriors if posterior]
    return Draw(Paths(paths), Paths(paths, np.float32), scored=posteriors[0] is not None)
