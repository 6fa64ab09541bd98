"""What all figures of Matplotlib share: sizes and style of a journal, trials as points, ticks of choices, files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.points import Floats
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import labels, looks

COLUMN_IN, PAGE_IN = 3.5, 7.2  # width of a column and of a page of a journal
# For letters that Matplotlib's own font lacks: the first of these that is installed.
_FURTHER_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
)
_INSTALLED = {font.name for font in fontManager.ttflist}
STYLE: Any = {
    "font.family": ["DejaVu Sans", *[name for name in _FURTHER_FONTS if name in _INSTALLED][:1]],
    "text.parse_math": False,  # a $ in a name is a $
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
_MOST_POINTS = 2500


def objectives(ax: Axes, data: StudyData, x: Floats, size: float = 12) -> None:
    """Trials as points above x, each kind with its look; those without a score as ticks at the bottom."""
    scores = points.scored(data)
    for look, rows in looks.by_kind(data):
        unscored = look in looks.UNSCORED
        has_place = points.drawable(x[rows]) & (unscored | points.drawable(scores[rows]))
        drawn = points.thinned(rows[has_place], _MOST_POINTS)
        if not len(drawn):
            continue
        opacity, scale = looks.crowding(len(drawn))
        style: Any = {"color": look.colour, "marker": "|" if unscored else look.marker, "alpha": opacity}
        if unscored:
            style |= {"transform": ax.get_xaxis_transform(), "linewidths": 0.7}
            ax.scatter(x[drawn], np.full(len(drawn), 0.02 + 0.04 * looks.UNSCORED.index(look)), s=3 * size, **style)
            ax.update_datalim(np.column_stack([x[drawn], x[drawn]]), updatey=False)  # the ticks are within the axis
            ax.autoscale_view(scaley=False)
            ax.scatter([], [], s=3 * size, label=look.name, **style)
        else:
            width = 0.7 if scale == 1 else 0.0
            ax.scatter(x[drawn], scores[drawn], s=size * scale**2, linewidths=width, **style)
            ax.scatter([], [], s=size, linewidths=0.7, label=look.name, **style)  # in the legend at its usual size


def empty(text: str) -> Figure:
    """A figure with nothing but a sentence that says why."""
    figure = Figure((PAGE_IN, 1.0))
    figure.text(0.5, 0.5, text, ha="center", va="center", color="gray")
    return figure


def choice_ticks(ax: Axes, choices: Sequence[str], at: Sequence[float], room: int) -> None:
    """Labels of categorical values on a horizontal axis: turned where they are long or many, a few where too many.

    Args:
        ax: the panel.
        choices: all of them.
        at: their places.
        room: characters that fit beside each other.
    """
    shown = labels.ticks(choices, most=max(room // 3, 2))
    names = [labels.for_matplotlib(choices[i], 14) for i in shown]
    turned: Any = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks([at[i] for i in shown], names, **(turned if sum(map(len, names)) + 2 * len(names) > room else {}))
    if len(shown) < len(choices):
        ax.set_xlabel(f"{len(choices)} choices", fontsize=6)
    ax.grid(visible=len(shown) == len(choices), axis="x")


def save(figure: Figure, path: Path) -> None:
    """Write a figure; a file of this name is whole at any moment. Letters that no font here has are boxes."""
    with atomic_write(path) as new, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(new, format=path.suffix[1:])
