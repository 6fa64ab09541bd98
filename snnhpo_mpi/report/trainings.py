"""The scores of a retraining, interactive and for papers: a row a candidate, a point a seed, mean and spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points
from snnhpo_mpi.report.canvas import COLUMN_IN, empty
from snnhpo_mpi.report.repeats import Repeats, repeats
from snnhpo_mpi.report.summary import objective_name
from snnhpo_mpi.report.traces import Chart, Trace, numbers


def _trained(data: StudyData) -> list[Repeats]:
    """Candidates with a completed training, in the order of the search."""
    return [one for one in repeats(data) if one.values and points.drawable(np.array(one.values)).all()]


def charts(data: StudyData) -> list[Chart]:
    """For the page."""
    found = _trained(data)
    if not found:
        return []
    names = [f"trial {one.number}" for one in found]
    seeds: Trace = {
        "type": "scatter", "mode": "markers", "name": "a training",
        "x": numbers([value for one in found for value in one.values]),
        "y": [name for one, name in zip(found, names, strict=True) for _ in one.values],
        "customdata": [number for one in found for number in one.trials],
        "marker": {"color": points.FEASIBLE.colour, "size": 7, "opacity": 0.6},
        "hovertemplate": "training %{customdata}: %{x}<extra>%{y}</extra>",
    }  # fmt: skip
    spread = [one.sd or 0.0 for one in found]
    means: Trace = {
        "type": "scatter", "mode": "markers", "name": "mean ± standard deviation",
        "x": numbers([one.mean for one in found]), "y": names,
        "marker": {"color": points.BEST, "size": 10, "symbol": "diamond"},
        "error_x": {"type": "data", "array": numbers(spread), "color": points.BEST, "thickness": 2},
    }  # fmt: skip
    searched: Trace = {
        "type": "scatter", "mode": "markers", "name": "its score in the search",
        "x": numbers([one.searched for one in found]), "y": names,
        "marker": {"color": points.FAILED.colour, "size": 9, "symbol": "x-thin-open", "line": {"width": 2}},
    }  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": objective_name(data)}},
        "yaxis": {"type": "category", "autorange": "reversed", "categoryarray": names},
        "hovermode": "closest",
    }
    caption = "Candidates in the order of the search: to pick the best of these would be too good by chance again."
    height = 150 + 34 * len(found)
    return [Chart("candidates", "Every training", caption, [seeds, searched, means], layout, height, wide=True)]


def draw(data: StudyData) -> Figure:
    """For papers."""
    found = _trained(data)
    figure = Figure((COLUMN_IN, 1.3 + 0.3 * max(len(found), 1)))
    if not found:
        return empty(figure, "no training has ended yet")
    ax = figure.subplots()
    for i, one in enumerate(found):
        seeds = ax.scatter(one.values, [i] * len(one.values), s=12, color=points.FEASIBLE.colour, alpha=0.6)
        mean = ax.errorbar(one.mean or 0.0, i, xerr=one.sd, fmt="D", markersize=5, color=points.BEST, capsize=3)
        searched = ax.scatter([one.searched], [i], s=20, marker="x", color=points.FAILED.colour)
    ax.set_yticks(range(len(found)), [f"trial {one.number} (n = {len(one.values)})" for one in found])
    ax.set(xlabel=objective_name(data), ylim=(len(found) - 0.5, -0.5))
    ax.grid(visible=False, axis="y")
    handles: Any = [seeds, mean, searched]
    figure.legend(handles, ["a training", "mean ± s.d.", "in the search"], loc="outside upper center", ncols=3)
    return figure
