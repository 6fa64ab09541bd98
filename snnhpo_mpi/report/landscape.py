"""The interactive figures of the search space: what the best have in common, and what each hyperparameter does."""

from __future__ import annotations

from html import escape  # plotly.js reads simple HTML in its texts
from typing import Any

import numpy as np

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points
from snnhpo_mpi.report.influence import influences
from snnhpo_mpi.report.summary import best_trials
from snnhpo_mpi.report.traces import Chart, kinds
from snnhpo_mpi.report.words import figure, rounded

_MOST_SLICE_POINTS = 600
_MOST_LINES = 60


def parallel(data: StudyData) -> list[Chart]:
    """The best tenth of the feasible trials across all hyperparameters."""
    axes = points.axes(data)
    n = int(np.clip(data.feasible.sum() // 10, 5, _MOST_LINES))
    rows = [int(np.flatnonzero(data.number == found.number)[0]) for found in best_trials(data, n)]
    if not axes or len(rows) < 2:
        return []
    values = data.objective[rows]
    span = float(values.max() - values.min()) or 1.0
    traces = []
    for row in reversed(rows):  # the best on top
        strength = float((data.objective[row] - values.min()) / span)
        text = [escape(f"{axis.name} = {_value(axis, row)}") for axis in axes]
        style = {
            "color": points.BEST if row == rows[0] else points.FEASIBLE.colour,
            "width": 3 if row == rows[0] else 1.2,
        }
        name = f"trial {data.number[row]}: {data.objective[row]:.4f}"
        traces.append(
            {"type": "scatter", "mode": "lines", "x": [axis.name for axis in axes],
             "y": [round(float(axis.position[row]), 4) for axis in axes], "line": style,
             "opacity": 1.0 if row == rows[0] else 0.25 + 0.6 * strength, "name": name, "text": text,
             "hovertemplate": "%{text}<extra>%{fullData.name}</extra>", "showlegend": False}
        )  # fmt: skip
    layout = {
        "xaxis": {"showgrid": True},
        "yaxis": {"range": [-0.02, 1.02], "tickvals": [0, 1], "ticktext": ["low", "high"]},
        "hovermode": "closest",
    }
    caption = (
        f"The {len(rows)} best feasible networks, each a line; the best is thick. Heights are places in the searched "
        "range, on the scale of the search. Where the lines gather, the value matters."
    )
    return [Chart("parallel", "What the best have in common", caption, traces, layout, 420, wide=True)]


def slices(data: StudyData) -> list[Chart]:
    """Objective along each hyperparameter."""
    if np.isnan(data.objective).all():
        return []
    charts = []
    for i, axis in enumerate(points.axes(data)):
        x_axis: dict[str, Any] = {"title": {"text": axis.name}}
        if axis.choices:
            jitter = np.random.default_rng(0).uniform(-0.25, 0.25, data.n_trials)
            x = axis.position * len(axis.choices) - 0.5 + jitter
            x_axis |= {
                "tickvals": list(range(len(axis.choices))),
                "ticktext": [escape(choice) for choice in axis.choices],
            }
        else:
            x = np.asarray(axis.values, dtype=float)
            x_axis |= _log_axis(axis) if axis.log else {}
            if axis.values.dtype.kind == "i" and axis.high - axis.low <= 5:
                x_axis["dtick"] = 1
        traces = kinds(data, x, data.objective, limit=_MOST_SLICE_POINTS, size=4)
        charts.append(Chart(f"slice{i}", "", "", traces, {"xaxis": x_axis, "yaxis": {"title": {"text": ""}}}, 210))
    return charts


def _log_axis(axis: points.Axis) -> dict[str, Any]:
    """Three ticks: panels are small, and a range of one decade has none at a power of ten."""
    ticks = np.geomspace(axis.low, axis.high, 3)
    margin = 0.05 * np.log10(axis.high / axis.low)
    ends = [float(np.log10(axis.low) - margin), float(np.log10(axis.high) + margin)]
    return {"type": "log", "range": ends, "tickvals": ticks.tolist(), "ticktext": [rounded(tick) for tick in ticks]}


def _value(axis: points.Axis, row: int) -> str:
    value = axis.values[row]
    return figure(value.item() if isinstance(value, np.generic) else value)


def influence(data: StudyData) -> list[Chart]:
    """How much each hyperparameter alone explains."""
    found = [one for one in influences(data) if not np.isnan(one.silence) or not np.isnan(one.objective)]
    if not found:
        return []
    found.sort(key=lambda one: float(np.nansum([one.silence, one.objective])))
    bars = [
        {"type": "bar", "orientation": "h", "name": name, "x": [_share(getattr(one, part)) for one in found],
         "y": [one.name for one in found], "marker": {"color": look.colour},
         "hovertemplate": "%{y}: %{x:.0%}<extra>%{fullData.name}</extra>"}
        for name, part, look in (
            ("of silence", "silence", points.STOPPED), ("of the objective", "objective", points.FEASIBLE)
        )
    ]  # fmt: skip
    caption = (
        "Share of the variation that each hyperparameter alone explains: of being stopped as silent, and of the "
        "objective of the networks trained to the end. Five groups by value; corrected for chance; blind to "
        "interactions. A hint, since a search does not sample at random."
    )
    layout = {"xaxis": {"tickformat": ".0%", "rangemode": "tozero"}, "yaxis": {"dtick": 1}, "bargap": 0.25}
    height = 130 + 24 * len(found)
    return [Chart("influence", "Which hyperparameters matter", caption, bars, layout, height, wide=True)]


def _share(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)
