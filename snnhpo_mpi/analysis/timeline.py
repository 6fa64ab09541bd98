"""When the runs of a study were at work, and what each worker did.

Elapsed time is that of the runs [s]: breaks between a run and the one that resumed it are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.record import StudyData

Floats = NDArray[np.float64]


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
    times = np.concatenate([data.asked_at, data.started_at, data.ended_at, [one.at for one in data.repeated]])
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


def worker_time(data: StudyData) -> str:
    """What the evaluations' own time is called: GPU time where every worker has a GPU."""
    on_gpus = bool(data.workers) and all(worker.device.startswith("GPU") for worker in data.workers.values())
    return "GPU time" if on_gpus else "time of all workers"


@dataclass(frozen=True, slots=True)
class Lane:
    """What one worker did.

    Attributes:
        row: k, its trials.
        begin, end: k, elapsed seconds.
        again: ``j x 2``, beginnings and ends of repeats of trials.
        busy_share: of the time from its first trial to the last result of all workers.
    """

    rank: int
    row: NDArray[np.intp]
    begin: Floats
    end: Floats
    again: Floats
    busy_share: float


def lanes(data: StudyData) -> list[Lane]:
    """The timeline of the workers, one lane a rank."""
    runs = windows(data)
    started = ~np.isnan(data.started_at)
    end_at = np.where(np.isnan(data.ended_at), runs[-1].end if data.live and runs else np.nan, data.ended_at)
    shown = started & ~np.isnan(end_at)
    begin, end = elapsed(runs, data.started_at), elapsed(runs, end_at)
    repeats = np.array([[one.rank, one.at - one.seconds, one.at] for one in data.repeated]).reshape(-1, 3)
    repeats[:, 1:] = elapsed(runs, repeats[:, 1:])
    horizon = max(float(np.max(end[shown], initial=0.0)), float(np.max(repeats[:, 2], initial=0.0)))
    found = []
    for rank in np.unique(np.concatenate([data.rank[shown], repeats[:, 0].astype(np.int64)])):
        row = np.flatnonzero(shown & (data.rank == rank))
        row = row[np.argsort(begin[row], kind="stable")]
        again = repeats[repeats[:, 0] == rank, 1:]
        length = horizon - min([*begin[row[:1]], *again[:1, 0]])
        busy = float(np.sum(end[row] - begin[row]) + np.sum(again[:, 1] - again[:, 0]))
        busy_share = min(busy / length, 1.0) if length > 0 else 0.0
        found.append(Lane(int(rank), row, begin[row], end[row], again, busy_share))
    return found
