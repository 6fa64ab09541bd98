"""How a search got on: its best feasible objective, its silent networks and what stopping them saved.

Notation
    n  trials asked        e  trials that ended, in the order of their ends

Times are elapsed seconds of the runs, see ``timeline``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis.timeline import elapsed, windows
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import State

Floats = NDArray[np.float64]
FEWEST_BEST, MOST_BEST = 5, 60


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Best feasible objective so far, trial by trial.

    Attributes:
        row: e, rows of the study, in the order that counts.
        seconds: e, elapsed time.
        worker_seconds: e, evaluation time of all workers until then.
        best: e, NaN before the first feasible trial.
    """

    row: NDArray[np.intp]
    seconds: Floats
    worker_seconds: Floats
    best: Floats


def best_tenth(data: StudyData) -> list[int]:
    """Rows of the best tenth of the feasible trials, at least 5 and at most 60 of them, the best first."""
    rows = np.flatnonzero(data.feasible)
    n = int(np.clip(len(rows) // 10, FEWEST_BEST, MOST_BEST))
    return [int(row) for row in rows[np.argsort(-data.objective[rows], kind="stable")][:n]]


def incumbent(data: StudyData) -> Incumbent:
    """How the search got on, in the order in which trials ended."""
    return _incumbent(data, ended_rows(data))


def incumbent_by_number(data: StudyData) -> Incumbent:
    """The same in the order of the trials' numbers."""
    return _incumbent(data, np.flatnonzero(data.ended))


def _incumbent(data: StudyData, row: NDArray[np.intp]) -> Incumbent:
    values = np.where(data.feasible[row], data.objective[row], -np.inf)
    best = np.maximum.accumulate(values) if len(values) else values
    return Incumbent(
        row,
        elapsed(windows(data), data.ended_at[row]),
        np.cumsum(np.nan_to_num(data.seconds[row])),
        np.where(np.isfinite(best), best, np.nan),
    )


def spent_by(told: Incumbent, n: int) -> Floats:
    """n, evaluation time of all workers when each trial ended; NaN for those that have not."""
    spent = np.full(n, np.nan)
    spent[told.row] = told.worker_seconds
    return spent


def ended_rows(data: StudyData) -> NDArray[np.intp]:
    """Rows of the trials that ended, in the order of their ends."""
    rows = np.flatnonzero(data.ended)
    return rows[np.argsort(data.ended_at[rows], kind="stable")]


@dataclass(frozen=True, slots=True)
class Silence:
    """How the search learns where networks are silent.

    Attributes:
        seconds: k, elapsed time at each end of a completed, stopped or pruned trial.
        recent_share: k, of the latest trials, how many were stopped.
        total_share: k, of all trials up to then.
        saved: k, seconds of training saved by stopping early up to then.
        spent: k, seconds of evaluation up to then.
        window: of how many trials ``recent_share`` tells.
    """

    seconds: Floats
    recent_share: Floats
    total_share: Floats
    saved: Floats
    spent: Floats
    window: int


def silence(data: StudyData, saved_seconds: Floats) -> Silence:
    """Silent share and savings over time; ``saved_seconds`` is n, NaN where nothing was saved."""
    row = ended_rows(data)
    trained = [state.value for state in (State.COMPLETED, State.STOPPED, State.PRUNED)]
    row = row[np.isin(data.state[row], trained)]
    stopped = (data.state[row] == State.STOPPED.value).astype(np.float64)
    counts = np.arange(1, len(row) + 1)
    total = np.cumsum(stopped)
    window = int(np.clip(len(row) // 10, 10, 200))
    before = np.concatenate([np.zeros(min(window, len(row))), total[:-window]])
    return Silence(
        elapsed(windows(data), data.ended_at[row]),
        (total - before) / np.minimum(counts, window),
        total / counts,
        np.cumsum(np.nan_to_num(saved_seconds[row])),
        np.cumsum(np.nan_to_num(data.seconds[row])),
        window,
    )
