"""Where networks are feasible: along each hyperparameter, the probability that the constraints' models see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.partial_dependence import Along, feasible_along
from snnhpo_mpi.analysis.points import Axis
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.canvas import PAGE_IN, choice_ticks
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly
from snnhpo_mpi.report.text import bound
from snnhpo_mpi.report.traces import Chart, choices_axis, line


@dataclass(frozen=True, slots=True)
class Found:
    """A curve a hyperparameter, and its axis."""

    along: Sequence[Along]
    axes: Sequence[Axis]


def compute(data: StudyData) -> Found | str | None:
    """None where the study has no constraints. Fitting the models takes seconds."""
    if not data.constraint_names:
        return None
    along = feasible_along(data)
    axes = {axis.name: axis for axis in points.axes(data)}
    if not along:
        return "no border between feasible and infeasible networks was seen yet"
    along = [one for one in along if one.name in axes]  # else no trial had it yet
    return Found(along, [axes[one.name] for one in along])


def charts(found: Found) -> list[Chart]:
    """For the page."""
    drawn = []
    for i, (one, axis) in enumerate(zip(found.along, found.axes, strict=True)):
        curves = [
            line(one.position, one.anywhere, "others at random", looks.STOPPED.colour),
            line(one.position, one.near_best, "others as in the best", looks.FEASIBLE.colour, dash="dash"),
        ]
        x_axis: dict[str, Any] = {"title": {"text": for_plotly(one.name, 28)}, "range": [-0.05, 1.05]}
        if axis.choices:
            x_axis |= choices_axis(axis, one.position.tolist())
            for curve, symbol in zip(curves, ("circle", "square"), strict=True):
                curve |= {"mode": "markers", "marker": {"size": 7, "symbol": symbol}}
        else:
            x_axis |= {"tickvals": [0, 1], "ticktext": [bound(axis.low), bound(axis.high)]}
        for curve in curves:
            curve["hovertemplate"] = "%{y:.0%}<extra>%{fullData.name}</extra>"
            curve["marker"] = {**curve.get("marker", {}), "color": curve["line"]["color"]}
        y_axis = {"range": [-0.03, 1.03], "tickformat": ".0%", "title": {"text": "feasible", "font": {"size": 9}}}
        drawn.append(Chart(f"feasible{i}", "", "", curves, {"xaxis": x_axis, "yaxis": y_axis}, 190))
    return drawn


def paper(found: Found) -> Figure:
    """For papers."""
    n_rows = max(-(-len(found.along) // 4), 1)
    figure = Figure((PAGE_IN, 1.4 * n_rows + 0.5))
    panels = figure.subplots(n_rows, 4, sharey=True, squeeze=False)
    for ax, one, axis in zip(panels.flat, found.along, found.axes, strict=False):
        for y, colour, dash, marker, label in (
            (one.anywhere, looks.STOPPED.colour, "-", "o", "others at random"),
            (one.near_best, looks.FEASIBLE.colour, "--", "s", "others as in the best"),
        ):
            look: Any = {"marker": marker, "markersize": 2.5, "linestyle": ""} if axis.choices else {}
            ax.plot(one.position, y, **({"linestyle": dash, "color": colour, "label": label} | look))
        _place_ticks(ax, axis)
        ax.set(title=for_matplotlib(one.name, 20), ylim=(-0.03, 1.03))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.tick_params(labelsize=6)
    for ax in panels.flat[len(found.along) :]:
        ax.set_axis_off()
    figure.supylabel("feasible (by the models)", fontsize=8)
    numeric = next((i for i, axis in enumerate(found.axes) if not axis.choices), 0)
    figure.legend(*panels.flat[numeric].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _place_ticks(ax: Axes, axis: Axis) -> None:
    """Values at places of the range."""
    if axis.choices:
        choice_ticks(ax, axis.choices, ((np.arange(len(axis.choices)) + 0.5) / len(axis.choices)).tolist(), room=26)
        ax.set_xlim(0, 1)
    else:
        ax.set_xticks([0, 1], [bound(axis.low), bound(axis.high)])
