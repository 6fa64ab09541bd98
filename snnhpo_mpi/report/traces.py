"""Pieces of interactive figures as plain data that plotly.js draws.

Colours of text and grid are left to the page, which knows whether it is shown light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.points import Floats
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks
from snnhpo_mpi.report.labels import for_plotly, ticks

MOST_POINTS = 3000  # drawn of each kind of trial in one chart
MOST_TICKS = 1000  # of a kind of trials without a score, in their strip
_HEIGHT = 0.7  # of a row of ticks, in halves of the strip
_MOST_CHOICES = 8  # labelled on an axis

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


def objectives(
    data: StudyData, x: Floats, *, limit: int = MOST_POINTS, size: int = 7, names: Sequence[str] = ()
) -> list[Trace]:
    """Trials as points above x, a trace a kind; those without a score as ticks in a strip of their own.

    Args:
        data: the study.
        x: n, of which those without a place on an axis are left out.
        limit: points of a kind that are drawn.
        size: of a point [px].
        names: n, what is shown of x when it is pointed at, instead of its number.
    """
    traces: list[Trace] = []
    scores = points.scored(data)
    for look, rows in looks.by_kind(data):
        unscored = look in looks.UNSCORED
        has_place = points.drawable(x[rows]) & (unscored | points.drawable(scores[rows]))
        drawn = points.thinned(rows[has_place], min(limit, MOST_TICKS) if unscored else limit)
        if not len(drawn):
            continue
        opacity, scale = looks.crowding(len(drawn))
        marker = {"color": look.colour, "symbol": look.symbol, "size": size * scale, "opacity": opacity}
        shown = "%{text}" if names else "%{x}"
        trace: Trace = {"type": "scatter", "mode": "markers", "name": look.name, "x": numbers(x[drawn])}
        trace |= {"customdata": data.number[drawn].tolist(), "marker": marker}
        if unscored:
            marker |= {"symbol": "line-ns-open", "size": size + 1, "line": {"width": 1}}
            trace |= {"y": [_HEIGHT * looks.UNSCORED.index(look)] * len(drawn), "yaxis": "y2"}
            trace["hovertemplate"] = f"trial %{{customdata}}<br>{shown}<extra>%{{fullData.name}}</extra>"
        else:
            trace |= {"y": numbers(scores[drawn])}
            trace["hovertemplate"] = f"trial %{{customdata}}<br>{shown}, %{{y}}<extra>%{{fullData.name}}</extra>"
        traces.append(trace | ({"text": [names[row] for row in drawn]} if names else {}))
    return traces


def with_strip(traces: Sequence[Trace], layout: dict[str, Any], share: float = 0.08) -> dict[str, Any]:
    """The layout with a strip for trials without a score below the figure, if any of the traces needs it."""
    if not any(trace.get("yaxis") == "y2" for trace in traces):
        return layout
    strip = {"domain": [0, share], "range": [-1, 1], "visible": False, "fixedrange": True}
    upper = {**layout["yaxis"], "domain": [share + 0.03, 1]}
    return {**layout, "xaxis": {**layout["xaxis"], "anchor": "y2"}, "yaxis": upper, "yaxis2": strip}


def step(x: Any, y: Floats) -> list[Trace]:
    """The best feasible objective so far: only the ends of the treads are kept."""
    changes = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
    keep = np.unique(np.concatenate([changes, [len(y) - 1]]))
    keep = keep[~np.isnan(y[keep])]
    if not len(keep):
        return []
    trace = line(np.asarray(x, dtype=float)[keep], y[keep], "best feasible so far", looks.BEST)
    trace["line"] |= {"shape": "hv", "width": 2.5}
    return [trace]


def line(x: Any, y: Any, name: str, colour: str, dash: str = "solid") -> Trace:
    """A plain line."""
    style = {"color": colour, "width": 2, "dash": dash}
    mode = "lines" if len(x) > 1 else "lines+markers"  # a line of one point is none
    return {"type": "scatter", "mode": mode, "name": name, "x": numbers(x), "y": numbers(y), "line": style}


def bars(begin: Any, end: Any, place: Any, number: Any, look: looks.Look, thickness: float) -> Trace:
    """Bars as thick lines: one path for all of a kind, however many; None for ``number`` names no trials."""
    gap = np.full(len(begin), np.nan)
    ends = np.column_stack([begin, end, gap]).ravel()
    trace = line(ends, np.repeat(place, 3).astype(float), look.name, look.colour)
    trace["line"]["width"] = thickness
    if number is None:
        return trace
    trace["customdata"] = np.repeat(number, 3).tolist()
    trace["hovertemplate"] = "trial %{customdata}<extra>%{fullData.name}</extra>"
    return trace


def choices_axis(axis: points.Axis, at: Sequence[float]) -> dict[str, Any]:
    """Labels of choices, a few of them where there are many: plotly.js turns them where they are long."""
    labelled = ticks(axis.choices, _MOST_CHOICES)
    some = {"title": {"text": f"{for_plotly(axis.name, 28)} ({len(axis.choices)} choices)"}}
    names = [for_plotly(axis.choices[i], 14) for i in labelled]
    return {"tickvals": [at[i] for i in labelled], "ticktext": names} | (
        some if len(labelled) < len(axis.choices) else {}
    )


def numbers(values: Any, digits: int = 5) -> list[float | None]:
    """Significant digits that a screen can show; absent is null, and so is what has no place on an axis."""
    array = np.asarray(values, dtype=float)
    return [float(f"{v:.{digits}g}") if ok else None for v, ok in zip(array, points.drawable(array), strict=True)]
