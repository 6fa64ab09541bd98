"""What the optimizer was told, sorted by what each answer is good for; decides what the models see of it.

Notation
    n told    k objectives    m constraints    d columns
    X  n x d    Y  n x k, larger is better    C  n x m, feasible iff all <= 0
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        Y: ``n x k``; NaN where there is no held-out score.
        C: ``n x m``; NaN where the trial failed.
        failed: ``n``.
        seconds: ``n``, what each cost its worker [s]; NaN where nobody measured that.
        settings: how they are compared and shown to the models.
        predicted: ``n``, whether Y is not measured but what a pruned trial would have had; None: all are measured.
        attempts: ``n``, number of the attempt that each trial belongs to; None: there is one.
    """

    X: Array
    Y: Array
    C: Array
    failed: Mask
    seconds: Array
    settings: OutputSettings = DEFAULTS.outputs
    predicted: Mask | None = None
    attempts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.Y)

    def first(self, n: int) -> Told:
        """The first n answers."""
        return self._some(slice(n))

    def take(self, rows: NDArray[np.intp]) -> Told:
        """Some of the answers."""
        return self._some(rows)

    def of(self, attempt: int) -> Told:
        """The answers of an attempt."""
        assert self.attempts is not None
        return self.take(np.flatnonzero(self.attempts == attempt))

    def scores_of(self, attempt: int) -> Told:
        """All answers, but of the scores those of an attempt alone."""
        assert self.attempts is not None
        return replace(self, Y=np.where((self.attempts == attempt)[:, None], self.Y, math.nan))

    def _some(self, rows: slice | NDArray[np.intp]) -> Told:
        predicted = None if self.predicted is None else self.predicted[rows]
        attempts = None if self.attempts is None else self.attempts[rows]
        answers = self.X[rows], self.Y[rows], self.C[rows], self.failed[rows], self.seconds[rows]
        return Told(*answers, self.settings, predicted, attempts)

    @property
    def y(self) -> Array:
        """``n``: the objective that is searched for, the first."""
        return self.Y[:, 0]

    @property
    def scored(self) -> Mask:
        """``n``: trained to the end and scored, or stopped with a prediction of the score."""
        return np.asarray(~np.isnan(self.Y).any(axis=1), dtype=np.bool_)

    @property
    def violation(self) -> Array:
        """``n``: total clipped violation; inf where the trial failed."""
        C = np.where(self.failed[:, None], 0.0, self.C)
        return np.where(self.failed, np.inf, total_violation(C, self.settings.saturation))

    @property
    def feasible(self) -> Mask:
        """``n``: trained to the end and scored, with every constraint <= 0."""
        measured = self.scored if self.predicted is None else self.scored & ~self.predicted
        return measured & (self.violation <= 0.0)

    @property
    def flat(self) -> bool:
        """Whether no answer says where feasibility lies: none violates less than most others do."""
        violation = self.violation[~self.failed]
        return len(violation) == 0 or float(violation.min()) > self.settings.plateau * float(np.median(violation))

    def incumbent(self) -> int | None:
        """Row of the best feasible answer, else of the least violating one; None when all failed."""
        feasible = self.feasible
        if feasible.any():
            return int(np.argmax(np.where(feasible, self.y, -np.inf)))
        if self.failed.all():
            return None
        return int(np.argmin(self.violation))


def admit(outcome: Outcome, n_constraints: int, n_objectives: int = 1) -> tuple[Array, Array, bool]:
    """(objectives ``k`` or NaN, constraints ``m`` or NaN, failed) of an answer: decides what the models see of it.

    * completed: everything. A number that is not finite, or a wrong number of them, makes it failed.
    * stopped: its constraints, and no objective. The running training accuracy of a silent network is another quantity
      than a held-out score, and lies near chance by construction; as an objective it would draw a cliff into a model
      that the constraints' models have already drawn, and make it blind to what lies behind.
    * pruned: its constraints, and the prediction of its score where there is one. What it had shown when it could not
      win any more is no score of a whole training.
    * failed: only the fact, which a model of its own sees (see ``failure_labels``).
    """
    unknown, nothing = np.full(n_objectives, math.nan), np.full(n_constraints, math.nan)
    constraints = _finite(outcome.constraints, n_constraints)
    match outcome.state:
        case State.COMPLETED:
            objectives = _finite(tuple(outcome.objectives.values()), n_objectives)
        case State.PRUNED if outcome.predicted is not None and n_objectives == 1:
            objectives = _finite((outcome.predicted,), 1)
        case State.STOPPED | State.PRUNED:
            objectives = unknown
        case _:
            objectives = None
    if objectives is None or constraints is None:
        return unknown, nothing, True
    return objectives, constraints, False


def _finite(values: Sequence[float], n: int) -> Array | None:
    """The values, cut to what can be computed with; None if they are not n finite numbers."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (n,) or not np.isfinite(numbers).all():
        return None
    return np.clip(numbers, -HUGE, HUGE)


def failure_labels(failed: Mask, tolerated: float) -> Array:
    """Values of one more constraint: minus the tolerated share of failures, and 1 more where a trial failed.

    Their mean is <= 0 where at most that share of the trials fail. So a *region* that fails is avoided, and a lone
    failure among successes is smoothed away as noise.
    """
    return np.where(failed, 1.0 - tolerated, -tolerated)


@dataclass(frozen=True, slots=True)
class Pending:
    """A trial that is out: its point ``d``, the attempt it belongs to and its region's generation when proposed."""

    x: Array
    attempt: int
    generation: int


class Observations:
    """The answers so far and the trials that are out."""

    def __init__(
        self, dim: int, n_constraints: int, settings: OutputSettings = DEFAULTS.outputs, n_objectives: int = 1
    ) -> None:
        self.pending: dict[int, Pending] = {}
        self._n = 0
        self._rows = Told(
            np.empty((16, dim)),
            np.empty((16, n_objectives)),
            np.empty((16, n_constraints)),
            np.empty(16, dtype=np.bool_),
            np.empty(16),
            settings,
            np.zeros(16, dtype=np.bool_),
            np.zeros(16, dtype=np.int64),
        )

    @property
    def told(self) -> Told:
        """Views of the answers, in the order told."""
        return self._rows.first(self._n)

    def pending_points(self) -> Array:
        """``p x d``, in the order of their numbers."""
        rows = [self.pending[number].x for number in sorted(self.pending)]
        return np.array(rows).reshape(len(rows), self._rows.X.shape[1])

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> Pending | None:
        """Move a pending trial to the answers; None when it was not pending, or nothing was learnt (lost)."""
        trial = self.pending.pop(outcome.number, None)
        if trial is None or outcome.state is State.LOST:
            return None
        if self._n == len(self._rows):
            twice = np.arange(2 * self._n) % self._n
            self._rows = self._rows.take(twice)  # new arrays, so that views handed out before stay what they were
        rows, n = self._rows, self._n
        objectives, constraints, failed = admit(outcome, rows.C.shape[1], rows.Y.shape[1])
        rows.X[n], rows.Y[n], rows.C[n] = trial.x, objectives, constraints
        rows.failed[n], rows.seconds[n] = failed, seconds
        assert rows.predicted is not None and rows.attempts is not None
        rows.predicted[n] = outcome.state is State.PRUNED and not np.isnan(objectives).any()
        rows.attempts[n] = trial.attempt
        self._n += 1
        return trial

    def n_of(self, attempt: int) -> int:
        """How many trials of an attempt have answered or are out."""
        told = self.told.attempts
        assert told is not None
        return int(np.count_nonzero(told == attempt)) + sum(trial.attempt == attempt for trial in self.pending.values())
