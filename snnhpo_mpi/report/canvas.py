"""What all figures share: sizes and style of a journal, points of every kind of trial, and nothing to show."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points, series

COLUMN_IN, PAGE_IN = 3.5, 7.2  # width of a column and of a page of a journal
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
}
_MOST_POINTS = 2500


def scatter(ax: Axes, data: StudyData, x: series.Floats, y: series.Floats, size: float = 12) -> None:
    """Trials as points, each kind with its look; those without both coordinates are left out."""
    for look, rows in points.by_kind(data):
        drawn = points.thinned(rows[~np.isnan(x[rows]) & ~np.isnan(y[rows])], _MOST_POINTS)
        if len(drawn):
            opacity, scale = points.crowding(len(drawn))
            width = 0.7 if scale == 1 or look.marker == "x" else 0.0
            style: Any = {"color": look.colour, "marker": look.marker, "alpha": opacity}
            ax.scatter(x[drawn], y[drawn], s=size * scale**2, linewidths=width, **style)
            ax.scatter([], [], s=size, linewidths=0.7, label=look.name, **style)  # in the legend at its usual size


def empty(figure: Figure, text: str) -> Figure:
    """The figure with nothing but a sentence that says why."""
    figure.clear()
    figure.text(0.5, 0.5, text, ha="center", va="center", color="gray")
    return figure
