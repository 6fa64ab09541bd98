"""What the best networks have in common: a line each through all hyperparameters, over where the search looked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.curves import best_tenth
from snnhpo_mpi.analysis.points import Axis, Floats
from snnhpo_mpi.analysis.score import score
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly
from snnhpo_mpi.report.text import figure as number
from snnhpo_mpi.report.traces import Chart, Trace

_MIDDLE = (0.1, 0.9)  # quantiles of where the search looked


@dataclass(frozen=True, slots=True)
class Found:
    """The best tenth, the best first, and between which places of each range most trials lie (``2 x k``)."""

    data: StudyData
    axes: list[Axis]
    rows: list[int]
    tried: Floats


def compute(data: StudyData) -> Found | str:
    """The best tenth of the feasible trials, along what any ended trial had."""
    axes, rows = [axis for axis in points.axes(data) if not np.isnan(axis.position[data.ended]).all()], best_tenth(data)
    if not axes or len(rows) < 2:
        return "fewer than two feasible networks yet"
    tried = np.nanquantile(np.column_stack([axis.position[data.ended] for axis in axes]), _MIDDLE, axis=0)
    return Found(data, axes, rows, tried)


def charts(found: Found) -> list[Chart]:
    """For the page."""
    names = [for_plotly(axis.name) for axis in found.axes]
    low, high = found.tried.round(4).tolist()
    band: Trace = {
        "type": "scatter", "mode": "lines", "x": [*names, *names[::-1]], "y": [*high, *low[::-1]], "fill": "toself",
        "fillcolor": "rgba(127,127,127,0.18)", "line": {"width": 0}, "name": "the middle 80 % of all trials",
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    values = np.clip(found.data.objective[found.rows], -points.LARGEST, points.LARGEST)
    span = float(values.max() - values.min()) or 1.0
    lines = [
        _line(found, row, names, float((value - values.min()) / span))
        for row, value in zip(found.rows[::-1], values[::-1], strict=True)  # the best on top
    ]
    layout = {
        "xaxis": {"showgrid": True, "dtick": 1, "tickfont": {"size": 12 if len(names) <= 30 else 8}},
        "yaxis": {"range": [-0.02, 1.02], "tickvals": [0, 1], "ticktext": ["low", "high"],
                  "title": {"text": "place in the range"}},
        "hovermode": "closest",
    }  # fmt: skip
    caption = (
        f"The {len(found.rows)} best feasible networks, each a line; the best is thick. Heights are places in the "
        "searched range, on the scale of the search. The band holds the middle 80 % of all trials: lines that gather "
        "where the band is narrow only show where the search looked, and lines that gather where it is wide suggest "
        "that the value matters."
    ) + _of_gaps(found)
    return [Chart("parallel", "What the best have in common", caption, [band, *lines], layout, 420, wide=True)]


def _line(found: Found, row: int, names: list[str], strength: float) -> Trace:
    best = row == found.rows[0]
    style = {"color": looks.BEST if best else looks.FEASIBLE.colour, "width": 3 if best else 1.2}
    return {
        "type": "scatter", "mode": "lines+markers" if _has_gap(found, row) else "lines", "x": names,
        "y": [round(float(axis.position[row]), 4) for axis in found.axes], "line": style, "marker": {"size": 4},
        "opacity": 1.0 if best else 0.25 + 0.6 * strength,
        "name": f"trial {found.data.number[row]}: {score(found.data.objective[row])}",
        "text": [for_plotly(f"{axis.name} = {_value(axis, row)}", 80) for axis in found.axes],
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>", "showlegend": False,
    }  # fmt: skip


def _has_gap(found: Found, row: int) -> bool:
    """Whether the trial lacks a hyperparameter: its line is cut there, and a piece of one point needs a mark."""
    return any(np.isnan(axis.position[row]) for axis in found.axes)


def _of_gaps(found: Found) -> str:
    gaps = any(_has_gap(found, row) for row in found.rows)
    return " A line is cut where a hyperparameter does not exist for that network." if gaps else ""


def _value(axis: Axis, row: int) -> str:
    value = axis.values[row]
    return number(value.item() if isinstance(value, np.generic) else value)


def paper(found: Found) -> Figure:
    """For papers."""
    axes = found.axes
    figure = Figure((PAGE_IN, 2.9))
    ax = figure.subplots()
    at = np.arange(len(axes))
    ax.fill_between(at, *found.tried, color="gray", alpha=0.18, linewidth=0, label="the middle 80 % of all trials")
    for row in found.rows[::-1]:  # the best on top
        best = row == found.rows[0]
        style: Any = {"color": looks.BEST if best else looks.FEASIBLE.colour, "linewidth": 2.0 if best else 0.8}
        label = f"trial {found.data.number[row]}, the best" if best else None
        style |= {"marker": "o", "markersize": 2} if _has_gap(found, row) else {}
        ax.plot(at, [axis.position[row] for axis in axes], alpha=1.0 if best else 0.45, label=label, **style)
    crowded = len(axes) > 30
    turned: Any = {"rotation": 90 if crowded else 40, "ha": "right", "rotation_mode": "anchor"}
    turned |= {"va": "center", "fontsize": max(300 / len(axes), 3)} if crowded else {}
    ax.set_xticks(at, [for_matplotlib(axis.name, 24) for axis in axes], **turned)
    ax.set_yticks([0, 1], ["low", "high"])
    title = f"the {len(found.rows)} best feasible networks"
    ax.set(ylim=(-0.03, 1.03), ylabel="place in the searched range")
    ax.set_title(title, loc="left")
    figure.legend(loc="outside upper right", ncols=2)
    return figure
