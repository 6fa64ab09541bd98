"""What trials reported while they trained: a line each, whose end says when and why it was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from snnhpo_mpi.analysis.learning_curves import LearningCurve, learning_curves
from snnhpo_mpi.analysis.points import Floats, thinned
from snnhpo_mpi.analysis.summary import is_own_function
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks, traces
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.traces import Chart

_MOST_CURVES = 400
_WHY = {"pruned": "could not win", "stopped early": "a monitor stopped it", "feasible": "trained to the end"}


@dataclass(frozen=True, slots=True)
class Found:
    """The curves to draw, of how many, and the names and the scale of their axes."""

    curves: list[LearningCurve]
    n: int
    x_name: str
    y_name: str
    scale: str


def compute(data: StudyData) -> Found | None:
    """None where no trial reported."""
    found = learning_curves(data)
    if not found:
        return None
    own = is_own_function(data)
    axes = ("position", "score", "linear") if own else ("training samples seen", "running accuracy", "log")
    return Found([found[i] for i in thinned(np.arange(len(found)), _MOST_CURVES)], len(found), *axes)


def _of_kind(found: Found) -> list[tuple[looks.Look, str, list[LearningCurve]]]:
    """The looks of the kinds that occur, their names with the reason of the end, and their curves."""
    kinds = []
    for look in looks.ALL:
        mine = [curve for curve in found.curves if curve.kind == look.name]
        if mine:
            why = f": {_WHY[look.name]}" if look.name in _WHY else ""
            kinds.append((look, f"{look.name}{why}", mine))
    return kinds


def charts(found: Found) -> list[Chart]:
    """For the page."""
    lines: list[dict[str, Any]] = []
    for look, name, curves in _of_kind(found):
        line = traces.line(_joined([one.position for one in curves]), _joined([one.score for one in curves]), name,
                           look.colour)  # fmt: skip
        line |= {"opacity": 0.45, "legendgroup": name, "showlegend": False, "hoverinfo": "skip"}
        line["line"]["width"] = 1
        ends = np.array([[one.position[-1], one.score[-1]] for one in curves])
        marks = {
            "type": "scatter", "mode": "markers", "name": name, "legendgroup": name,
            "x": traces.numbers(ends[:, 0]), "y": traces.numbers(ends[:, 1]),
            "marker": {"color": look.colour, "symbol": look.symbol, "size": 7},
            "customdata": [one.number for one in curves],
            "hovertemplate": "trial %{customdata}<br>%{x}: %{y:.4f}<extra>%{fullData.name}</extra>",
        }  # fmt: skip
        lines += [line, marks]
    drawn = f" {len(found.curves)} of {found.n} curves are drawn." if len(found.curves) < found.n else ""
    caption = f"A line a trial, as it reported; its last report is marked by how the trial ended.{drawn}"
    axes = {
        "xaxis": {"title": {"text": found.x_name}, "type": found.scale},
        "yaxis": {"title": {"text": found.y_name}},
    }
    return [Chart("learning_curves", "What trials reported", caption, lines, axes, wide=True)]


def _joined(parts: list[Floats]) -> Floats:
    """One array, with a gap after each part."""
    return np.concatenate([np.append(part, np.nan) for part in parts])


def paper(found: Found) -> Figure:
    """For papers."""
    figure = Figure((PAGE_IN, 3.0))
    ax = figure.subplots()
    for look, name, curves in _of_kind(found):
        ax.plot(_joined([one.position for one in curves]), _joined([one.score for one in curves]), color=look.colour,
                linewidth=0.6, alpha=0.5)  # fmt: skip
        ends = np.array([[one.position[-1], one.score[-1]] for one in curves])
        ax.plot(ends[:, 0], ends[:, 1], look.marker, color=look.colour, markersize=3.5, label=name, linestyle="none")
    ax.set(xlabel=found.x_name, ylabel=found.y_name, xscale=found.scale)
    if found.scale == "log":  # whose labels are formulas by default, which are not set here
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure
