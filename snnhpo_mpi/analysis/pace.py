"""How well the workers are used, and how long the study will take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis.timeline import Window
from snnhpo_mpi.record import StudyData

_RECENT_ENDS = 60  # the pace of a study changes as it learns: the time left follows the recent pace


def busy_share(data: StudyData, runs: list[Window], *, whole_runs: bool = False) -> float | None:
    """Share of the workers' time that they evaluated.

    Args:
        data: the study.
        runs: its runs.
        whole_runs: count the time before the first dispatch and after the last result of each run too, in which the
            program starts and ends.
    """
    available = busy = 0.0
    for run in runs:
        inside = (data.started_at >= run.begin) & (data.started_at <= run.end)
        if not inside.any():
            continue
        ends = np.where(np.isnan(data.ended_at[inside]), _last_moments(data, run)[inside], data.ended_at[inside])
        begins = np.maximum(data.started_at[inside], np.where(data.ended[inside], ends - data.seconds[inside], -np.inf))
        again = [one for one in data.repeated if run.begin <= one.at <= run.end]
        n_workers = len({*data.rank[inside].tolist(), *(one.rank for one in again)})
        last = max([float(ends.max()), *(one.at for one in again)])
        span = run.seconds if whole_runs else last - float(data.started_at[inside].min())
        available += n_workers * span
        busy += float(np.maximum(ends - begins, 0.0).sum()) + sum(one.seconds for one in again)
    return min(busy / available, 1.0) if available > 0 else None


def _last_moments(data: StudyData, run: Window) -> NDArray[np.float64]:
    """n, until when a trial without an end was out at the latest: its rank got the next trial, or the run ended.

    A killed run was busy until then. Where the lines of ends are damaged, the last end that is known is the limit.
    """
    known = data.ended_at[(data.ended_at >= run.begin) & (data.ended_at <= run.end)]
    limit = known.max() if data.losses and len(known) else run.end
    moments = np.full(data.n_trials, limit)
    for rank in np.unique(data.rank):
        rows = np.flatnonzero((data.rank == rank) & ~np.isnan(data.started_at))
        rows = rows[np.argsort(data.started_at[rows])]
        moments[rows[:-1]] = np.minimum(data.started_at[rows[1:]], run.end)
    return moments


def seconds_left(data: StudyData, runs: list[Window]) -> float | None:
    """Until the budget is used up at the pace of the latest results, or the wall time of this run is over."""
    budget = data.config.get("budget") or {}
    if not runs or not runs[-1].open:
        return None
    run = runs[-1]
    limits: list[float] = []
    if budget.get("wall_time"):
        limits.append(max(run.begin + float(budget["wall_time"]) - run.end, 0.0))
    ends = np.sort(data.ended_at[data.ended_at >= run.begin])[-_RECENT_ENDS:]
    if budget.get("trials") and len(ends) >= 2:
        since = ends[0] if len(ends) == _RECENT_ENDS else run.begin
        missing = max(int(budget["trials"]) - int(data.ended.sum()), 0)
        limits.append(missing * (run.end - since) / len(ends))
    return min(limits) if limits else None
