"""The best network so far: over trials, over time and over the time of all workers, with every trial as a point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from snnhpo_mpi.analysis import curves, points, timeline
from snnhpo_mpi.analysis.durations import time_unit
from snnhpo_mpi.analysis.points import Floats
from snnhpo_mpi.analysis.summary import Baseline, objective_name, scored_baseline
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks, traces
from snnhpo_mpi.report.canvas import PAGE_IN, objectives
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly
from snnhpo_mpi.report.traces import Chart


@dataclass(frozen=True, slots=True)
class View:
    """The search along one measure of its length.

    Attributes:
        axis: name of the measure.
        trials: n, where each trial lies; NaN where it has no place.
        at, best: e, where the best feasible objective was what.
    """

    key: str
    title: str
    caption: str
    axis: str
    trials: Floats
    at: Floats
    best: Floats


@dataclass(frozen=True, slots=True)
class Found:
    """What is drawn; ``baseline`` is None unless it has a score."""

    data: StudyData
    views: tuple[View, ...]
    baseline: Baseline | None


def compute(data: StudyData) -> Found | str:
    """The three views."""
    if nothing := points.nothing_drawn(data):
        return nothing
    found, by_number = curves.incumbent(data), curves.incumbent_by_number(data)
    when = timeline.elapsed(timeline.windows(data), data.ended_at)
    unit, name = time_unit(float(found.seconds[-1]))
    amount, amount_name = time_unit(float(found.worker_seconds[-1]))
    effort = timeline.worker_time(data)
    return Found(
        data,
        (
            View("trials", "Best network over trials", f"The line is the best feasible network up to each trial."
                 f"{_unscored_note(data)}{_thinning_note(data)}{_range_note(data)}", "trial",
                 data.number.astype(float), data.number[by_number.row].astype(float), by_number.best),
            View("time", "Best network over time", "Time of the runs; breaks between a run and the one that resumed "
                 "it are left out.", f"time [{name}]", when / unit, found.seconds / unit, found.best),
            View("effort", f"Best network over {effort}", "What all evaluations took together.",
                 f"{effort} [{amount_name}]", curves.spent_by(found, data.n_trials) / amount,
                 found.worker_seconds / amount, found.best),
        ),
        scored_baseline(data),
    )  # fmt: skip


def charts(found: Found) -> list[Chart]:
    """For the page."""
    drawn = []
    for view in found.views:
        lines = [*traces.objectives(found.data, view.trials), *traces.step(view.at, view.best)]
        if found.baseline is not None:
            level, name = np.full(2, found.baseline.objective), for_plotly(found.baseline.name)
            ends = np.array([0.0, float(view.at[-1])])
            lines.append(traces.line(ends, level, name, looks.BASELINE, dash="dash"))
        layout = {"xaxis": {"title": {"text": view.axis}, "rangemode": "tozero"},
                  "yaxis": {"title": {"text": objective_name(found.data)}}}  # fmt: skip
        size: Any = {"wide": True, "height": 300} if view is found.views[-1] else {}
        drawn.append(Chart(view.key, view.title, view.caption, lines, traces.with_strip(lines, layout), **size))
    return drawn


def paper(found: Found) -> Figure:
    """For papers."""
    figure = Figure((PAGE_IN, 2.6))
    panels = figure.subplots(1, 3, sharey=True)
    for ax, view in zip(panels, found.views, strict=True):
        objectives(ax, found.data, view.trials)
        best: Any = {"color": looks.BEST, "linewidth": 1.5, "label": "best feasible so far", "drawstyle": "steps-post"}
        ax.plot(view.at, points.shown(view.best), **best)
        if found.baseline is not None and points.drawable(np.array(found.baseline.objective)):
            look: Any = {"color": looks.BASELINE, "linestyle": "--", "linewidth": 1}
            ax.axhline(found.baseline.objective, label=for_matplotlib(found.baseline.name), **look)
        ax.set_xlabel(view.axis)
    panels[0].set_ylabel(objective_name(found.data))
    panels[0].xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def _unscored_note(data: StudyData) -> str:
    found = [look.name for look, _ in looks.by_kind(data) if look in looks.UNSCORED]
    return f" Networks {' or '.join(found)} have no score: they are the ticks at the bottom." if found else ""


def _thinning_note(data: StudyData) -> str:
    counts = {kind: len(rows) for kind, rows in points.by_kind(data)}
    n_ticks = max(counts.pop(look.name, 0) for look in looks.UNSCORED)
    most = max(counts.values(), default=0)
    note = f" Of each kind at most {traces.MOST_POINTS} trials are drawn." if most > traces.MOST_POINTS else ""
    return note + (f" Of the ticks {traces.MOST_TICKS} are drawn." if n_ticks > traces.MOST_TICKS else "")


def _range_note(data: StudyData) -> str:
    scores = points.scored(data)
    n = int((~np.isnan(scores) & ~points.drawable(scores)).sum())
    return f" Not drawn: {n} whose objective is infinite or beyond 1e300." if n else ""
