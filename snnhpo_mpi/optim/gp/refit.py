"""One model for each output, fitted at anchors on a fixed schedule and conditioned on everything told since.

A fit takes seconds once there are hundreds of trials. It then runs in another thread, while the asks go on with the
models of the anchor before, and comes into use a fixed number of answers later. So which models a proposal is made with
depends on the number told alone, never on how fast a fit was. Only where workers wait, the latest fit that is ready is
used, and one is made at a time.

Notation
    n told    a told at the anchor    p pending    d columns    m constraints
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim import fast
from snnhpo_mpi.optim.engines import Engine
from snnhpo_mpi.optim.observations import Told, failure_labels
from snnhpo_mpi.optim.settings import RefitSettings, ScboSettings
from snnhpo_mpi.optim.single_thread import single_threaded
from snnhpo_mpi.optim.sobol import generator
from snnhpo_mpi.optim.transforms import scale_constraint, scale_objective

Array = NDArray[np.float64]

FIT_KEY = 1  # of the generator


def anchors(n: int, settings: RefitSettings) -> tuple[int, int]:
    """Numbers told at which the models in use at n told, and the latest ones, were fitted."""
    if n <= settings.n_every:
        return n, n
    in_use = anchor = settings.n_every
    while anchor <= n:
        following = max(anchor + 1, min(int(anchor * settings.growth), anchor + settings.most_between))
        lag = following - anchor if anchor >= settings.n_concurrent else 0
        if anchor >= settings.n_modelled:  # a fit takes no longer than this, and every answer since costs the asks
            lag //= 2
        if anchor + lag <= n:
            in_use = anchor
        latest, anchor = anchor, following
    return in_use, latest


def modelled_rows(told: Told, most: int) -> NDArray[np.intp]:
    """The answers that models are made of: all, or the ``most`` nearest to the incumbent or to the latest restart's."""
    if len(told) <= most:
        return np.arange(len(told))
    seen = [told] if told.attempts is None else [told, told.scores_of(int(told.attempts.max()))]
    distances = [np.abs(told.X - told.X[one.incumbent() or 0]).sum(axis=1) for one in seen]
    distance = np.min(distances, axis=0)
    return np.sort(np.argsort(distance, kind="stable")[:most])


@dataclass(frozen=True, slots=True)
class Output:
    """Data of one model: the rows of the answers that it sees, and their values of about unit spread."""

    rows: NDArray[np.intp]
    y: Array


def outputs(told: Told) -> list[Output | None]:
    """Objective, m constraints, and failure; None where there is nothing to model (no score, no failure)."""
    scored, answered, settings = np.flatnonzero(told.scored), np.flatnonzero(~told.failed), told.settings
    objective = Output(scored, scale_objective(told.y[scored], settings.largest)) if len(scored) else None
    found: list[Output | None] = [objective]
    for c in told.C[answered].T:
        found.append(Output(answered, scale_constraint(c, settings.saturation)) if len(answered) else None)
    labels = failure_labels(told.failed, settings.failure_share)
    found.append(Output(np.arange(len(told)), labels) if told.failed.any() else None)
    return found


@dataclass(frozen=True, slots=True)
class Anchor:
    """Fits of all outputs: the rows of the answers that they were made of, and the seconds that they took."""

    n: int
    rows: NDArray[np.intp]
    fitted: list[Any]
    seconds: float


class Models:
    """All models of a study; the fits of the latest anchors are its only state."""

    def __init__(
        self,
        groups: NDArray[np.intp],
        seed: int,
        settings: ScboSettings,
        engine: Engine = fast,
        n_outputs: int | None = None,
    ) -> None:
        """No model yet.

        Args:
            groups: ``d`` index of the lengthscale that each column uses.
            seed: of the study.
            settings: of models and fits.
            engine: who computes them.
            n_outputs: the first so many are modelled; None: all.
        """
        self._n_outputs = n_outputs
        self._groups, self._seed, self._engine = groups, seed, engine
        self._gp, self._refit = settings.gp, settings.refit
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fits")
        self._fits: dict[int, Future[Anchor]] = {}
        self._off_schedule = False  # since a hurry
        self._n_calm = 0  # asks since then
        self._anchor: Anchor | None = None

    @property
    def fit_seconds(self) -> float:
        """What the fits in use took."""
        return self._anchor.seconds if self._anchor else 0.0

    @single_threaded()
    def posteriors(self, told: Told, X_pending: Array, hurried: bool = False) -> list[Any]:
        """Models of all outputs given what was told and what is pending; None where there is nothing to model.

        Args:
            told: all answers.
            X_pending: ``p x d``.
            hurried: wait for no fit but the first, and those of outputs that had no data then.
        """
        self._anchor = anchor = self._ready_anchor(told, hurried) or self._scheduled_anchor(told)
        known = self.known(told)
        return [self._posterior(j, anchor, known, output, X_pending) for j, output in enumerate(self._outputs(known))]

    def _outputs(self, known: Told) -> list[Output | None]:
        return outputs(known)[: self._n_outputs]

    def _scheduled_anchor(self, told: Told) -> Anchor:
        in_use, latest = anchors(len(told), self._refit)
        self._fits = {n: self._fits.get(n) or self._begin(told, n) for n in sorted({in_use, latest})}
        return self._fits[in_use].result()

    def _ready_anchor(self, told: Told, hurried: bool) -> Anchor | None:
        """In a hurry, and after it up to the schedule: the latest fit that is made, if any; begins one that is due."""
        in_use, latest = anchors(len(told), self._refit)
        made = [n for n, fit in self._fits.items() if fit.done() and fit.exception() is None]
        self._n_calm = 0 if hurried else self._n_calm + 1
        self._off_schedule = hurried or (self._off_schedule and in_use not in made)
        if not self._off_schedule or not made:
            return None
        tried = max(self._fits)
        over = tried not in made or self._n_calm > self._refit.calm_asks
        wait = 1 if over else min(self._refit.hurried_between, self._refit.hurried_growth * tried)
        if all(fit.done() for fit in self._fits.values()) and latest >= tried + wait:
            self._fits = {made[-1]: self._fits[made[-1]], latest: self._begin(told, latest)}
        return self._fits[made[-1]].result()

    def _begin(self, told: Told, n: int) -> Future[Anchor]:
        return self._executor.submit(self._fit_all, told.first(n))

    def known(self, told: Told) -> Told:
        """The answers that the models in use are made of, and those told since."""
        assert self._anchor is not None
        return told.take(np.concatenate([self._anchor.rows, np.arange(self._anchor.n, len(told))]))

    @single_threaded()
    def _fit_all(self, told: Told) -> Anchor:
        started, n = time.perf_counter(), len(told)
        rows = modelled_rows(told, self._refit.n_modelled)
        known = told.take(rows)
        fitted = [self._fit(n, j, known, output) for j, output in enumerate(self._outputs(known))]
        return Anchor(n, rows, fitted, time.perf_counter() - started)

    def _fit(self, anchor: int, j: int, known: Told, output: Output | None) -> Any:
        if output is None:
            return None
        rng = generator(self._seed, FIT_KEY, anchor, j)
        return self._engine.fit_anchor(known.X[output.rows], output.y, self._groups, rng, self._gp)

    def _posterior(self, j: int, anchor: Anchor, known: Told, output: Output | None, X_pending: Array) -> Any:
        if output is None:
            return None
        # An output without data at the anchor is fitted on what there is, again at each ask.
        fitted = anchor.fitted[j] or self._fit(anchor.n, j, known, output)
        X_new = known.X[output.rows[len(fitted.X) :]]
        return self._engine.condition(fitted, X_new, output.y, X_pending)
