"""The share of silent networks over time, and what stopping them early saved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from snnhpo_mpi.analysis import curves, points
from snnhpo_mpi.analysis.durations import time_unit
from snnhpo_mpi.analysis.summary import saved_seconds, stops_early
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks, traces
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.text import percent
from snnhpo_mpi.report.traces import Chart


@dataclass(frozen=True, slots=True)
class Found:
    """The curves, and the units of their axes: seconds and name."""

    curves: curves.Silence
    time: tuple[float, str]
    amount: tuple[float, str]


def compute(data: StudyData) -> Found | str | None:
    """None where nothing is stopped early."""
    if not stops_early(data):
        return None
    found = curves.silence(data, saved_seconds(data))
    if not len(found.seconds):
        return "no network was trained yet"
    longest = float(max(found.saved[-1], found.spent[-1]))
    return Found(found, time_unit(float(found.seconds[-1])), time_unit(longest))


def charts(found: Found) -> list[Chart]:
    """For the page."""
    told, (unit, name), (amount, amount_name) = found.curves, found.time, found.amount
    keep = points.thinned(np.arange(len(told.seconds)), traces.MOST_POINTS)
    when = told.seconds[keep] / unit
    x_axis = {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}
    return [
        Chart(
            "silence", "Networks stopped early over time", _first_and_latest(told),
            [traces.line(when, told.recent_share[keep], f"latest {told.window}", looks.STOPPED.colour),
             traces.line(when, told.total_share[keep], "all so far", looks.FAILED.colour, dash="dash")],
            {"xaxis": x_axis, "yaxis": {"title": {"text": "share"}, "range": [-0.02, 1.02], "tickformat": ".0%"}},
        ),
        Chart(
            "savings", "What stopping early saved",
            "Saved: what the stopped networks would have trained on, at their own pace. Spent: by all evaluations.",
            [traces.line(when, told.saved[keep] / amount, "saved", looks.BASELINE),
             traces.line(when, told.spent[keep] / amount, "spent", looks.FEASIBLE.colour, dash="dash")],
            {"xaxis": x_axis, "yaxis": {"title": {"text": f"time of workers [{amount_name}]"}, "rangemode": "tozero"}},
        ),
    ]  # fmt: skip


def _first_and_latest(told: curves.Silence) -> str:
    """What the line says, in numbers: it need not fall."""
    n = len(told.seconds)
    if n <= told.window:
        return f"{percent(float(told.total_share[-1]))} of the {n} networks so far were stopped early."
    first, latest = float(told.recent_share[told.window - 1]), float(told.recent_share[-1])
    return f"Of the first {told.window} networks {percent(first)} were stopped early, of the latest {percent(latest)}."


def paper(found: Found) -> Figure:
    """For papers."""
    figure = Figure((PAGE_IN, 2.4))
    left, right = figure.subplots(1, 2)
    told, (unit, name), (amount, amount_name) = found.curves, found.time, found.amount
    dot: Any = {"marker": "o", "markersize": 3} if len(told.seconds) == 1 else {}  # a line of one point is none
    when = told.seconds / unit
    left.plot(when, told.recent_share, **dot, color=looks.STOPPED.colour, label=f"latest {told.window}")
    left.plot(when, told.total_share, color="black", linewidth=1, linestyle="--", label="all so far")
    left.set(xlabel=f"time [{name}]", ylabel="networks stopped early", ylim=(-0.02, 1.02))
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.plot(when, told.saved / amount, **dot, color=looks.BASELINE, label="saved by stopping early")
    right.plot(when, told.spent / amount, **dot, color=looks.FEASIBLE.colour, linestyle="--", label="spent")
    right.set(xlabel=f"time [{name}]", ylabel=f"evaluation time [{amount_name}]", ylim=(0, None))
    for ax in (left, right):
        ax.legend(loc="best")
    return figure
