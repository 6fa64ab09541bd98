"""Failures by reason."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnhpo_mpi.analysis.summary import failures
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.labels import for_matplotlib
from snnhpo_mpi.report.traces import Chart

_MOST_REASONS = 12
Found = list[tuple[str, int]]


def compute(data: StudyData) -> Found | str:
    """Reasons and how often each came, the most frequent first."""
    return failures(data)[:_MOST_REASONS] or "no trial failed"


def charts(found: Found) -> list[Chart]:
    """None: the page has a table of reasons, which has room for their whole text."""
    return []


def paper(found: Found) -> Figure:
    """For papers."""
    figure = Figure((PAGE_IN, 0.7 + 0.25 * max(len(found), 2)))
    ax = figure.subplots()
    ax.barh(range(len(found)), [count for _, count in found], color=looks.FAILED.colour)
    ax.set_yticks(range(len(found)), [for_matplotlib(reason, 70) for reason, _ in found])
    ax.invert_yaxis()
    ax.set_xlabel("trials failed")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False, axis="y")
    return figure
