"""The objective against each constraint: how far networks are from being infeasible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.points import Floats
from snnhpo_mpi.analysis.summary import objective_name
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks, traces
from snnhpo_mpi.report.canvas import COLUMN_IN, PAGE_IN, objectives
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly, shortened
from snnhpo_mpi.report.text import percent
from snnhpo_mpi.report.traces import Chart


@dataclass(frozen=True, slots=True)
class Measured:
    """A constraint: n values, the least of them or 0, and the share of the measured trials that violate it."""

    name: str
    values: Floats
    low: float
    violated: float


@dataclass(frozen=True, slots=True)
class Found:
    """The constraints that were measured."""

    data: StudyData
    measured: tuple[Measured, ...]


def compute(data: StudyData) -> Found | str | None:
    """None where the study has no constraints."""
    if not data.constraint_names:
        return None
    found = []
    for name, column in zip(data.constraint_names, data.constraints.T, strict=True):
        known = column[points.drawable(column)]
        if len(known):
            low = float(np.min(known, initial=0.0))
            found.append(Measured(name, column, low, float(np.mean(known > 0))))
    return Found(data, tuple(found)) if found else "no constraint was measured yet"


def charts(found: Found) -> list[Chart]:
    """For the page."""
    drawn = []
    for j, one in enumerate(found.measured):
        shade: dict[str, Any] = {"type": "rect", "xref": "x", "yref": "paper", "x0": one.low, "x1": 0, "y0": 0, "y1": 1}
        shade |= {"fillcolor": looks.BASELINE, "opacity": 0.12, "line": {"width": 0}, "layer": "below"}
        lines = traces.objectives(found.data, one.values)
        layout = {"xaxis": {"title": {"text": for_plotly(one.name)}},
                  "yaxis": {"title": {"text": objective_name(found.data)}}, "shapes": [shade]}  # fmt: skip
        caption = f"Satisfied left of zero, in the shaded part; violated by {percent(one.violated)} of the trials."
        title = f"Constraint {shortened(one.name)}"
        drawn.append(Chart(f"constraint{j}", title, caption, lines, traces.with_strip(lines, layout)))
    return [chart for chart in drawn if chart.traces]


def paper(found: Found) -> Figure:
    """For papers: a panel a constraint."""
    m = len(found.measured)
    n_rows, n_columns = -(-m // 3), min(m, 3)
    figure = Figure((PAGE_IN if m > 1 else COLUMN_IN, 2.3 * n_rows + 0.3))
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for ax in panels.flat[m:]:
        ax.set_axis_off()
    for ax, one in zip(panels.flat, found.measured, strict=False):
        ax.axvspan(one.low, 0, color=looks.BASELINE, alpha=0.08, linewidth=0)
        ax.axvline(0, color=looks.BASELINE, linewidth=1)
        objectives(ax, found.data, one.values)
        ax.set_xlabel(f"{for_matplotlib(one.name, 26)}\n(feasible: ≤ 0)")
    for row in panels:
        row[0].set_ylabel(objective_name(found.data))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure
