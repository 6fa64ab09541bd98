"""Stop trials that cannot win: rules that judge a running trial by what all trials have reported so far.

A decision follows from the reports and ends in the order in which rank 0 noted them, from nothing else: no clock, no
random number, no score of a later report. A resumed study that reads them again decides as before.

Sources: Golovin et al., KDD 2017, section 3.2.2 (median); Li et al., MLSys 2020, the variant that stops (ASHA).

Notation
    n trials that have reported    r reports of the longest of them    p position: samples seen, or epochs
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rule = Literal["gain", "asha", "median", "none"]
RULES: tuple[Rule, ...] = ("gain", "asha", "median", "none")
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
LEAST_REMAINING = 0.05  # of a trial that takes longer than usual
LARGEST = 1e100
RIDGE = 0.1  # of a fit to features of unit size: as if a tenth of a trial spoke for no effect


@dataclass(frozen=True, slots=True)
class PruningSettings:
    """Which trials are stopped because they cannot win.

    Attributes:
        rule: gain, asha, median or none.
        spare: share of trials that finish whatever they report, so that what is learnt of gains stays honest.
        first: so many trials finish first, and so many must have finished at a position before it decides.
        chance: of ``gain``: a trial stops if its chance is smaller than this, times the share of it that remains.
        n_best: of ``gain``: place among the best final scores that a trial must reach at its end.
        n_nearest: of ``gain``: finished trials with the nearest predictions, whose errors are the spread.
        n_fitted: of ``gain``: finished trials that count most in the fit, or a third of all if those are more.
        eta: of ``asha``: a rung lets one of so many pass, and the next is so many times as far.
        unit: of ``asha``: position of its first rung.
    """

    rule: Rule = "none"
    spare: float = 0.05
    first: int = 12
    chance: float = 0.15
    n_best: int = 10
    n_nearest: int = 25
    n_fitted: int = 30
    eta: int = 4
    unit: float = 1.0


@dataclass(frozen=True, slots=True)
class Reported:
    """A running trial had a score at a position."""

    number: int
    position: float
    score: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial ended by itself; ``score`` is its final one, NaN if it has none."""

    number: int
    score: float
    feasible: bool


class LearningCurves:
    """What all trials have reported so far.

    Attributes:
        numbers: row of each trial, in the order of their first reports.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self._positions: Array = np.full((64, 8), np.inf)
        self._scores: Array = np.full((64, 8), np.nan)
        self._lengths = np.zeros(64, dtype=np.int64)
        self._finals: Array = np.full(64, np.nan)

    def add(self, event: Reported | Finished) -> None:
        """Take in the next event.

        A score that is not finite, or too large to square, says nothing and is not kept. What a trial reported that
        ended infeasible or without a score is forgotten: a silent network is no measure for one that learns.
        """
        match event:
            case Reported():
                if _usable(event.score):
                    self._report(event)
            case Finished():
                row = self._row(event.number)
                if event.feasible and _usable(event.score):
                    self._finals[row] = event.score
                else:
                    self._positions[row], self._scores[row], self._lengths[row] = np.inf, np.nan, 0

    @property
    def positions(self) -> Array:
        """``n x r``, increasing in each row, infinite after its last report."""
        return self._positions[: len(self.numbers)]

    @property
    def scores(self) -> Array:
        """``n x r``, NaN after the last report of a row."""
        return self._scores[: len(self.numbers)]

    @property
    def finals(self) -> Array:
        """``n`` final scores; NaN of a trial that runs, was stopped or is infeasible."""
        return self._finals[: len(self.numbers)]

    @property
    def ends(self) -> Array:
        """``n`` latest positions; 0 of a trial without a report."""
        latest: Array = self.positions.max(axis=1, where=np.isfinite(self.positions), initial=0.0)
        return latest

    def of(self, number: int) -> tuple[Array, Array]:
        """Positions and scores that a trial has reported."""
        row = self.numbers.get(number)
        n = 0 if row is None else self._lengths[row]
        return self._positions[row or 0, :n], self._scores[row or 0, :n]

    def last_until(self, position: float) -> Array:
        """``n`` scores of the latest reports up to a position; NaN of a trial that has not come so far."""
        found = self._before(np.count_nonzero(self.positions <= position, axis=1))
        return np.where(self.ends >= position, found, np.nan)

    def slopes(self, position: float) -> Array:
        """``n x 2`` what a score is above that at half the position, and above the report before; 0 without one."""
        n_until = np.count_nonzero(self.positions <= position, axis=1)
        now = self._before(n_until)
        half = self._before(np.count_nonzero(self.positions <= position / 2.0, axis=1))
        return np.nan_to_num(np.column_stack([now - half, now - self._before(n_until - 1)]))

    def _before(self, counts: NDArray[np.int64]) -> Array:
        """``n`` scores, of each row the last one of so many; NaN of none."""
        last = self.scores[np.arange(len(counts)), np.maximum(counts - 1, 0)]
        found: Array = np.where(counts > 0, last, np.nan)
        return found

    def first_from(self, position: float) -> Array:
        """``n`` scores of the first reports from a position on; NaN of a trial that has not come so far."""
        n_before = np.count_nonzero(self.positions < position, axis=1)
        width = self.scores.shape[1]
        found = self.scores[np.arange(len(n_before)), np.minimum(n_before, width - 1)]
        return np.where(n_before < width, found, np.nan)

    def _row(self, number: int) -> int:
        row = self.numbers.setdefault(number, len(self.numbers))
        if row == len(self._lengths):
            self._positions = np.pad(self._positions, ((0, row), (0, 0)), constant_values=np.inf)
            self._scores = np.pad(self._scores, ((0, row), (0, 0)), constant_values=np.nan)
            self._lengths = np.pad(self._lengths, (0, row))
            self._finals = np.pad(self._finals, (0, row), constant_values=np.nan)
        return row

    def _report(self, event: Reported) -> None:
        row = self._row(event.number)
        at = self._lengths[row]
        if at and event.position <= self._positions[row, at - 1]:
            return  # a second time, by a trial that went back to its checkpoint
        if at == self._positions.shape[1]:
            self._positions = np.pad(self._positions, ((0, 0), (0, at)), constant_values=np.inf)
            self._scores = np.pad(self._scores, ((0, 0), (0, at)), constant_values=np.nan)
        self._positions[row, at], self._scores[row, at] = event.position, event.score
        self._lengths[row] += 1


def _usable(score: float) -> bool:
    """Whether a score is finite, and its square too."""
    return abs(score) <= LARGEST  # NaN is not


def curves_of(events: Iterable[Reported | Finished]) -> LearningCurves:
    """What has been reported, from all events in order."""
    curves = LearningCurves()
    for event in events:
        curves.add(event)
    return curves


def is_spare(number: int, share: float) -> bool:
    """Whether a trial always finishes: spread evenly, in no step with anything that the optimizer does by turns."""
    return (number + 1) * GOLDEN % 1.0 < share


def stops(curves: LearningCurves, report: Reported, settings: PruningSettings) -> bool:
    """Whether a trial is to stop after a report, the latest in ``curves``."""
    if report.number < settings.first or is_spare(report.number, settings.spare) or not _usable(report.score):
        return False
    match settings.rule:
        case "gain":
            return gain(curves, report, settings)
        case "asha":
            return asha(curves, report, settings)
        case "median":
            return median(curves, report, settings)
        case "none":
            return False
        case _:
            assert_never(settings.rule)


def gain(curves: LearningCurves, report: Reported, settings: PruningSettings) -> bool:
    """The chance that the trial ends as well as the bar is small, by what finished trials gained from here on.

    The final score is predicted by a linear model of the remaining gain given score and slope, fitted to the finished
    trials by their nearness in score; its spread is that of the finished trials with the nearest predictions. A trial
    that is nearly paid for needs a smaller chance, and a lower bar: near-duplicates of the best are wanted where scores
    have noise.
    """
    then, finals = curves.last_until(report.position), curves.finals
    known = np.isfinite(then) & np.isfinite(finals)
    if np.count_nonzero(known) < settings.first:
        return False
    progress = min(1.0, report.position / float(np.mean(curves.ends[known])))
    bar = _bar(finals[np.isfinite(finals)], progress, settings)
    if report.score >= bar:
        return False
    slopes = curves.slopes(report.position)
    own = slopes[curves.numbers[report.number]]
    features = np.column_stack([then[known] - report.score, slopes[known] - own])  # n x 3, the trial itself at 0
    mean, spread = _gain_ahead(features, (finals - then)[known], settings)
    chance = settings.chance * max(LEAST_REMAINING, 1.0 - progress)
    return report.score + mean + spread * NormalDist().inv_cdf(1.0 - chance) < bar


def _bar(finals: Array, progress: float, settings: PruningSettings) -> float:
    """The best final score at the start, a later place among the best as the trial nears the usual end."""
    place = 1 + int((settings.n_best - 1) * progress**2)
    return float(np.sort(finals)[-min(place, len(finals))])


def _gain_ahead(features: Array, gains: Array, settings: PruningSettings) -> tuple[float, float]:
    """Mean and standard deviation of the gain at features 0, from those of finished trials.

    Args:
        features: ``n x f``, differences to the trial; the first column is that of the score, and weighs.
        gains: ``n``.
        settings: how many trials count.
    """
    distances = np.abs(features[:, 0])
    n_near = min(len(gains), max(settings.n_fitted, len(gains) // 3))
    reach = np.partition(distances, n_near - 1)[n_near - 1]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # of trials equal to the last digit
        weights = np.where(distances > 0.0, np.exp(-0.5 * (1.5 * distances / reach) ** 2), 1.0)
    sizes = np.sqrt(np.average(features**2, axis=0, weights=weights))
    X = np.column_stack([np.ones(len(gains)), features / np.where(sizes > 0.0, sizes, 1.0)])  # n x (1 + f)
    A = X.T @ (weights[:, None] * X)
    A[np.diag_indices_from(A)] += [0.0] + [RIDGE] * features.shape[1]
    inverse = np.linalg.pinv(A, hermitian=True)
    beta = inverse @ (X.T @ (weights * gains))
    ahead = X @ beta
    nearest = np.argsort(np.abs(features[:, 0] + ahead - beta[0]), kind="stable")[: settings.n_nearest]
    off = gains[nearest] - ahead[nearest]
    return float(beta[0] + off.mean()), float(off.std(ddof=1) * math.sqrt(1.0 + inverse[0, 0]))


def median(curves: LearningCurves, report: Reported, settings: PruningSettings) -> bool:
    """The best score so far is below the median of what the finished trials had in the mean up to this position."""
    known = np.isfinite(curves.finals) & np.isfinite(curves.last_until(report.position))
    if np.count_nonzero(known) < settings.first:
        return False
    until = curves.positions[known] <= report.position
    means = np.mean(curves.scores[known], axis=1, where=until)
    return bool(curves.of(report.number)[1].max() < np.median(means))


def asha(curves: LearningCurves, report: Reported, settings: PruningSettings) -> bool:
    """The report is a trial's first on a rung, and not among the best share ``1 / eta`` of all first ones there."""
    positions, _ = curves.of(report.number)
    rung = settings.unit
    while rung * settings.eta <= report.position:
        rung *= settings.eta
    if report.position < rung or np.count_nonzero(positions >= rung) > 1:
        return False
    there = curves.first_from(rung)
    there = np.sort(there[np.isfinite(there)])[::-1]
    return bool(report.score < there[max(1, len(there) // settings.eta) - 1])
