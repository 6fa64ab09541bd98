"""Figures of the search space: slices, importance, what the best have in common, where networks are feasible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points
from snnhpo_mpi.report.along import Along
from snnhpo_mpi.report.canvas import PAGE_IN, choice_ticks, empty, scatter
from snnhpo_mpi.report.importance import importances
from snnhpo_mpi.report.labels import for_matplotlib
from snnhpo_mpi.report.series import best_tenth
from snnhpo_mpi.report.summary import objective_label
from snnhpo_mpi.report.words import rounded


def draw_hyperparameters(data: StudyData) -> Figure:
    """Objective along every hyperparameter."""
    axes = points.axes(data)
    n_rows = max(-(-len(axes) // 4), 1)
    figure = Figure((PAGE_IN, 1.5 * n_rows + 0.5))
    nothing = points.nothing_drawn(data)
    if not axes or nothing:
        return empty(figure, nothing or "the record has no search space")
    panels = figure.subplots(n_rows, 4, sharey=True, squeeze=False)
    for ax, axis in zip(panels.flat, axes, strict=False):
        if axis.choices:
            at = axis.position * len(axis.choices) - 0.5
            jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(at))
            scatter(ax, data, at + jitter, data.objective, size=5)
            ax.set_xlim(-0.5, len(axis.choices) - 0.5)
            choice_ticks(ax, axis.choices, list(range(len(axis.choices))), room=26)
        else:
            scatter(ax, data, np.asarray(axis.values, dtype=float), data.objective, size=5)
            _ticks(ax, axis)
        ax.set_title(for_matplotlib(axis.name, 20))
        ax.tick_params(labelsize=6)
    for ax in panels.flat[len(axes) :]:
        ax.set_axis_off()
    figure.supylabel(objective_label(data), fontsize=8)
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def _ticks(ax: Axes, axis: points.Axis) -> None:
    """Few ticks: panels are small, and a logarithmic axis of one decade has none at a power of ten."""
    if axis.log:
        ax.set_xscale("log")
        ticks = np.geomspace(axis.low, axis.high, 3)
        ax.set_xticks(ticks, [rounded(tick) for tick in ticks])
        ax.xaxis.set_minor_formatter(NullFormatter())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=axis.values.dtype.kind == "i"))


def draw_parallel(data: StudyData) -> Figure:
    """The best tenth of the feasible trials across all hyperparameters."""
    axes, rows = points.axes(data), best_tenth(data)
    figure = Figure((PAGE_IN, 2.9))
    if not axes or len(rows) < 2:
        return empty(figure, "fewer than two feasible networks yet")
    ax = figure.subplots()
    at = np.arange(len(axes))
    for row in rows[::-1]:  # the best on top
        best = row == rows[0]
        style: Any = {"color": points.BEST if best else points.FEASIBLE.colour, "linewidth": 2.0 if best else 0.8}
        label = f"trial {data.number[row]}, the best" if best else None
        ax.plot(at, [axis.position[row] for axis in axes], alpha=1.0 if best else 0.45, label=label, **style)
    crowded = len(axes) > 30
    turned: Any = {"rotation": 90 if crowded else 40, "ha": "right", "rotation_mode": "anchor"}
    turned |= {"va": "center", "fontsize": max(300 / len(axes), 3)} if crowded else {}
    ax.set_xticks(at, [for_matplotlib(axis.name, 24) for axis in axes], **turned)
    ax.set_yticks([0, 1], ["low", "high"])
    ax.set(ylim=(-0.03, 1.03), ylabel="place in the searched range", title=f"the {len(rows)} best feasible networks")
    figure.legend(loc="outside upper right")
    return figure


def draw_importance(data: StudyData) -> Figure:
    """Permutation importance and inverse lengthscales."""
    found = importances(data)
    figure = Figure((PAGE_IN, 1.0 + 0.2 * max(len(found), 4)))
    if not found or all(np.isnan([one.silence, one.objective, one.sensitivity]).all() for one in found):
        return empty(figure, "too few trials to tell which hyperparameters matter")
    left, right = figure.subplots(1, 2, sharey=True)
    found = sorted(found, key=lambda one: float(np.nansum([one.silence, one.objective])))
    at = np.arange(len(found))
    for part, look, shift, label in (
        ("silence", points.STOPPED, 0.2, "whether a network is silent"),
        ("objective", points.FEASIBLE, -0.2, "the objective"),
    ):
        values = np.array([getattr(one, part) for one in found])
        unknown = " (too little is known)" if np.isnan(values).all() else ""
        left.barh(at + shift, np.nan_to_num(values), 0.38, color=look.colour, label=f"{label}{unknown}")
    right.barh(at, np.nan_to_num([one.sensitivity for one in found]), 0.6, color=points.BASELINE)
    left.set_yticks(at, [for_matplotlib(one.name, 30) for one in found])
    left.set_xlabel("loss of R² when shuffled, in predicting ...")
    right.set_xlabel("inverse lengthscale in the objective's model")
    for ax in (left, right):
        ax.grid(visible=False, axis="y")
        ax.set_xlim(left=0)
    left.legend(loc="lower right")
    return figure


def draw_along(data: StudyData, along: Sequence[Along]) -> Figure:
    """The constraints' models: feasible probability along each hyperparameter."""
    axes = {axis.name: axis for axis in points.axes(data)}
    n_rows = max(-(-len(along) // 4), 1)
    figure = Figure((PAGE_IN, 1.4 * n_rows + 0.5))
    if not along:
        return empty(figure, "no border between silent and feasible networks was seen yet")
    panels = figure.subplots(n_rows, 4, sharey=True, squeeze=False)
    for ax, one in zip(panels.flat, along, strict=False):
        for y, colour, dash, marker, label in (
            (one.anywhere, points.STOPPED.colour, "-", "o", "others at random"),
            (one.near_best, points.FEASIBLE.colour, "--", "s", "others as in the best"),
        ):
            look: Any = {"marker": marker, "markersize": 2.5, "linestyle": ""} if axes[one.name].choices else {}
            ax.plot(one.position, y, **({"linestyle": dash, "color": colour, "label": label} | look))
        _place_ticks(ax, axes[one.name])
        ax.set(title=for_matplotlib(one.name, 20), ylim=(-0.03, 1.03))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.tick_params(labelsize=6)
    for ax in panels.flat[len(along) :]:
        ax.set_axis_off()
    figure.supylabel("feasible (by the models)", fontsize=8)
    numeric = next((i for i, one in enumerate(along) if not axes[one.name].choices), 0)
    figure.legend(*panels.flat[numeric].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _place_ticks(ax: Axes, axis: points.Axis) -> None:
    """Values at places of the range."""
    if axis.choices:
        choice_ticks(ax, axis.choices, ((np.arange(len(axis.choices)) + 0.5) / len(axis.choices)).tolist(), room=26)
        ax.set_xlim(0, 1)
    else:
        ax.set_xticks([0, 1], [rounded(axis.low), rounded(axis.high)])
