"""Confusion matrices, interactive and for papers: what was read instead of each class.

A search's is that of its best network on held-out data; a retraining has one a candidate, on test data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from snnhpo_mpi.analysis.repeats import Floats, is_retraining, pooled_confusion, repeats, shares
from snnhpo_mpi.analysis.summary import best_trials, is_own_function
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.canvas import COLUMN_IN, PAGE_IN
from snnhpo_mpi.report.traces import Chart, numbers

_MOST_CELLS = 12  # classes whose shares are written as numbers
_MOST_PANELS = 12


Found = list[tuple[Floats, str]]  # the matrices, and what each is of


def compute(data: StudyData) -> Found | str | None:
    """The matrices of a study; None where the trainer gives none."""
    if is_retraining(data):
        found = [
            (table, f"trial {number}, {n} seed{'s' * (n != 1)} together, test data [%]")
            for number, table, n in [(one.number, *pooled_confusion(data, one)) for one in repeats(data)]
            if table is not None
        ]
    else:
        best = best_trials(data, 1)
        table = data.curves(best[0].number).get("confusion") if best else None
        found = [] if table is None else [(table, f"trial {best[0].number}, held-out data [%]")]
    return found or (None if is_own_function(data) else "no feasible network whose confusion matrix is known")


def charts(found: Found) -> list[Chart]:
    """For the page."""
    keys = ["confusion", *(f"confusion{i}" for i in range(1, len(found)))]
    return [_chart(key, table, title) for key, (table, title) in zip(keys, found, strict=False)]


def _chart(key: str, table: Floats, title: str) -> Chart:
    share = shares(table)
    classes = [str(j) for j in range(len(share))]
    heat = {
        "type": "heatmap", "x": classes + ["none"] * (share.shape[1] - len(share)), "y": classes, "zmin": 0, "zmax": 1,
        "z": [numbers(row) for row in share], "colorscale": [[0, looks.PAPER], [1, looks.FEASIBLE.colour]],
        "colorbar": {"tickformat": ".0%", "thickness": 12},
        "hovertemplate": "%{y} read as %{x}: %{z:.0%}<extra></extra>",
    }  # fmt: skip
    if len(classes) <= _MOST_CELLS:
        heat |= {
            "texttemplate": "%{text}",
            "text": [[f"{100 * v:.0f}" if v >= 0.005 else "" for v in row] for row in share],
        }
    axes = {
        "xaxis": {"title": {"text": "class read"}, "type": "category", "showgrid": False},
        "yaxis": {"title": {"text": "true class"}, "type": "category", "autorange": "reversed", "showgrid": False},
        "hovermode": "closest",
    }
    return Chart(
        key, f"Confusion matrix of {title.partition(',')[0]}", f"{title[0].upper()}{title[1:]}.", [heat], axes, 420
    )


def paper(found: Found) -> Figure:
    """For papers: a panel a matrix."""
    shown = found[:_MOST_PANELS]
    n_rows = -(-len(shown) // 2)
    figure = Figure((COLUMN_IN if len(shown) == 1 else PAGE_IN, 3.1 * n_rows))
    panels = figure.subplots(n_rows, min(len(shown), 2), squeeze=False)
    for ax, (table, title) in zip(panels.flat, shown, strict=False):
        _panel(figure, ax, table, title)
    for ax in panels.flat[len(shown) :]:
        ax.set_axis_off()
    if len(found) > len(shown):
        figure.suptitle(f"{len(found) - len(shown)} further candidates are not shown")
    return figure


def _panel(figure: Figure, ax: Axes, table: Floats, title: str) -> None:
    share = shares(table)
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    n_classes = len(share)
    if n_classes <= _MOST_CELLS:
        for i, j in np.argwhere(share >= 0.005):
            style: Any = {"fontsize": 6, "color": "white" if share[i, j] > 0.5 else "black"}
            ax.text(float(j), float(i), f"{100 * share[i, j]:.0f}", ha="center", va="center", **style)
    step = max(1, n_classes // 12)
    ticks = list(range(0, n_classes, step))
    ax.set_yticks(ticks)
    none = [n_classes] if share.shape[1] > n_classes else []
    ax.set_xticks(ticks + none, [str(tick) for tick in ticks] + ["none"] * len(none))
    ax.set(xlabel="class read", ylabel="true class")
    ax.set_title(title, fontsize=7)
    ax.grid(visible=False)
    figure.colorbar(image, ax=ax, format=PercentFormatter(1.0), shrink=0.8)
