"""Stop trials that cannot win: rules that judge a running trial by what all trials have reported so far.

A decision follows from the reports and outcomes in the order of the journal, and from nothing else: no clock, no random
number, nothing that was reported later. A resumed study that reads them again decides as before.

Sources: Golovin et al., KDD 2017, section 3.2.2 (median); Li et al., MLSys 2020, the variant that stops (ASHA).

Notation
    n trials that have reported    r reports of the longest of them    p position: training samples seen, or epochs
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.trial import Interim, Outcome, State

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Rule = Literal["gain", "asha", "median", "none"]
RULES: tuple[Rule, ...] = ("gain", "asha", "median", "none")
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
LARGEST = 1e100  # a score whose square is finite too
LEAST_REMAINING = 0.05  # of a trial that takes longer than usual
RIDGE = 0.1  # of a fit to features of unit size: as if a tenth of a trial spoke for no effect


@dataclass(frozen=True, slots=True)
class PruningSettings:
    """Which trials are stopped because they cannot win.

    Attributes:
        rule: gain, asha, median or none.
        spare: share of trials that finish whatever they report, so that what is learnt of gains stays honest.
        first: so many trials finish first, and so many must have finished at a position before it decides.
        chance: of ``gain``: a trial stops if its chance is smaller than this, times the share of it that remains.
        earliest: of ``gain``: share of a training of known length before which nothing is decided. The optimizer learns
            little from a trial that was stopped earlier, though it could not win.
        n_best: of ``gain``: place among the best final scores that a trial must reach at its end.
        n_nearest: of ``gain``: finished trials with the nearest predictions, whose errors are the spread.
        n_fitted: of ``gain``: finished trials that count most in the fit, or a third of all if those are more.
        eta: of ``asha``: a rung lets one of so many pass, and the next is so many times as far.
        unit: of ``asha``: position of its first rung.
    """

    rule: Rule = "none"
    spare: float = 0.05
    first: int = 12
    chance: float = 0.13
    earliest: float = 0.5
    n_best: int = 10
    n_nearest: int = 25
    n_fitted: int = 30
    eta: int = 4
    unit: float = 1.0


class LearningCurves:
    """What all trials have reported so far, a row a trial in the order of their first reports."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._positions: Array = np.full((64, 8), np.inf)
        self._scores: Array = np.full((64, 8), np.nan)
        self._least: Array = np.full(8, np.inf)  # position in each column
        self._lengths: Rows = np.zeros(64, dtype=np.int64)
        self._ends: Array = np.full(64, -np.inf)
        self._finals: Array = np.full(64, np.nan)
        self._planned: Array = np.full(64, np.nan)

    def add(self, event: Interim | Outcome) -> None:
        """Take in the next report or outcome.

        A score that is not finite, or too large to square, says nothing and is not kept. What a trial reported that
        ended infeasible or failed is forgotten: a silent network is no measure for one that learns. That of a pruned
        one stays, without a final score.
        """
        match event:
            case Interim():
                if _usable(event.score):
                    self._report(event.number, event.position, float(event.score or 0.0), event.n_planned)
            case Outcome():
                row = self._row(event.number)
                if event.feasible and _usable(event.objective):
                    self._finals[row] = event.objective
                elif event.state is not State.PRUNED:
                    self._positions[row], self._scores[row] = np.inf, np.nan
                    self._lengths[row], self._ends[row] = 0, -np.inf

    @property
    def finals(self) -> Array:
        """Final scores of the feasible trials that were trained to their ends, in any order."""
        finals = self._finals[: len(self._rows)]
        return finals[np.isfinite(finals)]

    def finished_beyond(self, position: float) -> Rows:
        """Rows of the trials with a final score that have reported at this position or later."""
        n = len(self._rows)
        return np.flatnonzero(np.isfinite(self._finals[:n]) & (self._ends[:n] >= position))

    def finals_of(self, rows: Rows) -> tuple[Array, Array]:
        """Final scores and latest positions of rows."""
        return self._finals[rows], self._ends[rows]

    def planned(self, rows: Rows) -> Array:
        """Positions at which rows end, as they said; NaN of those who did not."""
        found: Array = self._planned[rows]
        return found

    def of(self, number: int) -> tuple[Array, Array]:
        """Positions and scores that a trial has reported."""
        row = self._rows.get(number, 0)
        n = self._lengths[row] if number in self._rows else 0
        return self._positions[row, :n], self._scores[row, :n]

    def at(self, position: float, rows: Rows) -> Array:
        """``len(rows) x 3``: the score at a position, its rise since half of it, and since the report before.

        The score at a position is that of the latest report up to it; a rise without an earlier report is 0.
        """
        width = max(1, np.count_nonzero(self._least <= position))  # what is later need not be looked at
        positions, scores, each = self._positions[:, :width][rows], self._scores[:, :width][rows], np.arange(len(rows))
        n_now = np.count_nonzero(positions <= position, axis=1)
        n_half = np.count_nonzero(positions <= position / 2.0, axis=1)
        now = scores[each, np.maximum(n_now - 1, 0)]
        half = np.where(n_half > 0, scores[each, np.maximum(n_half - 1, 0)], now)
        before = np.where(n_now > 1, scores[each, np.maximum(n_now - 2, 0)], now)
        return np.column_stack([np.where(n_now > 0, now, np.nan), now - half, now - before])

    def row(self, number: int) -> Rows:
        """The row of a trial, as an array of one."""
        return np.array([self._rows[number]])

    def mean_until(self, position: float, rows: Rows) -> Array:
        """Mean of all scores of each row up to a position; NaN of none."""
        until = self._positions[rows] <= position
        count = np.count_nonzero(until, axis=1)
        total = np.sum(self._scores[rows], axis=1, where=until)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def first_from(self, position: float) -> Array:
        """Scores of all trials that have come so far, of the first report of each from there on."""
        n = len(self._rows)
        n_before = np.count_nonzero(self._positions[:n] < position, axis=1)
        there = np.flatnonzero(self._ends[:n] >= position)
        found: Array = self._scores[there, n_before[there]]
        return found

    def _row(self, number: int) -> int:
        row = self._rows.setdefault(number, len(self._rows))
        if row == len(self._lengths):
            self._positions = np.pad(self._positions, ((0, row), (0, 0)), constant_values=np.inf)
            self._scores = np.pad(self._scores, ((0, row), (0, 0)), constant_values=np.nan)
            self._lengths = np.pad(self._lengths, (0, row))
            self._ends = np.pad(self._ends, (0, row), constant_values=-np.inf)
            self._finals = np.pad(self._finals, (0, row), constant_values=np.nan)
            self._planned = np.pad(self._planned, (0, row), constant_values=np.nan)
        return row

    def _report(self, number: int, position: float, score: float, n_planned: int | None) -> None:
        row = self._row(number)
        self._planned[row] = np.nan if n_planned is None else n_planned
        at = self._lengths[row]
        if position <= self._ends[row]:
            return  # a second time
        if at == self._positions.shape[1]:
            self._positions = np.pad(self._positions, ((0, 0), (0, at)), constant_values=np.inf)
            self._scores = np.pad(self._scores, ((0, 0), (0, at)), constant_values=np.nan)
            self._least = np.pad(self._least, (0, at), constant_values=np.inf)
        self._least[at] = min(self._least[at], position)
        self._positions[row, at], self._scores[row, at], self._ends[row] = position, score, position
        self._lengths[row] += 1


def _usable(score: float | None) -> bool:
    return score is not None and abs(score) <= LARGEST  # NaN is not


def curves_of(events: Iterable[Interim | Outcome]) -> LearningCurves:
    """What has been reported, from all events in order."""
    curves = LearningCurves()
    for event in events:
        curves.add(event)
    return curves


def is_spare(number: int, share: float) -> bool:
    """Whether a trial always finishes: spread evenly, in no step with anything that the optimizer does by turns."""
    return (number + 1) * GOLDEN % 1.0 < share


def stops(curves: LearningCurves, report: Interim, settings: PruningSettings) -> bool:
    """Whether a trial is to stop after a report.

    A report that ``curves`` has not kept as the trial's latest decides nothing: it has no usable score, or it comes a
    second time, from a trial that went back to its checkpoint.
    """
    if report.number < settings.first or is_spare(report.number, settings.spare):
        return False
    positions, scores = curves.of(report.number)
    if len(positions) == 0 or (positions[-1], scores[-1]) != (report.position, report.score):
        return False
    score = float(scores[-1])
    match settings.rule:
        case "gain":
            return gain(curves, report.number, report.position, score, settings)
        case "asha":
            return asha(curves, report.number, report.position, score, settings)
        case "median":
            return median(curves, report.number, report.position, settings)
        case "none":
            return False
        case _:
            assert_never(settings.rule)


def gain(curves: LearningCurves, number: int, position: float, score: float, settings: PruningSettings) -> bool:
    """The chance that the trial ends as well as the bar is small, by what finished trials gained from here on.

    A trial that is nearly paid for needs a smaller chance, and a lower bar: near-duplicates of the best are wanted
    where scores have noise.
    """
    final = final_score(curves, number, settings)
    if final is None or (math.isfinite(curves.planned(curves.row(number))[0]) and final.progress < settings.earliest):
        return False
    bar = _bar(curves.finals, final.progress, settings)
    chance = settings.chance * max(LEAST_REMAINING, 1.0 - final.progress)
    return score < bar and final.mean + final.spread * NormalDist().inv_cdf(1.0 - chance) < bar


@dataclass(frozen=True, slots=True)
class FinalScore:
    """What a trial would reach: mean and standard deviation, and the share of its training that is behind it."""

    mean: float
    spread: float
    progress: float


def final_score(curves: LearningCurves, number: int, settings: PruningSettings) -> FinalScore | None:
    """The final score of a trial by its reports until now; None where too few finished trials came so far.

    A linear model of the remaining gain given score, slope and, where it is known, the length of the training, fitted
    to the finished trials by their nearness in score; the spread is that of the finished trials with the nearest
    predictions.
    """
    positions, scores = curves.of(number)
    if not len(positions):
        return None
    position, row = float(positions[-1]), curves.row(number)
    rows = curves.finished_beyond(position)
    rows = rows[np.isfinite(curves.at(position, rows)[:, 0])]
    if len(rows) < settings.first:
        return None
    finals, ends = curves.finals_of(rows)
    features = curves.at(position, rows)
    away = features - curves.at(position, row)
    planned = curves.planned(row)[0]
    if np.isfinite(planned):
        lengths = curves.planned(rows)
        away = np.column_stack([away, np.log(np.where(np.isfinite(lengths), lengths, planned) / planned)])
    usual_end = planned if np.isfinite(planned) else float(np.mean(ends))
    progress = min(1.0, position / usual_end) if usual_end > 0.0 else 1.0
    mean, spread = _gain_ahead(away, finals - features[:, 0], settings)
    return FinalScore(float(scores[-1]) + mean, spread, progress)


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
    sizes = np.sqrt(weights @ features**2 / weights.sum())
    X = np.column_stack([np.ones(len(gains)), features / np.where(sizes > 0.0, sizes, 1.0)])  # n x (1 + f)
    A = X.T @ (weights[:, None] * X)
    A[np.diag_indices_from(A)] += [0.0] + [RIDGE] * features.shape[1]
    inverse = np.linalg.pinv(A, hermitian=True)
    beta = inverse @ (X.T @ (weights * gains))
    ahead = X @ beta
    nearest = np.argsort(np.abs(features[:, 0] + ahead - beta[0]), kind="stable")[: settings.n_nearest]
    off = gains[nearest] - ahead[nearest]
    return float(beta[0] + off.mean()), float(off.std(ddof=1) * math.sqrt(1.0 + inverse[0, 0]))


def median(curves: LearningCurves, number: int, position: float, settings: PruningSettings) -> bool:
    """The best score so far is below the median of what the finished trials had in the mean up to this position."""
    means = curves.mean_until(position, curves.finished_beyond(position))
    means = means[np.isfinite(means)]
    return len(means) >= settings.first and bool(curves.of(number)[1].max() < np.median(means))


def asha(curves: LearningCurves, number: int, position: float, score: float, settings: PruningSettings) -> bool:
    """The report is a trial's first on a rung, and not among the best share ``1 / eta`` of all first ones there."""
    rung = settings.unit
    while rung * settings.eta <= position:
        rung *= settings.eta
    if position < rung or np.count_nonzero(curves.of(number)[0] >= rung) > 1:
        return False
    there = np.sort(curves.first_from(rung))[::-1]
    return bool(score < there[max(1, len(there) // settings.eta) - 1])
