"""How well the workers are used, and how long the study will take."""

from __future__ import annotations

import numpy as np

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report.series import Window

_RECENT_ENDS = 60  # the pace of a study changes as it learns: the time left follows the recent pace


def busy_share(data: StudyData, runs: list[Window]) -> float | None:
    """Share of the workers' time that they evaluated, between first dispatch and last result of each run."""
    available = busy = 0.0
    for run in runs:
        inside = (data.started_at >= run.begin) & (data.started_at <= run.end)
        if not inside.any():
            continue
        ends = np.where(np.isnan(data.ended_at[inside]), run.end, data.ended_at[inside])  # a killed run was busy so far
        begins = np.maximum(data.started_at[inside], np.where(data.ended[inside], ends - data.seconds[inside], -np.inf))
        n_workers = len(np.unique(data.rank[inside]))
        available += n_workers * float(ends.max() - data.started_at[inside].min())
        busy += float(np.maximum(ends - begins, 0.0).sum())
    return min(busy / available, 1.0) if available > 0 else None


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
