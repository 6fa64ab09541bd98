"""The data behind the figures, without any drawing.

Notation
    n  trials asked        e  trials that ended, in the order of their ends

Elapsed time is that of the runs [s]: breaks between a run and the one that resumed it are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.trial import State

Floats = NDArray[np.float64]
FEWEST_BEST, MOST_BEST = 5, 60


@dataclass(frozen=True, slots=True)
class Window:
    """When a run of the program was at work [Unix s]; ``offset`` is the elapsed time at its beginning."""

    begin: float
    end: float
    offset: float
    open: bool

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.begin


def windows(data: StudyData, now: float | None = None) -> list[Window]:
    """The runs of a study in order; one that was killed ends with its last event."""
    times = np.concatenate([data.asked_at, data.started_at, data.ended_at])
    found: list[Window] = []
    offset = 0.0
    for i, span in enumerate(data.sessions):
        last = i == len(data.sessions) - 1
        limit = np.inf if last else data.sessions[i + 1].began.at
        events = times[(times >= span.began.at) & (times < limit)]
        end = max(span.began.at, span.closed.at if span.closed else 0.0, float(events.max(initial=0.0)))
        is_open = last and data.live
        if is_open:
            end = max(end, now if now is not None else data.updated_at)
        found.append(Window(span.began.at, end, offset, is_open))
        offset += end - span.began.at
    return found


def elapsed(runs: list[Window], at: Floats) -> Floats:
    """Unix times -> seconds of elapsed time; NaN stays NaN."""
    seconds = np.array(at, dtype=np.float64)
    for run in runs:
        inside = at >= run.begin
        seconds[inside] = run.offset + np.minimum(at[inside], run.end) - run.begin
    if runs:
        seconds[at < runs[0].begin] = 0.0
    return seconds


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


def worker_time(data: StudyData) -> str:
    """What the evaluations' own time is called: GPU time where every worker has a GPU."""
    on_gpus = bool(data.workers) and all(worker.device.startswith("GPU") for worker in data.workers.values())
    return "GPU time" if on_gpus else "time of all workers"


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
        seconds: k, elapsed time at each end of a completed or stopped trial.
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
    row = row[np.isin(data.state[row], [State.COMPLETED.value, State.STOPPED.value])]
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


@dataclass(frozen=True, slots=True)
class Lane:
    """What one worker did.

    Attributes:
        row: k, its trials.
        begin, end: k, elapsed seconds.
        busy_share: of the time from its first trial to the last result of all workers.
    """

    rank: int
    row: NDArray[np.intp]
    begin: Floats
    end: Floats
    busy_share: float


def lanes(data: StudyData) -> list[Lane]:
    """The timeline of the workers, one lane a rank."""
    runs = windows(data)
    started = ~np.isnan(data.started_at)
    end_at = np.where(np.isnan(data.ended_at), runs[-1].end if data.live and runs else np.nan, data.ended_at)
    shown = started & ~np.isnan(end_at)
    begin, end = elapsed(runs, data.started_at), elapsed(runs, end_at)
    horizon = float(np.max(end[shown], initial=0.0))
    found = []
    for rank in np.unique(data.rank[shown]):
        row = np.flatnonzero(shown & (data.rank == rank))
        row = row[np.argsort(begin[row], kind="stable")]
        length = horizon - float(begin[row[0]])
        busy = float(np.sum(end[row] - begin[row]))
        found.append(Lane(int(rank), row, begin[row], end[row], min(busy / length, 1.0) if length > 0 else 0.0))
    return found
