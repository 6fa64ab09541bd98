"""Asynchronous scalable constrained Bayesian optimization (SCBO) in mixed spaces.

    ask:   models of everything told and pending -> the best point in the trust region, of one joint draw (Thompson
           sampling) and of the constrained expected improvement in turn
    tell:  the region grows after improvements and shrinks after failures; its centre is the incumbent

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO). Different from it: any number of trials pending; every second trial
exploits; the centre is the best feasible trial, else the least violating one, never merely the best objective; a
restart knows where feasible points lie, and becomes the search when it beats the incumbent.

A proposal is a function of (seed, what was adopted, asked and told, in order): random numbers come from (seed,
number of the trial), fits from (seed, number told), and nothing is carried from ask to ask but, where workers wait, the
posteriors.

Notation
    d columns    m constraints    x  d  in [0, 1]^d
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Acquisition, Box
from snnhpo_mpi.optim.acquisition.log_cei import log_cei
from snnhpo_mpi.optim.acquisition.thompson import temperature
from snnhpo_mpi.optim.candidates import column_groups, draw_candidates, first_unseen, nearest, widened
from snnhpo_mpi.optim.engines import engine_of
from snnhpo_mpi.optim.gp.refit import Models
from snnhpo_mpi.optim.observations import Observations, Pending, Told
from snnhpo_mpi.optim.settings import DEFAULTS, ScboSettings
from snnhpo_mpi.optim.single_thread import single_threaded
from snnhpo_mpi.optim.sobol import RETRIES, SobolDesign, generator, row_key, sobol_points
from snnhpo_mpi.optim.trust_region import TrustRegion, box, first_region, relative_sides, step
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Proposal, Trial, trial_seed

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
Region = tuple[Array, Array]  # lower and upper corner, each d

ASK_KEY = 0  # of the generator


@dataclass(slots=True)
class Shared:
    """Posteriors of an attempt, the number told when they were made, and the proposals made with them."""

    attempt: int
    posteriors: list[Any]
    n_told: int
    n_asks: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A search from its own first points on: the main one, or a restart.

    The main one sees everything. A restart sees the constraints of all trials and the scores of its own alone: with all
    scores it would go where the main one has been.

    Attributes:
        number: of the restart; 0 for the first attempt.
        region: its trust region.
        scores: model of the scores of its own, if it sees no others.
    """

    number: int
    region: TrustRegion
    scores: Models | None = None


@dataclass(slots=True)
class Ask:
    """One ask: what it is for, and what is found out on the way.

    Attributes:
        number: of the trial.
        hurried: whether workers wait for it.
        rng: everything random of the proposal.
        diagnostics: of the proposal.
        n_unseen: answers told that the posteriors used have not seen.
    """

    number: int
    hurried: bool
    rng: np.random.Generator
    diagnostics: dict[str, float | list[float]]
    n_unseen: int = 0


class ScboSearch:
    """Proposes trials by constrained Thompson sampling and expected improvement in a trust region."""

    def __init__(
        self, space: Space, n_constraints: int, seed: int, n_initial: int, settings: ScboSettings = DEFAULTS
    ) -> None:
        """An optimizer that was told nothing.

        Args:
            space: of the searched hyperparameters.
            n_constraints: m, may be 0.
            seed: of the study.
            n_initial: trials of the Sobol design before the models propose.
            settings: its choices.

        Raises:
            ConfigError: there is no engine or no acquisition of the name in the settings.
        """
        self._space, self._seed, self._n_initial, self._settings = space, seed, n_initial, settings
        self._engine = engine_of(settings)
        self._observations = Observations(space.dim, n_constraints, settings.outputs)
        self._main = Attempt(0, first_region(len(space.names), settings.region))
        self._restart: Attempt | None = None  # the attempt that proposes, if there is one
        self._n_attempts = 1
        self._models = Models(column_groups(space), seed, settings, self._engine)
        region, h = settings.region, len(space.names)
        self._n_fresh = max(region.fresh_min, math.ceil(h * region.fresh_per_hyperparameter))
        self._n_fruitless = max(region.fruitless_min, math.ceil(h * region.fruitless_per_hyperparameter))
        self._design = SobolDesign(space.dim, seed)
        self._next_number = self._n_told = 0
        self._seen: Counter[bytes] = Counter()
        self._shared: Shared | None = None

    def adopt(self, trial: Trial) -> None:
        """Take a trial asked elsewhere as pending."""
        x = self._space.encode(trial.params)
        self._next_number = max(self._next_number, trial.number + 1)
        attempt = self._current
        self._observations.pending[trial.number] = Pending(x, attempt.number, attempt.region.generation)
        self._seen[row_key(x)] += 1

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial, which was never sent: what is told meanwhile gives a better one."""
        x = self._observations.pending.pop(trial.number).x
        self._next_number = trial.number
        self._shared = None
        key = row_key(x)
        self._seen[key] -= 1
        if not self._seen[key]:
            del self._seen[key]

    def ask(self, hurried: bool = False) -> Proposal:
        """Next trial: inside the bounds and, while the space has others, neither told nor pending.

        Args:
            hurried: workers wait for it: a draw of fewer candidates, none of which is climbed, from posteriors that
                may be those of the hurried asks just before.

        Returns:
            The trial and the number of answers that it follows from. Diagnostics: length and restarts of the region,
            lengthscales, seconds of the fits in use and of the ask, whether it was hurried, and how many answers told
            it has not seen (``behind``).
        """
        started = time.perf_counter()
        number = self._next_number
        ask = Ask(number, hurried, generator(self._seed, number, ASK_KEY), {"hurried": float(hurried)})
        with single_threaded():
            x = self._proposal(ask)
        trial = Trial(number, self._space.decode(x), trial_seed(self._seed, number))
        self.adopt(trial)
        ask.diagnostics["length"] = self._current.region.length
        ask.diagnostics["restarts"] = float(self._n_attempts - 1)
        ask.diagnostics["ask_seconds"] = time.perf_counter() - started
        return Proposal(trial, self._n_told - ask.n_unseen, ask.diagnostics)

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """Learn from the answer to a pending trial; one that is not pending or lost teaches nothing."""
        self._n_told += 1
        before = self._observations.told
        trial = self._observations.tell(outcome, seconds)
        if trial is not None and before.feasible.any():
            self._step(before, trial)

    @property
    def _current(self) -> Attempt:
        """The attempt that proposes."""
        return self._restart or self._main

    def _new_restart(self) -> Attempt:
        scores = Models(column_groups(self._space), self._seed, self._settings, self._engine, n_outputs=1)
        self._n_attempts += 1
        return Attempt(self._n_attempts - 1, first_region(len(self._space.names), self._settings.region), scores)

    def _step(self, before: Told, trial: Pending) -> None:
        """Attempts and their regions after the answer to a trial, with what was told before it."""
        told, restart = self._observations.told, self._restart
        improved = is_improvement(before, told, self._settings.region.min_gain)
        if restart and trial.attempt == restart.number:
            if improved:  # its region goes on, and sees everything
                self._main, self._restart = Attempt(restart.number, restart.region), None
            else:
                self._step_restart(restart, told, trial)
        elif improved or trial.attempt == self._main.number:
            self._main = replace(self._main, region=step(self._main.region, improved, trial.generation))
        if self._restart is None and self._main.region.fruitless >= self._n_fruitless + len(self._observations.pending):
            self._restart = self._new_restart()

    def _step_restart(self, restart: Attempt, told: Told, trial: Pending) -> None:
        """The restart after an answer that was no new incumbent: it goes on, or gives up."""
        own = told.scores_of(restart.number)
        if self._observations.n_of(restart.number) <= self._n_fresh:
            return
        improved = is_improvement(own.first(len(own) - 1), own, self._settings.region.min_gain)
        region = step(restart.region, improved, trial.generation)
        self._restart = replace(restart, region=region)
        if region.fruitless >= self._n_fruitless // 2 + len(self._observations.pending):
            self._restart = None  # half as many failures more of the main one, and there is another
            self._main = replace(self._main, region=replace(self._main.region, fruitless=self._n_fruitless // 2))

    def _proposal(self, ask: Ask) -> Array:
        """A point from the best of the ways that works: models, Sobol points of the region, of the cube, random."""
        ways: list[Callable[[], Array | None]] = [lambda: self._from_design(ask.number)]
        if ask.number >= self._n_initial and not self._observations.told.flat:  # nothing to model: on with the design
            ways = [lambda: self._from_models(ask), lambda: self._from_region(ask.rng), *ways]
        for way in ways:
            try:
                x = way()
            except (ArithmeticError, ValueError) as error:  # no factor, overflow: LinAlgError is a ValueError
                log.warning("trial %d: fallback after %s: %s", ask.number, type(error).__name__, error)
                continue
            if x is not None and np.isfinite(x).all():
                return x
        return self._from_cube(ask.rng)

    def _from_design(self, number: int) -> Array | None:
        return first_unseen(self._space.snap(self._design[number][None]), self._seen)

    def _from_cube(self, rng: np.random.Generator) -> Array:
        X = self._space.snap(rng.random((RETRIES, self._space.dim)))
        x = first_unseen(X, self._seen)
        return X[0] if x is None else x  # every point of a small space was told: repeat one

    def _from_region(self, rng: np.random.Generator) -> Array | None:
        told = self._observations.told
        row = told.incumbent() if len(told) else None
        if row is None:
            return None
        lower, upper = box(told.X[row], self._current.region.length, np.ones(self._space.dim))
        n = self._settings.candidates.n_fallback
        return first_unseen(draw_candidates(self._space, told.X[row], lower, upper, n, rng), self._seen)

    def _from_models(self, ask: Ask) -> Array | None:
        attempt, told = self._current, self._observations.told
        if attempt.scores:
            told = told.scores_of(attempt.number)
        row = told.incumbent() if len(told) else None
        if row is None:
            return None
        center, settings = told.X[row], self._settings
        posteriors = self._posteriors(center, ask)
        ask.diagnostics["fit_seconds"] = self._models.fit_seconds
        if attempt.scores and (self._observations.n_of(attempt.number) < self._n_fresh or not told.feasible.any()):
            return self._fresh_point(posteriors[1:], ask.rng)
        if not any(posteriors):  # no constraint, and every trial stopped
            return None
        lengthscales = region_lengthscales(posteriors)
        ask.diagnostics["lengthscales"] = lengthscales.tolist()
        sides = relative_sides(lengthscales, settings.region.side_ratio)
        region = box(center, self._length(ask.number), sides)
        improving = ask.number % 2 == 1 and not ask.hurried
        X = draw_candidates(self._space, center, *region, self._n_candidates(ask.hurried, improving), ask.rng)
        aim = self._aim(posteriors, center, ask.rng, improving)
        n_modelled = max(len(posterior.X) for posterior in posteriors if posterior)
        search = settings.local_search
        n_evaluations = min(search.most_evaluations, search.evaluations_times_trials // n_modelled)
        return self._best(aim, X, center, region, 0 if ask.hurried else n_evaluations)

    def _fresh_point(self, constraints: list[Any], rng: np.random.Generator) -> Array | None:
        """The first of random points that is likely enough to be feasible, else the likeliest.

        Not the likeliest of all: those lie where the attempts before have been.
        """
        X = self._space.snap(sobol_points(self._settings.candidates.n_thompson, self._space.dim, rng))
        if any(constraints):
            log_chance = log_cei(*self._engine.surrogate(constraints)(X), None)
            enough = math.log(self._settings.region.fresh_chance)
            X = X[np.argsort(-np.minimum(log_chance, enough), kind="stable")]
        return first_unseen(X, self._seen)

    def _n_candidates(self, hurried: bool, improving: bool) -> int:
        counts = self._settings.candidates
        return counts.n_hurried if hurried else counts.n_improvement if improving else counts.n_thompson

    def _aim(
        self,
        posteriors: list[Any],
        center: Array,
        rng: np.random.Generator,
        improving: bool,
    ) -> Acquisition:
        told = self._observations.told
        if improving:
            attempt = self._current
            known = attempt.scores.known(told.of(attempt.number)) if attempt.scores else self._models.known(told)
            return self._engine.improvement(posteriors, known, center, rng, self._settings)
        n_pending = len(self._observations.pending)
        spread = temperature(n_pending, self._settings.thompson) if told.feasible.any() else 1.0
        return self._engine.draw(posteriors, rng, spread, self._settings)

    def _posteriors(self, center: Array, ask: Ask) -> list[Any]:
        told = self._observations.told
        attempt, shared, most = self._current, self._shared, self._settings.candidates.hurried_asks
        if not (ask.hurried and shared and shared.attempt == attempt.number and shared.n_asks < most):
            pending = nearest(self._observations.pending_points(), center, self._settings.candidates.most_pending)
            posteriors = self._models.posteriors(told, pending, ask.hurried)
            if attempt.scores:
                posteriors[:1] = attempt.scores.posteriors(told.of(attempt.number), pending, ask.hurried)
            shared = Shared(attempt.number, posteriors, len(told))
        shared.n_asks += 1
        self._shared = shared
        ask.n_unseen = len(told) - shared.n_told
        ask.diagnostics["behind"] = float(ask.n_unseen)
        return shared.posteriors

    def _length(self, number: int) -> float:
        """Of the region in which a trial is proposed: the trust region's, as soon as a trial was feasible."""
        if self._observations.told.feasible.any():
            return self._current.region.length
        lengths = self._settings.region.search_lengths
        return lengths[number % len(lengths)]

    def _best(self, aim: Acquisition, X: Array, center: Array, region: Region, n_evaluations: int) -> Array | None:
        """The first unseen point of X, or of those that the best of X climb to, in the order of an aim."""
        found = aim.screened(X, self._settings.candidates.n_screened)
        if n_evaluations:
            starts = found[: self._settings.local_search.n_starts]
            box = Box(self._space, *widened(self._space, center, *region))
            climbed = aim.climbed(starts, box, n_evaluations)
            found = np.concatenate([climbed, found])
        return first_unseen(aim.best_first(found), self._seen)


def region_lengthscales(posteriors: list[Any]) -> Array:
    """Lengthscales ``d`` that shape the region: the objective's, else the geometric mean of the others'."""
    scales: list[Array] = [posterior.lengthscales for posterior in posteriors if posterior]
    if posteriors[0] is not None:
        return scales[0]
    mean: Array = np.exp(np.mean(np.log(scales), axis=0))
    return mean


def is_improvement(before: Told, after: Told, min_gain: float) -> bool:
    """Whether the last of the answers ``after`` is a better incumbent, by a relative gain, than that of ``before``."""
    row = after.incumbent()
    if row is None or row != len(after) - 1:
        return False
    old = before.incumbent() if len(before) else None
    if old is None or after.feasible[row] != before.feasible[old]:
        return True
    if not after.feasible[row]:
        return bool(after.violation[row] < (1.0 - min_gain) * after.violation[old])
    gain = after.y[row] - before.y[old]
    return bool(gain > min_gain * math.fabs(before.y[old]))
