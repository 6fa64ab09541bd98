"""Which hyperparameters matter: what a prediction loses without one, and how fast the model changes along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis.importance import Importance, importances
from snnhpo_mpi.analysis.summary import stops_early
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly
from snnhpo_mpi.report.traces import Chart, Trace, numbers

_PARTS = (("silence", "being stopped early", looks.STOPPED), ("objective", "the objective", looks.FEASIBLE))


@dataclass(frozen=True, slots=True)
class Found:
    """Hyperparameters, the most important last; ``parts`` are those of ``_PARTS`` of which enough is known."""

    ranked: list[Importance]
    parts: tuple[tuple[str, str, looks.Look], ...]
    has_model: bool
    missing: str


def compute(data: StudyData) -> Found | str:
    """Both measures."""
    found = sorted(importances(data), key=lambda one: float(np.nansum([one.silence, one.objective])))
    parts = tuple(part for part in _PARTS if not np.isnan([getattr(one, part[0]) for one in found]).all())
    has_model = not np.isnan([one.sensitivity for one in found]).all()
    if not parts and not has_model:
        return "too few trials to tell which hyperparameters matter"
    asked = [part for part in _PARTS if part[0] == "objective" or stops_early(data)]
    unknown = [what for part, what, _ in asked if part not in [name for name, *_ in parts]]
    return Found(found, parts, has_model, f" Too little is known of {' and of '.join(unknown)}." if unknown else "")


def charts(found: Found) -> list[Chart]:
    """For the page."""
    layout: dict[str, Any] = {"yaxis": {"dtick": 1}, "bargap": 0.25}
    height = 130 + 24 * len(found.ranked)
    drawn = []
    if found.parts:
        bars = [_bars(found, part, what, look.colour) for part, what, look in found.parts]
        caption = (
            "How much a hyperparameter matters over all of the space that was tried. A random forest learns half of "
            "the trials and predicts the others; the bar is what shuffling one hyperparameter takes from the share of "
            "the variance that it predicts (R²). Trends and interactions both count. A hint, no test: a search does "
            f"not sample at random.{found.missing}"
        )
        drawn.append(
            Chart("importance", "Which hyperparameters matter", caption, bars, layout | _axis("loss of R²"), height)
        )
    if found.has_model:
        caption = (
            "How short the steps are over which the search's own model of the objective changes: inverse lengthscale, "
            "as a share of the largest. This is no importance: a steady trend has a long lengthscale and matters, a "
            "small ripple has a short one and does not. So this order may differ from that of the other chart."
        )
        bars = [_bars(found, "sensitivity", "inverse lengthscale", looks.BASELINE)]
        drawn.append(
            Chart("lengthscales", "How fast the search's model changes", caption, bars,
                  layout | _axis("of the largest"), height)
        )  # fmt: skip
    return drawn


def _axis(title: str) -> dict[str, Any]:
    return {"xaxis": {"rangemode": "tozero", "title": {"text": title}}}


def _bars(found: Found, part: str, name: str, colour: str) -> Trace:
    return {"type": "bar", "orientation": "h", "name": name,
            "x": numbers([getattr(one, part) for one in found.ranked]),
            "y": [for_plotly(one.name) for one in found.ranked], "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:.2f}<extra>%{fullData.name}</extra>"}  # fmt: skip


def paper(found: Found) -> Figure:
    """For papers: a panel each."""
    n_panels = bool(found.parts) + found.has_model
    figure = Figure((PAGE_IN, 1.2 + 0.2 * max(len(found.ranked), 4)))
    panels = list(figure.subplots(1, n_panels, sharey=True, squeeze=False).flat)
    at = np.arange(len(found.ranked))
    for ax in panels:
        ax.grid(visible=False, axis="y")
        ax.set_yticks(at, [for_matplotlib(one.name, 30) for one in found.ranked])
    if found.has_model:
        ax = panels[-1]
        ax.barh(at, np.nan_to_num([one.sensitivity for one in found.ranked]), 0.6, color=looks.BASELINE)
        ax.set(
            xlabel="inverse lengthscale, of the largest", title="how fast the search's model changes (no importance)"
        )
        ax.set_xlim(left=0)
    if found.parts:
        ax = panels[0]
        for i, (part, what, look) in enumerate(found.parts):
            values = np.nan_to_num([getattr(one, part) for one in found.ranked])
            ax.barh(at + 0.2 - 0.4 * i, values, 0.38, color=look.colour, label=what)
        ax.set(xlabel="loss of R² when shuffled, in predicting ...", title="permutation importance")
        ax.set_xlim(left=0)
        ax.legend(loc="lower right")
    return figure
