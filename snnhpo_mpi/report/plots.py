"""Figures for papers and READMEs, with Matplotlib: each draws what ``series`` and ``points`` computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import confusion, panels, points, series, trainings
from snnhpo_mpi.report.along import Along
from snnhpo_mpi.report.canvas import COLUMN_IN, PAGE_IN, STYLE, empty, save, scatter
from snnhpo_mpi.report.failing import attempt
from snnhpo_mpi.report.labels import for_matplotlib
from snnhpo_mpi.report.repeats import is_retraining
from snnhpo_mpi.report.summary import best_trials, failures, objective_label, objective_name, saved_seconds, summarise
from snnhpo_mpi.report.words import percent, time_unit

_MOST_LANES = 64
_MOST_EDGES = 150  # trials a lane that are told apart by white edges
_MOST_REASONS = 12


def write_figures(
    data: StudyData, folder: Path, formats: Iterable[str], along: Sequence[Along] = ()
) -> tuple[list[Path], dict[str, str]]:
    """Writes every figure in every format. A figure that has nothing to show says so instead.

    Args:
        data: the study.
        folder: where to.
        formats: ``png``, ``pdf``.
        along: the constraints' models, see ``Along``.

    Returns:
        The paths written, and of the figures that could not be drawn the reason by name.

    Raises:
        OSError: the folder cannot be written.
    """
    formats = list(formats)
    written: list[Path] = []
    failed: dict[str, str] = {}
    if formats:
        folder.mkdir(parents=True, exist_ok=True)
    for name, draw in _drawings(data, along).items() if formats else ():
        paths = [folder / f"{name}.{kind}" for kind in formats]
        _, reason = attempt(partial(_write, draw, data, paths))
        if reason:
            failed[name] = reason
        else:
            written += paths
    return written, failed


def _drawings(data: StudyData, along: Sequence[Along]) -> dict[str, Callable[[StudyData], Figure]]:
    if is_retraining(data):
        return RETRAINING
    return {**DRAWINGS, "feasible": partial(panels.draw_along, along=along)}


def _write(draw: Callable[[StudyData], Figure], data: StudyData, paths: Sequence[Path]) -> None:
    with mpl.rc_context(STYLE):
        figure = draw(data)
        for path in paths:
            save(figure, path)


def draw_incumbent(data: StudyData) -> Figure:
    """Best feasible objective over trials, over time and over the time of all workers, above all trials."""
    figure = Figure((PAGE_IN, 2.6))
    left, right, spent = figure.subplots(1, 3, sharey=True)
    progress = series.incumbent(data)
    if nothing := points.nothing_drawn(data):
        return empty(figure, nothing)
    when = series.elapsed(series.windows(data), data.ended_at)
    unit, name = time_unit(progress.seconds[-1])
    scatter(left, data, data.number.astype(float), data.objective)
    scatter(right, data, when / unit, data.objective)
    best: Any = {"color": points.BEST, "linewidth": 1.5, "label": "best feasible so far", "drawstyle": "steps-post"}
    by_number = series.incumbent_by_number(data)
    left.plot(data.number[by_number.row], points.shown(by_number.best), **best)
    right.plot(progress.seconds / unit, points.shown(progress.best), **best)
    amount, amount_name = time_unit(progress.worker_seconds[-1])
    scatter(spent, data, series.spent_by(progress, data.n_trials) / amount, data.objective)
    spent.plot(progress.worker_seconds / amount, points.shown(progress.best), **best)
    baseline = summarise(data).baseline
    for ax in (left, right, spent):
        if baseline is not None and baseline.scored and points.drawable(np.array(baseline.objective)):
            look: Any = {"color": points.BASELINE, "linestyle": "--", "linewidth": 1}
            ax.axhline(baseline.objective, label=for_matplotlib(baseline.name), **look)
    left.set(xlabel="trial", ylabel=objective_label(data))
    left.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    right.set_xlabel(f"time [{name}]")
    spent.set_xlabel(f"{series.worker_time(data)} [{amount_name}]")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def draw_constraints(data: StudyData) -> Figure:
    """Objective against each constraint."""
    m = len(data.constraint_names)
    n_rows, n_columns = -(-max(m, 1) // 3), min(max(m, 1), 3)
    figure = Figure((PAGE_IN if m > 1 else COLUMN_IN, 2.3 * n_rows + 0.3))
    if not m or not points.drawable(data.constraints).any():
        return empty(figure, "no constraint was measured yet")
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for ax in panels.flat[m:]:
        ax.set_axis_off()
    for j, ax in enumerate(panels.flat[:m]):
        column = data.constraints[:, j]
        lowest = float(np.min(column[points.drawable(column)], initial=0.0))
        ax.axvspan(lowest, 0, color=points.BASELINE, alpha=0.08, linewidth=0)
        ax.axvline(0, color=points.BASELINE, linewidth=1)
        scatter(ax, data, column, data.objective)
        ax.set_xlabel(f"{for_matplotlib(data.constraint_names[j], 26)}\n(feasible: ≤ 0)")
    for row in panels:
        row[0].set_ylabel(objective_label(data))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure


def draw_silence(data: StudyData) -> Figure:
    """Share of silent networks, and what stopping early saved, over time."""
    figure = Figure((PAGE_IN, 2.4))
    left, right = figure.subplots(1, 2)
    told = series.silence(data, saved_seconds(data))
    if not len(told.seconds):
        return empty(figure, "no network was trained yet")
    unit, name = time_unit(told.seconds[-1])
    amount, amount_name = time_unit(max(told.saved[-1], told.spent[-1]))
    dot: Any = {"marker": "o", "markersize": 3} if len(told.seconds) == 1 else {}  # a line of one point is none
    left.plot(told.seconds / unit, told.recent_share, **dot, color=points.STOPPED.colour, label=f"latest {told.window}")
    left.plot(told.seconds / unit, told.total_share, color="black", linewidth=1, linestyle="--", label="all so far")
    left.set(xlabel=f"time [{name}]", ylabel="silent networks", ylim=(-0.02, 1.02))
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.plot(told.seconds / unit, told.saved / amount, **dot, color=points.BASELINE, label="saved by stopping early")
    right.plot(
        told.seconds / unit, told.spent / amount, **dot, color=points.FEASIBLE.colour, linestyle="--", label="spent"
    )
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
        return empty(figure, "no trial was sent out yet")
    ax = figure.subplots()
    unit, name = time_unit(max(lane.end.max() for lane in lanes))
    edge = 0.3 if data.n_trials <= _MOST_EDGES * len(lanes) else 0.0  # between trials, where it does not hide them
    for look, rows in points.by_kind(data):
        bars = [(j, lane, np.isin(lane.row, rows)) for j, lane in enumerate(shown)]
        for i, (j, lane, of_kind) in enumerate(bars):
            spans = np.column_stack([lane.begin, lane.end - lane.begin])[of_kind] / unit
            label = look.name if i == 0 else None
            style: Any = {"facecolor": look.colour, "edgecolor": "white", "linewidth": edge, "label": label}
            ax.broken_barh([(float(a), float(b)) for a, b in spans], (j - 0.4, 0.8), **style)
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
        return empty(figure, "no feasible network yet")
    curves = data.curves(best[0].number)
    left, right = figure.subplots(1, 2)
    accuracy = np.ravel(curves.get("train_accuracy", np.empty(0)))
    left.plot(
        np.arange(1, len(accuracy) + 1), accuracy, "o-", markersize=4, color=points.FEASIBLE.colour, label="training"
    )
    if points.drawable(np.array(best[0].objective)):
        left.axhline(best[0].objective, color=points.BEST, linestyle="--", linewidth=1, label=objective_name(data))
    left.set(xlabel="epoch", ylabel="accuracy", title=f"trial {best[0].number}")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend()
    layers = {name: np.ravel(curve) for name, curve in curves.items() if name.startswith("spikes_")}
    for i, (name, spikes) in enumerate(layers.items()):
        width = 0.8 / len(layers)
        colour = (points.FEASIBLE.colour, points.STOPPED.colour, points.BASELINE)[i % 3]
        at = np.arange(len(spikes)) + (i - (len(layers) - 1) / 2) * width
        right.bar(at, spikes, width, color=colour, label=for_matplotlib(name.removeprefix("spikes_"), 20))
    right.set(xlabel="class", ylabel="spikes per sample")
    right.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    right.grid(visible=False, axis="x")
    if layers:
        right.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    return figure


def draw_failures(data: StudyData) -> Figure:
    """Failures by reason."""
    found = failures(data)[:_MOST_REASONS]
    figure = Figure((PAGE_IN, 0.7 + 0.25 * max(len(found), 2)))
    if not found:
        return empty(figure, "no trial failed")
    ax = figure.subplots()
    ax.barh(range(len(found)), [count for _, count in found], color=points.FAILED.colour)
    ax.set_yticks(range(len(found)), [for_matplotlib(reason, 70) for reason, _ in found])
    ax.invert_yaxis()
    ax.set_xlabel("trials failed")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False, axis="y")
    return figure


DRAWINGS: dict[str, Callable[[StudyData], Figure]] = {
    "incumbent": draw_incumbent,
    "constraints": draw_constraints,
    "silence": draw_silence,
    "workers": draw_workers,
    "best": draw_best,
    "hyperparameters": panels.draw_hyperparameters,
    "parallel": panels.draw_parallel,
    "importance": panels.draw_importance,
    "failures": draw_failures,
    "confusion": confusion.draw,
}
RETRAINING: dict[str, Callable[[StudyData], Figure]] = {
    "candidates": trainings.draw,
    "workers": draw_workers,
    "failures": draw_failures,
    "confusion": confusion.draw,
}
