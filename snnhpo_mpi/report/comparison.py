"""The table and the figure of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.compare import Compared, Reached
from snnhpo_mpi.analysis.durations import duration, rough_duration, time_unit
from snnhpo_mpi.analysis.score import score, with_error
from snnhpo_mpi.report.canvas import PAGE_IN, STYLE, save
from snnhpo_mpi.report.labels import for_matplotlib
from snnhpo_mpi.report.text import percent

# Okabe and Ito's palette without its yellow, which is faint on white; dashes tell apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")


def as_table(compared: Sequence[Compared]) -> str:
    """A line a quantity, a column a study."""
    rows = [["", *(one.label for one in compared)]]
    summaries = [one.summary for one in compared]
    if len({(one.objective, one.measured_on) for one in compared}) > 1:
        rows.append(["objective", *(one.objective for one in compared)])
        rows.append(["measured on", *(one.measured_on for one in compared)])
    if len({one.samples for one in compared}) > 1:  # accuracies that are hard to compare
        rows.append(["samples: training, held out", *(one.samples for one in compared)])
    rows.append(["state", *(one.state for one in summaries)])
    rows.append(["trials ended", *(str(one.ended) for one in summaries)])
    rows.append(["feasible", *(str(one.feasible) for one in summaries)])
    rows.append(["silent", *(percent(one.silent_share) for one in summaries)])
    rows.append(["failed, lost", *(str(one.failed + one.lost) for one in summaries)])
    rows.append(["duration", *(duration(one.seconds) for one in summaries)])
    rows.append(["time of workers", *(rough_duration(one.evaluation_seconds) for one in summaries)])
    rows.append(["busy", *(percent(one.busy_share) for one in summaries)])
    rows.append(["best", *(score(one.best.objective) if one.best else "-" for one in summaries)])
    if any(one.best and one.best.standard_error for one in summaries):
        errors = [with_error(one.best.objective, one.best.standard_error) if one.best else "-" for one in summaries]
        rows.append(["its standard error", *(error.partition(" ± ")[2] or "-" for error in errors)])
    for i, level in enumerate(one.level for one in compared[0].reached):
        rows.append([f"time to {level:.4g}", *(_when(one.reached[i]) for one in compared)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(compared) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(line)).rstrip()
        for line in (list(zip(row, widths, strict=True)) for row in rows)
    )


def _when(reached: Reached) -> str:
    if reached.seconds is None:
        return "never"
    return f"{rough_duration(reached.seconds)}, {reached.trials} trial{'s' * (reached.trials != 1)}"


def draw(compared: Sequence[Compared]) -> Figure:
    """Best feasible objective over time and over the time of all workers."""
    with mpl.rc_context(STYLE):
        figure = Figure((PAGE_IN, 2.8))
        left, right = figure.subplots(1, 2, sharey=True)
        for ax, part, what in ((left, "seconds", "time"), (right, "worker_seconds", "time of all workers")):
            spans = [getattr(one.incumbent, part) for one in compared]
            unit, name = time_unit(max((float(span[-1]) for span in spans if len(span)), default=1.0))
            for i, (one, span) in enumerate(zip(compared, spans, strict=True)):
                style: Any = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
                label = for_matplotlib(one.label)
                ax.plot(span / unit, points.shown(one.incumbent.best), drawstyle="steps-post", label=label, **style)
            ax.set_xlabel(f"{what} [{name}]")
            ax.set_xlim(left=0)
        names = {(one.objective, one.measured_on) for one in compared}
        left.set_ylabel(f"best feasible {names.pop()[0] if len(names) == 1 else 'objective (not the same)'}")
        figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=min(len(compared), 3))
    return figure


def write_figure(compared: Sequence[Compared], path: Path) -> None:
    """Write the figure; the file's suffix says in which format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE), np.errstate(all="ignore"):
        save(draw(compared), path)
