"""What the optimizer was told, sorted by what each answer is good for; decides what the models see of it.

Notation
    n told    m constraints    d columns    X  n x d    Y  n    C  n x m, feasible iff all <= 0
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.settings import DEFAULTS, OutputSettings
from snnhpo_mpi.optim.transforms import total_violation
from snnhpo_mpi.trial import Outcome, State

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

HUGE = 1e300  # larger numbers are cut to it: sums and differences of answers stay finite


@dataclass(frozen=True, slots=True)
class Told:
    """Answers in the order told, lost trials left out.

    Attributes:
        X: ``n x d``.
        Y: ``n``; NaN where there is no held-out score.
        C: ``n x m``; NaN where the trial failed.
        failed: ``n``.
        settings: how they are compared and shown to the models.
    """

    X: Array
    Y: Array
    C: Array
    failed: Mask
    settings: OutputSettings = DEFAULTS.outputs

    def __len__(self) -> int:
        return len(self.Y)

    def first(self, n: int) -> Told:
        """The first n answers."""
        return Told(self.X[:n], self.Y[:n], self.C[:n], self.failed[:n], self.settings)

    def take(self, rows: NDArray[np.intp]) -> Told:
        """Some of the answers."""
        return Told(self.X[rows], self.Y[rows], self.C[rows], self.failed[rows], self.settings)

    @property
    def scored(self) -> Mask:
        """``n``: trained to the end and scored."""
        return ~np.isnan(self.Y)

    @property
    def violation(self) -> Array:
        """``n``: total clipped violation; inf where the trial failed."""
        C = np.where(self.failed[:, None], 0.0, self.C)
        return np.where(self.failed, np.inf, total_violation(C, self.settings.saturation))

    @property
    def feasible(self) -> Mask:
        """``n``: scored with every constraint <= 0."""
        return self.scored & (self.violation <= 0.0)

    @property
    def flat(self) -> bool:
        """Whether no answer says where feasibility lies: none violates less than most others do."""
        violation = self.violation[~self.failed]
        return len(violation) == 0 or float(violation.min()) > self.settings.plateau * float(np.median(violation))

    def incumbent(self) -> int | None:
        """Row of the best feasible answer, else of the least violating one; None when all failed."""
        feasible = self.feasible
        if feasible.any():
            return int(np.argmax(np.where(feasible, self.Y, -np.inf)))
        if self.failed.all():
            return None
        return int(np.argmin(self.violation))


def admit(outcome: Outcome, n_constraints: int) -> tuple[float, Array, bool]:
    """(objective or NaN, constraints ``m`` or NaN, failed) of an answer: decides what the models see of it.

    * completed: everything. A number that is not finite, or a wrong number of constraints, makes it failed.
    * stopped: its constraints, and no objective. The running training accuracy of a silent network is another quantity
      than a held-out score, and lies near chance by construction; as an objective it would draw a cliff into a model
      that the constraints' models have already drawn, and make it blind to what lies behind.
    * failed: only the fact, which a model of its own sees (see ``failure_labels``).
    """
    numbers = np.asarray(outcome.constraints, dtype=np.float64)
    usable = outcome.state in (State.COMPLETED, State.STOPPED) and numbers.shape == (n_constraints,)
    if not usable or not np.isfinite(numbers).all():
        return math.nan, np.full(n_constraints, math.nan), True
    if outcome.state is State.STOPPED:
        return math.nan, np.clip(numbers, -HUGE, HUGE), False
    if outcome.objective is None or not math.isfinite(outcome.objective):
        return math.nan, np.full(n_constraints, math.nan), True
    return float(np.clip(outcome.objective, -HUGE, HUGE)), np.clip(numbers, -HUGE, HUGE), False


def failure_labels(failed: Mask, tolerated: float) -> Array:
    """Values of one more constraint: minus the tolerated share of failures, and 1 more where a trial failed.

    Their mean is <= 0 where at most that share of the trials fail. So a *region* that fails is avoided, and a lone
    failure among successes is smoothed away as noise.
    """
    return np.where(failed, 1.0 - tolerated, -tolerated)


@dataclass(frozen=True, slots=True)
class Pending:
    """A trial that is out: its point ``d`` and the trust region's generation when it was proposed."""

    x: Array
    generation: int


class Observations:
    """The answers so far and the trials that are out."""

    def __init__(self, dim: int, n_constraints: int, settings: OutputSettings = DEFAULTS.outputs) -> None:
        self.pending: dict[int, Pending] = {}
        self._m, self._settings = n_constraints, settings
        self._X = np.empty((16, dim))
        self._Y = np.empty(16)
        self._C = np.empty((16, n_constraints))
        self._failed = np.empty(16, dtype=np.bool_)
        self._n = 0

    @property
    def told(self) -> Told:
        """Views of the answers, in the order told."""
        n = self._n
        return Told(self._X[:n], self._Y[:n], self._C[:n], self._failed[:n], self._settings)

    def pending_points(self) -> Array:
        """``p x d``, in the order of their numbers."""
        rows = [self.pending[number].x for number in sorted(self.pending)]
        return np.array(rows).reshape(len(rows), self._X.shape[1])

    def tell(self, outcome: Outcome) -> Pending | None:
        """Move a pending trial to the answers; None when it was not pending, or nothing was learnt (lost)."""
        trial = self.pending.pop(outcome.number, None)
        if trial is None or outcome.state is State.LOST:
            return None
        if self._n == len(self._Y):
            self._grow()
        objective, constraints, failed = admit(outcome, self._m)
        n = self._n
        self._X[n], self._Y[n], self._C[n], self._failed[n] = trial.x, objective, constraints, failed
        self._n += 1
        return trial

    def _grow(self) -> None:
        # New arrays, so that views handed out before stay what they were.
        self._X = np.concatenate([self._X, np.empty_like(self._X)])
        self._Y = np.concatenate([self._Y, np.empty_like(self._Y)])
        self._C = np.concatenate([self._C, np.empty_like(self._C)])
        self._failed = np.concatenate([self._failed, np.empty_like(self._failed)])
