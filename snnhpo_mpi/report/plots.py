"""Figures for papers and READMEs, with Matplotlib: each draws what ``series`` and ``points`` computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points, series
from snnhpo_mpi.report.summary import best_trials, objective_label, objective_name, saved_seconds, summarise
from snnhpo_mpi.report.words import percent, rounded, time_unit

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
_MOST_POINTS = 4000
_MOST_LANES = 64


def write_figures(data: StudyData, folder: Path, formats: Iterable[str]) -> list[Path]:
    """Writes every figure in every format (``png``, ``pdf``); the paths written.

    A figure that has nothing to show says so instead.
    """
    formats = list(formats)
    written: list[Path] = []
    if formats:
        folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items() if formats else ():
        with mpl.rc_context(STYLE):
            figure = draw(data)
            for kind in formats:
                path = folder / f"{name}.{kind}"
                figure.savefig(path)
                written.append(path)
    return written


def draw_incumbent(data: StudyData) -> Figure:
    """Best feasible objective over trials and over time, above all trials."""
    figure = Figure((PAGE_IN, 2.6))
    left, right = figure.subplots(1, 2, sharey=True)
    progress = series.incumbent(data)
    if np.isnan(data.objective).all():
        return _empty(figure, "no trial with an objective has ended yet")
    when = series.elapsed(series.windows(data), data.ended_at)
    unit, name = time_unit(progress.seconds[-1])
    _scatter(left, data, data.number.astype(float), data.objective)
    _scatter(right, data, when / unit, data.objective)
    best: Any = {"color": points.BEST, "linewidth": 1.5, "label": "best feasible so far", "drawstyle": "steps-post"}
    by_number = series.incumbent_by_number(data)
    left.plot(data.number[by_number.row], by_number.best, **best)
    right.plot(progress.seconds / unit, progress.best, **best)
    baseline = summarise(data).baseline
    for ax in (left, right):
        if baseline is not None and baseline.objective is not None:
            ax.axhline(baseline.objective, color=points.BASELINE, linestyle="--", linewidth=1, label=baseline.name)
    left.set(xlabel="trial", ylabel=objective_label(data))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_xlabel(f"time [{name}]")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def draw_constraints(data: StudyData) -> Figure:
    """Objective against each constraint."""
    m = len(data.constraint_names)
    figure = Figure((PAGE_IN if m > 1 else COLUMN_IN, 2.6))
    if not m or np.isnan(data.constraints).all():
        return _empty(figure, "no constraint was measured yet")
    panels = figure.subplots(1, m, sharey=True, squeeze=False)[0]
    for j, ax in enumerate(panels):
        ax.axvspan(min(np.nanmin(data.constraints[:, j]), 0), 0, color=points.BASELINE, alpha=0.08, linewidth=0)
        ax.axvline(0, color=points.BASELINE, linewidth=1)
        _scatter(ax, data, data.constraints[:, j], data.objective)
        ax.set_xlabel(f"constraint {data.constraint_names[j]} (feasible: ≤ 0)")
    panels[0].set_ylabel(objective_label(data))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def draw_silence(data: StudyData) -> Figure:
    """Share of silent networks, and what stopping early saved, over time."""
    figure = Figure((PAGE_IN, 2.4))
    left, right = figure.subplots(1, 2)
    told = series.silence(data, saved_seconds(data))
    if not len(told.seconds):
        return _empty(figure, "no network was trained yet")
    unit, name = time_unit(told.seconds[-1])
    amount, amount_name = time_unit(max(told.saved[-1], told.spent[-1]))
    left.plot(told.seconds / unit, told.recent_share, color=points.STOPPED.colour, label=f"latest {told.window}")
    left.plot(told.seconds / unit, told.total_share, color="black", linewidth=1, linestyle="--", label="all so far")
    left.set(xlabel=f"time [{name}]", ylabel="silent networks", ylim=(-0.02, 1.02))
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.plot(told.seconds / unit, told.saved / amount, color=points.BASELINE, label="saved by stopping early")
    right.plot(told.seconds / unit, told.spent / amount, color=points.FEASIBLE.colour, linestyle="--", label="spent")
    right.set(xlabel=f"time [{name}]", ylabel=f"evaluation time [{amount_name}]", ylim=(0, None))
    for ax in (left, right):
        ax.legend(loc="best")
    return figure


def draw_workers(data: StudyData) -> Figure:
    """Timeline of the workers; gaps are idle time."""
    lanes = series.lanes(data)
    shown = lanes[:_MOST_LANES]
    figure = Figure((PAGE_IN, 1.2 + max(0.12 * len(shown), 0.4)))
    if not lanes:
        return _empty(figure, "no trial was sent out yet")
    ax = figure.subplots()
    unit, name = time_unit(max(lane.end.max() for lane in lanes))
    for look, rows in points.by_kind(data):
        bars = [(j, lane, np.isin(lane.row, rows)) for j, lane in enumerate(shown)]
        for i, (j, lane, of_kind) in enumerate(bars):
            spans = np.column_stack([lane.begin, lane.end - lane.begin])[of_kind] / unit
            label = look.name if i == 0 else None
            ax.broken_barh(
                [(float(a), float(b)) for a, b in spans], (j - 0.4, 0.8), color=look.colour, label=label, linewidth=0
            )
    share = summarise(data).busy_share
    step = max(1, len(shown) // 16)
    ax.set_yticks(range(0, len(shown), step), [str(lane.rank) for lane in shown[::step]])
    hidden = f", {len(lanes) - len(shown)} workers not shown" if len(lanes) > len(shown) else ""
    ax.set(
        xlabel=f"time [{name}]", ylabel="worker", title=f"{percent(share)} busy{hidden}", ylim=(len(shown) - 0.5, -0.5)
    )
    ax.grid(visible=False, axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def draw_best(data: StudyData) -> Figure:
    """Accuracy per epoch and spikes per class of the best network."""
    figure = Figure((PAGE_IN, 2.4))
    best = best_trials(data, 1)
    if not best:
        return _empty(figure, "no feasible network yet")
    curves = data.curves(best[0].number)
    left, right = figure.subplots(1, 2)
    accuracy = np.ravel(curves.get("train_accuracy", np.empty(0)))
    left.plot(
        np.arange(1, len(accuracy) + 1), accuracy, "o-", markersize=4, color=points.FEASIBLE.colour, label="training"
    )
    left.axhline(best[0].objective, color=points.BEST, linestyle="--", linewidth=1, label=objective_name(data))
    left.set(xlabel="epoch", ylabel="accuracy", title=f"trial {best[0].number}")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend()
    layers = {name: np.ravel(curve) for name, curve in curves.items() if name.startswith("spikes_")}
    for i, (name, spikes) in enumerate(layers.items()):
        width = 0.8 / len(layers)
        colour = (points.FEASIBLE.colour, points.STOPPED.colour, points.BASELINE)[i % 3]
        at = np.arange(len(spikes)) + (i - (len(layers) - 1) / 2) * width
        right.bar(at, spikes, width, color=colour, label=name.removeprefix("spikes_"))
    right.set(xlabel="class", ylabel="spikes per sample")
    right.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    right.grid(visible=False, axis="x")
    if layers:
        right.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    return figure


def draw_hyperparameters(data: StudyData) -> Figure:
    """Objective along every hyperparameter."""
    axes = points.axes(data)
    n_rows = max(-(-len(axes) // 4), 1)
    figure = Figure((PAGE_IN, 1.5 * n_rows + 0.5))
    if not axes or np.isnan(data.objective).all():
        return _empty(figure, "no trial with an objective has ended yet")
    panels = figure.subplots(n_rows, 4, sharey=True, squeeze=False)
    for ax, axis in zip(panels.flat, axes, strict=False):
        if axis.choices:
            at = axis.position * len(axis.choices) - 0.5
            jitter = np.random.default_rng(0).uniform(-0.25, 0.25, len(at))
            ax.set_xticks(range(len(axis.choices)), axis.choices)
            _scatter(ax, data, at + jitter, data.objective, size=5)
        else:
            _scatter(ax, data, np.asarray(axis.values, dtype=float), data.objective, size=5)
            _ticks(ax, axis)
        ax.set_title(axis.name)
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


def _scatter(ax: Axes, data: StudyData, x: series.Floats, y: series.Floats, size: float = 12) -> None:
    for look, rows in points.by_kind(data):
        drawn = points.thinned(rows[~np.isnan(x[rows]) & ~np.isnan(y[rows])], _MOST_POINTS)
        if len(drawn):
            marker: Any = {"marker": look.marker, "s": size, "linewidths": 0.7, "alpha": 0.7}
            ax.scatter(x[drawn], y[drawn], color=look.colour, label=look.name, **marker)


def _empty(figure: Figure, text: str) -> Figure:
    figure.clear()
    figure.text(0.5, 0.5, text, ha="center", va="center", color="gray")
    return figure


DRAWINGS: dict[str, Callable[[StudyData], Figure]] = {
    "incumbent": draw_incumbent,
    "constraints": draw_constraints,
    "silence": draw_silence,
    "workers": draw_workers,
    "best": draw_best,
    "hyperparameters": draw_hyperparameters,
}
