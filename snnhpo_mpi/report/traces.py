"""Pieces of interactive figures as plain data that plotly.js draws.

Colours of text and grid are left to the page, which knows whether it is shown light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points, series

MOST_POINTS = 3000  # drawn of each kind of trial in one chart

Trace = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure of the page.

    Attributes:
        title: what it shows.
        caption: how to read it; plain text.
        traces, layout: as plotly.js takes them.
        height: in CSS pixels.
        wide: it takes the whole width of the page.
    """

    key: str
    title: str
    caption: str
    traces: list[Trace]
    layout: dict[str, Any] = field(default_factory=dict)
    height: int = 360
    wide: bool = False


def kinds(
    data: StudyData,
    x: series.Floats,
    y: series.Floats,
    *,
    limit: int = MOST_POINTS,
    size: int = 7,
    names: Sequence[str] = (),
) -> list[Trace]:
    """Trials as points, a trace a kind; those without two finite coordinates are left out.

    ``names``: n, what is shown of x when it is pointed at, instead of its number.
    """
    traces: list[Trace] = []
    for look, rows in points.by_kind(data):
        drawn = points.thinned(rows[points.drawable(x[rows]) & points.drawable(y[rows])], limit)
        if len(drawn):
            opacity, scale = points.crowding(len(drawn))
            edge = {"width": 1.6 * scale if look.symbol.endswith("open") else 0.0, "color": look.colour}
            marker = {
                "color": look.colour,
                "symbol": look.symbol,
                "size": size * scale,
                "opacity": opacity,
                "line": edge,
            }
            traces.append(
                {"type": "scatter", "mode": "markers", "name": look.name, "x": numbers(x[drawn]),
                 "y": numbers(y[drawn]), "customdata": data.number[drawn].tolist(), "marker": marker,
                 "hovertemplate": "trial %{customdata}<br>%{x}, %{y}<extra>%{fullData.name}</extra>"}
            )  # fmt: skip
            if names:
                traces[-1] |= {"text": [names[row] for row in drawn]}
                traces[-1]["hovertemplate"] = "trial %{customdata}<br>%{text}, %{y}<extra>%{fullData.name}</extra>"
    return traces


def step(x: Any, y: series.Floats) -> list[Trace]:
    """The best feasible objective so far: only the ends of the treads are kept."""
    changes = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
    keep = np.unique(np.concatenate([changes, [len(y) - 1]]))
    keep = keep[~np.isnan(y[keep])]
    if not len(keep):
        return []
    trace = line(np.asarray(x, dtype=float)[keep], y[keep], "best feasible so far", points.BEST)
    trace["line"] |= {"shape": "hv", "width": 2.5}
    return [trace]


def line(x: Any, y: Any, name: str, colour: str, dash: str = "solid") -> Trace:
    """A plain line."""
    style = {"color": colour, "width": 2, "dash": dash}
    mode = "lines" if len(x) > 1 else "lines+markers"  # a line of one point is none
    return {"type": "scatter", "mode": mode, "name": name, "x": numbers(x), "y": numbers(y), "line": style}


def bars(begin: Any, end: Any, place: Any, number: Any, look: points.Look, thickness: float) -> Trace:
    """Bars as thick lines: one path for all of a kind, however many."""
    gap = np.full(len(begin), np.nan)
    ends = np.column_stack([begin, end, gap]).ravel()
    trace = line(ends, np.repeat(place, 3).astype(float), look.name, look.colour)
    trace["line"]["width"] = thickness
    trace["customdata"] = np.repeat(number, 3).tolist()
    trace["hovertemplate"] = "trial %{customdata}<extra>%{fullData.name}</extra>"
    return trace


def numbers(values: Any) -> list[float | None]:
    """Five significant digits are what a screen can show; absent is null, and so is what has no place on an axis."""
    array = np.asarray(values, dtype=float)
    return [float(f"{v:.5g}") if ok else None for v, ok in zip(array, points.drawable(array), strict=True)]
