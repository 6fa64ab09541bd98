"""The objective along each hyperparameter: a small panel each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.points import Axis, Floats
from snnhpo_mpi.analysis.summary import objective_name
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import traces
from snnhpo_mpi.report.canvas import PAGE_IN, choice_ticks, objectives
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly
from snnhpo_mpi.report.text import bound, rounded
from snnhpo_mpi.report.traces import Chart, choices_axis

_MOST_POINTS = 600  # of a kind, in a small panel


@dataclass(frozen=True, slots=True)
class Found:
    """The hyperparameters, and where each trial is drawn along each of them (n)."""

    data: StudyData
    axes: list[Axis]
    at: list[Floats]


def compute(data: StudyData) -> Found | str:
    """The axes; choices are spread a little, so that trials do not hide one another."""
    axes = points.axes(data)
    if nothing := points.nothing_drawn(data):
        return nothing
    if not axes:
        return "the record has no search space"
    spread = np.random.default_rng(0).uniform(-0.25, 0.25, data.n_trials)
    at = [
        axis.position * len(axis.choices) - 0.5 + spread if axis.choices else np.asarray(axis.values, dtype=float)
        for axis in axes
    ]
    return Found(data, axes, at)


def charts(found: Found) -> list[Chart]:
    """For the page."""
    drawn = []
    title = {"title": {"text": objective_name(found.data), "font": {"size": 9}}}
    for i, (axis, at) in enumerate(zip(found.axes, found.at, strict=True)):
        x_axis: dict[str, Any] = {"title": {"text": for_plotly(axis.name, 28)}}
        if axis.choices:
            x_axis |= choices_axis(axis, range(len(axis.choices)))
            x_axis |= {"range": [-0.6, len(axis.choices) - 0.4]}
        elif axis.log:
            x_axis |= _log_axis(axis)
        elif axis.whole and axis.high - axis.low <= 5:
            x_axis["dtick"] = 1
        else:
            x_axis["nticks"] = 4  # panels are small
        names = [for_plotly(value or "") for value in axis.values] if axis.choices else ()
        lines = traces.objectives(found.data, at, limit=_MOST_POINTS, size=4, names=names)
        layout = traces.with_strip(lines, {"xaxis": x_axis, "yaxis": title}, share=0.1)
        drawn.append(Chart(f"slice{i}", "", "", lines, layout, 210))
    return drawn


def _log_ticks(axis: Axis) -> tuple[list[float], list[str]]:
    """The bounds and the middle: panels are small, and a range of one decade has none at a power of ten."""
    ticks = [float(tick) for tick in np.geomspace(axis.low, axis.high, 3)]
    return ticks, [bound(axis.low), rounded(ticks[1]), bound(axis.high)]


def _log_axis(axis: Axis) -> dict[str, Any]:
    ticks, names = _log_ticks(axis)
    margin = 0.05 * np.log10(axis.high / axis.low)
    ends = [float(np.log10(axis.low) - margin), float(np.log10(axis.high) + margin)]
    return {"type": "log", "range": ends, "tickvals": ticks, "ticktext": names}


def paper(found: Found) -> Figure:
    """For papers."""
    n_rows = max(-(-len(found.axes) // 4), 1)
    figure = Figure((PAGE_IN, 1.5 * n_rows + 0.5))
    panels = figure.subplots(n_rows, 4, sharey=True, squeeze=False)
    for ax, axis, at in zip(panels.flat, found.axes, found.at, strict=False):
        objectives(ax, found.data, at, size=5)
        if axis.choices:
            ax.set_xlim(-0.5, len(axis.choices) - 0.5)
            choice_ticks(ax, axis.choices, list(range(len(axis.choices))), room=26)
        else:
            _ticks(ax, axis)
        ax.set_title(for_matplotlib(axis.name, 20))
        ax.tick_params(labelsize=6)
    for ax in panels.flat[len(found.axes) :]:
        ax.set_axis_off()
    figure.supylabel(objective_name(found.data), fontsize=8)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def _ticks(ax: Axes, axis: Axis) -> None:
    if axis.log:
        ax.set_xscale("log")
        ax.set_xticks(*_log_ticks(axis))
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=axis.whole))
