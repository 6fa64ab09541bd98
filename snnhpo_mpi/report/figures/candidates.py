"""The scores of a retraining, interactive and for papers: a row a candidate, a point a seed, mean and spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.repeats import Repeats, repeats
from snnhpo_mpi.analysis.summary import objective_name
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.canvas import COLUMN_IN
from snnhpo_mpi.report.traces import Chart, Trace, numbers


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates with a completed training, in the order of the search, and what their scores are."""

    candidates: list[Repeats]
    objective: str


def compute(data: StudyData) -> Found | str:
    """The trainings by candidate."""
    trained = [one for one in repeats(data) if one.values and points.drawable(np.array(one.values)).all()]
    return Found(trained, objective_name(data)) if trained else "no training has ended yet"


def charts(found: Found) -> list[Chart]:
    """For the page."""
    candidates = found.candidates
    names = [f"trial {one.number}" for one in candidates]
    seeds: Trace = {
        "type": "scatter", "mode": "markers", "name": "a training",
        "x": numbers([value for one in candidates for value in one.values]),
        "y": [name for one, name in zip(candidates, names, strict=True) for _ in one.values],
        "customdata": [number for one in candidates for number in one.trials],
        "marker": {"color": looks.FEASIBLE.colour, "size": 7, "opacity": 0.6},
        "hovertemplate": "training %{customdata}: %{x}<extra>%{y}</extra>",
    }  # fmt: skip
    spread = [one.sd or 0.0 for one in candidates]
    means: Trace = {
        "type": "scatter", "mode": "markers", "name": "mean ± standard deviation",
        "x": numbers([one.mean for one in candidates]), "y": names,
        "marker": {"color": looks.BEST, "size": 10, "symbol": "diamond"},
        "error_x": {"type": "data", "array": numbers(spread), "color": looks.BEST, "thickness": 2},
    }  # fmt: skip
    searched: Trace = {
        "type": "scatter", "mode": "markers", "name": "its score in the search",
        "x": numbers([one.searched for one in candidates]), "y": names,
        "marker": {"color": looks.FAILED.colour, "size": 9, "symbol": "x-thin-open", "line": {"width": 2}},
    }  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": found.objective}},
        "yaxis": {"type": "category", "autorange": "reversed", "categoryarray": names},
        "hovermode": "closest",
    }
    caption = "Candidates in the order of the search: to pick the best of these would be too good by chance again."
    height = 150 + 34 * len(candidates)
    return [Chart("candidates", "Every training", caption, [seeds, searched, means], layout, height, wide=True)]


def paper(found: Found) -> Figure:
    """For papers."""
    candidates = found.candidates
    figure = Figure((COLUMN_IN, 1.3 + 0.3 * len(candidates)))
    ax = figure.subplots()
    for i, one in enumerate(candidates):
        seeds = ax.scatter(one.values, [i] * len(one.values), s=12, color=looks.FEASIBLE.colour, alpha=0.6)
        mean = ax.errorbar(one.mean or 0.0, i, xerr=one.sd, fmt="D", markersize=5, color=looks.BEST, capsize=3)
        searched = ax.scatter([one.searched], [i], s=20, marker="x", color=looks.FAILED.colour)
    ax.set_yticks(range(len(candidates)), [f"trial {one.number} (n = {len(one.values)})" for one in candidates])
    ax.set(xlabel=found.objective, ylim=(len(candidates) - 0.5, -0.5))
    ax.grid(visible=False, axis="y")
    handles: Any = [seeds, mean, searched]
    figure.legend(handles, ["a training", "mean ± s.d.", "in the search"], loc="outside upper center", ncols=3)
    return figure
