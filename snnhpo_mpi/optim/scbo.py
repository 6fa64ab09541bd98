"""Asynchronous scalable constrained Bayesian optimization (SCBO) in mixed spaces.

    ask:   models of everything told and pending -> one joint draw -> its best point in the trust region
    tell:  the region grows after improvements and shrinks after failures; its centre is the incumbent

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO). Different from it: any number of trials pending; the centre is the
best feasible trial, else the least violating one, never merely the best objective; a restart keeps data and incumbent.

A proposal is a function of (seed, what was adopted, asked and told, in order): random numbers come from (seed,
number of the trial), fits from (seed, number told), and nothing is carried from ask to ask.

Notation
    d columns    m constraints    x  d  in [0, 1]^d
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.acquisition import Draw, climb, order, screen
from snnhpo_mpi.optim.candidates import column_groups, draw_candidates, first_unseen, widened
from snnhpo_mpi.optim.history import History, Pending, Told
from snnhpo_mpi.optim.models import Models, draw
from snnhpo_mpi.optim.sobol import RETRIES, SobolDesign, generator, row_key
from snnhpo_mpi.optim.surrogate import Posterior
from snnhpo_mpi.optim.trust_region import TrustRegion, box, relative_sides, step
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Trial, trial_seed

log = logging.getLogger(__name__)
Array = NDArray[np.float64]

N_CANDIDATES = 1500
FAILURES = 1.0  # in a row, per hyperparameter, after which the region shrinks
TEMPERATURES = (1.0, 0.5)  # of the draws, in turn: 1 a Thompson sample, 0 the posterior mean
SEARCH_LENGTHS = (0.8, 0.8, 1e3)  # in turn before the first feasible trial: near the least violation, or anywhere
N_CLIMBED = 2  # candidates that start a local search
ASK_KEY = 0  # of the generator
MIN_GAIN = 1e-3  # relative gain over the incumbent that counts as a success


class Scbo:
    """Proposes trials by constrained Thompson sampling in a trust region."""

    def __init__(self, space: Space, n_constraints: int, seed: int, n_initial: int) -> None:
        """An optimizer that was told nothing.

        Args:
            space: of the searched hyperparameters.
            n_constraints: m, may be 0.
            seed: of the study.
            n_initial: trials of the Sobol design before the models propose.
        """
        self._space, self._seed, self._n_initial = space, seed, n_initial
        self._history = History(space.dim, n_constraints)
        self._region = TrustRegion(failure_tolerance=max(4, math.ceil(len(space.names) * FAILURES)))
        self._models = Models(column_groups(space), seed)
        self._design = SobolDesign(space.dim, seed)
        self._next_number = 0
        self._seen: set[bytes] = set()
        self._diagnostics: dict[str, float | list[float]] = {}

    def adopt(self, trial: Trial) -> None:
        """Take a trial asked elsewhere as pending."""
        x = self._space.encode(trial.params)
        self._next_number = max(self._next_number, trial.number + 1)
        self._history.pending[trial.number] = Pending(x, self._region.generation)
        self._seen.add(row_key(x))

    def ask(self) -> Trial:
        """Next trial: inside the bounds and, while the space has others, neither told nor pending."""
        started = time.perf_counter()
        number = self._next_number
        self._diagnostics = {}
        x = self._proposal(number)
        trial = Trial(number, self._space.decode(x), trial_seed(self._seed, number))
        self.adopt(trial)
        self._diagnostics["length"] = self._region.length
        self._diagnostics["restarts"] = float(self._region.restarts)
        self._diagnostics["ask_seconds"] = time.perf_counter() - started
        return trial

    def tell(self, outcome: Outcome) -> None:
        """Learn from the answer to a pending trial; one that is not pending or lost teaches nothing."""
        before = self._history.told
        trial = self._history.tell(outcome)
        if trial is not None:
            improved = is_improvement(before, self._history.told)
            if before.feasible.any():
                self._region = step(self._region, improved, trial.generation)

    def diagnostics(self) -> dict[str, float | list[float]]:
        """Of the latest ask: length and restarts of the region, lengthscales, seconds of fits and of everything."""
        return dict(self._diagnostics)

    def _proposal(self, number: int) -> Array:
        """A point from the best of the ways that works: models, Sobol points of the region, of the cube, random."""
        rng = generator(self._seed, number, ASK_KEY)
        ways: list[Callable[[], Array | None]] = [lambda: self._from_design(number)]
        if number >= self._n_initial and not self._history.told.flat:  # nothing to model: on with the design
            ways = [lambda: self._from_models(number, rng), lambda: self._from_region(rng), *ways]
        for way in ways:
            try:
                x = way()
            except (ArithmeticError, ValueError) as error:  # no factor, overflow: LinAlgError is a ValueError
                log.warning("trial %d: fallback after %s: %s", number, type(error).__name__, error)
                continue
            if x is not None and np.isfinite(x).all():
                return x
        return self._from_cube(rng)

    def _from_design(self, number: int) -> Array | None:
        return first_unseen(self._space.snap(self._design[number][None]), self._seen)

    def _from_cube(self, rng: np.random.Generator) -> Array:
        X = self._space.snap(rng.random((RETRIES, self._space.dim)))
        x = first_unseen(X, self._seen)
        return X[0] if x is None else x  # every point of a small space was told: repeat one

    def _from_region(self, rng: np.random.Generator) -> Array | None:
        told = self._history.told
        row = told.incumbent() if len(told) else None
        if row is None:
            return None
        lower, upper = box(told.X[row], self._region.length, np.ones(self._space.dim))
        return first_unseen(draw_candidates(self._space, told.X[row], lower, upper, 64, rng), self._seen)

    def _from_models(self, number: int, rng: np.random.Generator) -> Array | None:
        told = self._history.told
        row = told.incumbent() if len(told) else None
        if row is None:
            return None
        started = time.perf_counter()
        posteriors = self._models.posteriors(told, self._history.pending_points())
        self._diagnostics["fit_seconds"] = time.perf_counter() - started
        if not any(posteriors):  # no constraint, and every trial stopped
            return None
        lengthscales = region_lengthscales(posteriors)
        self._diagnostics["lengthscales"] = lengthscales.tolist()
        if told.feasible.any():
            length, temperature = self._region.length, TEMPERATURES[number % len(TEMPERATURES)]
        else:
            length, temperature = SEARCH_LENGTHS[number % len(SEARCH_LENGTHS)], 1.0
        lower, upper = box(told.X[row], length, relative_sides(lengthscales))
        joint = draw(posteriors, rng, temperature)
        return self._best_of(joint, told.X[row], lower, upper, rng)

    def _best_of(
        self, joint: Draw, center: Array, lower: Array, upper: Array, rng: np.random.Generator
    ) -> Array | None:
        """The draw's best unseen point in the region."""
        X = draw_candidates(self._space, center, lower, upper, N_CANDIDATES, rng)
        top = screen(joint, X)
        lower, upper = widened(self._space, center, lower, upper)
        inside = joint.objective is not None and bool((joint.values(top[:1])[1] <= 0.0).all())
        climbed = [self._climb(joint, x, lower, upper, inside) for x in top[:N_CLIMBED]]
        found = np.concatenate([self._space.snap(np.array(climbed)), top])
        return first_unseen(found[order(*joint.values(found))], self._seen)

    def _climb(self, joint: Draw, x: Array, lower: Array, upper: Array, inside: bool) -> Array:
        lower, upper = lower.copy(), upper.copy()
        for block in self._space.onehot_blocks:  # a choice is no number: it stays
            lower[list(block)] = upper[list(block)] = x[list(block)]
        return climb(joint, x, lower, upper, inside)


def region_lengthscales(posteriors: list[Posterior | None]) -> Array:
    """Lengthscales ``d`` that shape the region: the objective's, else the geometric mean of the others'."""
    scales = [posterior.fitted.hyper.kernel.lengthscales for posterior in posteriors if posterior]
    if posteriors[0] is not None:
        return scales[0]
    mean: Array = np.exp(np.mean(np.log(scales), axis=0))
    return mean


def is_improvement(before: Told, after: Told) -> bool:
    """Whether the last of the answers ``after`` is a better incumbent, by a margin, than the one of ``before``."""
    row = after.incumbent()
    if row is None or row != len(after) - 1:
        return False
    old = before.incumbent() if len(before) else None
    if old is None or after.feasible[row] != before.feasible[old]:
        return True
    if not after.feasible[row]:
        return bool(after.violation[row] < (1.0 - MIN_GAIN) * before.violation[old])
    gain = after.Y[row] - before.Y[old]
    return bool(gain > MIN_GAIN * math.fabs(before.Y[old]))
