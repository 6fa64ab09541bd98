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
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rule = Literal["gain", "asha", "median", "none"]
RULES: tuple[Rule, ...] = ("gain", "asha", "median", "none")
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class PruningSettings:
    """Which trials are stopped because they cannot win.

    Attributes:
        rule: gain, asha, median or none.
        spare: share of trials that finish whatever they report, so that what is learnt of gains stays honest.
        first: so many trials finish first, and so many must have finished at a position before it decides.
        n_nearest: finished trials that ``gain`` compares with, the nearest in score.
        eta: of ``asha``: a rung lets one of so many pass, and the next is so many times as far.
        unit: of ``asha``: position of its first rung.
    """

    rule: Rule = "none"
    spare: float = 0.05
    first: int = 12
    n_nearest: int = 10
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
        """Take in the next event. A score that is not finite says nothing and is not kept."""
        match event:
            case Reported():
                if math.isfinite(event.score):
                    self._report(event)
            case Finished():
                if event.feasible and math.isfinite(event.score):
                    self._finals[self._row(event.number)] = event.score

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

    def of(self, number: int) -> tuple[Array, Array]:
        """Positions and scores that a trial has reported."""
        row = self.numbers.get(number)
        n = 0 if row is None else self._lengths[row]
        return self._positions[row or 0, :n], self._scores[row or 0, :n]

    def last_until(self, position: float) -> Array:
        """``n`` scores of the latest reports up to a position; NaN of a trial that has not come so far."""
        n_until = np.count_nonzero(self.positions <= position, axis=1)
        reached = self.positions.max(axis=1, where=np.isfinite(self.positions), initial=-np.inf) >= position
        found = self.scores[np.arange(len(n_until)), np.maximum(n_until - 1, 0)]
        return np.where(reached & (n_until > 0), found, np.nan)

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
    if report.number < settings.first or is_spare(report.number, settings.spare) or not math.isfinite(report.score):
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
    """Empirical gain: the score plus the largest gain of the nearest finished trials from here on is below the best."""
    then, finals = curves.last_until(report.position), curves.finals
    known = np.isfinite(then) & np.isfinite(finals)
    if np.count_nonzero(known) < settings.first:
        return False
    then, gains = then[known], (finals - then)[known]
    nearest = np.argsort(np.abs(then - report.score), kind="stable")[: settings.n_nearest]
    return bool(report.score + gains[nearest].max() < np.nanmax(finals))


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
