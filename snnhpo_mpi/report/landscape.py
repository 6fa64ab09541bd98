"""The interactive figures of the search space: what the best have in common, and what each hyperparameter does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.along import Along
from snnhpo_mpi.analysis.importance import Importance, importances
from snnhpo_mpi.analysis.score import score
from snnhpo_mpi.analysis.series import best_tenth
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report.labels import for_plotly, ticks
from snnhpo_mpi.report.traces import Chart, Trace, kinds, line, numbers
from snnhpo_mpi.report.words import figure, rounded

_MOST_SLICE_POINTS = 600
_MOST_CHOICES = 8  # labelled on an axis


def parallel(data: StudyData) -> list[Chart]:
    """The best tenth of the feasible trials across all hyperparameters."""
    axes = points.axes(data)
    rows = best_tenth(data)
    if not axes or len(rows) < 2:
        return []
    values = np.clip(data.objective[rows], -points.LARGEST, points.LARGEST)
    span = float(values.max() - values.min()) or 1.0
    traces = []
    for row in reversed(rows):  # the best on top
        strength = float((np.clip(data.objective[row], values.min(), values.max()) - values.min()) / span)
        text = [for_plotly(f"{axis.name} = {_value(axis, row)}", 80) for axis in axes]
        style = {
            "color": points.BEST if row == rows[0] else points.FEASIBLE.colour,
            "width": 3 if row == rows[0] else 1.2,
        }
        name = f"trial {data.number[row]}: {score(data.objective[row])}"
        traces.append(
            {"type": "scatter", "mode": "lines", "x": [axis.name for axis in axes],
             "y": [round(float(axis.position[row]), 4) for axis in axes], "line": style,
             "opacity": 1.0 if row == rows[0] else 0.25 + 0.6 * strength, "name": name, "text": text,
             "hovertemplate": "%{text}<extra>%{fullData.name}</extra>", "showlegend": False}
        )  # fmt: skip
    layout = {
        "xaxis": {"showgrid": True, "dtick": 1, "tickfont": {"size": 12 if len(axes) <= 30 else 8}},
        "yaxis": {"range": [-0.02, 1.02], "tickvals": [0, 1], "ticktext": ["low", "high"]},
        "hovermode": "closest",
    }
    caption = (
        f"The {len(rows)} best feasible networks, each a line; the best is thick. Heights are places in the searched "
        "range, on the scale of the search. Lines also gather because the search looks close to its best: that alone "
        "does not show that the value matters."
    )
    return [Chart("parallel", "What the best have in common", caption, traces, layout, 420, wide=True)]


def slices(data: StudyData) -> list[Chart]:
    """Objective along each hyperparameter."""
    if points.nothing_drawn(data):
        return []
    charts = []
    for i, axis in enumerate(points.axes(data)):
        x_axis: dict[str, Any] = {"title": {"text": for_plotly(axis.name, 28)}}
        if axis.choices:
            jitter = np.random.default_rng(0).uniform(-0.25, 0.25, data.n_trials)
            x = axis.position * len(axis.choices) - 0.5 + jitter
            x_axis |= {**_choice_ticks(axis, range(len(axis.choices))), "range": [-0.6, len(axis.choices) - 0.4]}
        else:
            x = np.asarray(axis.values, dtype=float)
            x_axis |= _log_axis(axis) if axis.log else {}
            if axis.values.dtype.kind == "i" and axis.high - axis.low <= 5:
                x_axis["dtick"] = 1
            elif not axis.log:
                x_axis["nticks"] = 4  # panels are small
        names = [for_plotly(value) for value in axis.values] if axis.choices else ()
        traces = kinds(data, x, data.objective, limit=_MOST_SLICE_POINTS, size=4, names=names)
        charts.append(Chart(f"slice{i}", "", "", traces, {"xaxis": x_axis, "yaxis": {"title": {"text": ""}}}, 210))
    return charts


def _choice_ticks(axis: points.Axis, at: Sequence[float]) -> dict[str, Any]:
    """Labels of choices, a few of them where there are many: plotly.js turns them where they are long."""
    labelled = ticks(axis.choices, _MOST_CHOICES)
    some = {"title": {"text": f"{for_plotly(axis.name, 28)} ({len(axis.choices)} choices)"}}
    names = [for_plotly(axis.choices[i], 14) for i in labelled]
    return {"tickvals": [at[i] for i in labelled], "ticktext": names} | (
        some if len(labelled) < len(axis.choices) else {}
    )


def _log_axis(axis: points.Axis) -> dict[str, Any]:
    """Three ticks: panels are small, and a range of one decade has none at a power of ten."""
    ticks = np.geomspace(axis.low, axis.high, 3)
    margin = 0.05 * np.log10(axis.high / axis.low)
    ends = [float(np.log10(axis.low) - margin), float(np.log10(axis.high) + margin)]
    return {"type": "log", "range": ends, "tickvals": ticks.tolist(), "ticktext": [rounded(tick) for tick in ticks]}


def _value(axis: points.Axis, row: int) -> str:
    value = axis.values[row]
    return figure(value.item() if isinstance(value, np.generic) else value)


def importance(data: StudyData) -> list[Chart]:
    """Which hyperparameters matter: permutation importance, and the model's lengthscales."""
    found = importances(data)
    found.sort(key=lambda one: float(np.nansum([one.silence, one.objective])))
    parts = (
        ("of silence", "silence", points.STOPPED.colour),
        ("of the objective", "objective", points.FEASIBLE.colour),
    )
    permutation = [trace for name, part, colour in parts if (trace := _bars(found, part, name, colour))]
    lengthscales = _bars(found, "sensitivity", "inverse lengthscale", points.BASELINE)
    layout: dict[str, Any] = {"xaxis": {"rangemode": "tozero"}, "yaxis": {"dtick": 1}, "bargap": 0.25}
    height = 130 + 24 * len(found)
    charts = []
    if permutation:
        silence_only = (
            " Of the objective too little is known yet." if np.isnan([one.objective for one in found]).all() else ""
        )
        caption = (
            "A random forest learns half of the trials and predicts the others. The bar is what shuffling one "
            "hyperparameter takes from the share of the variance that it predicts (R²): of being silent, and of the "
            "objective of the networks trained to the end. Interactions count. A hint, since a search does not sample "
            f"at random. The other chart measures steepness and may rank otherwise.{silence_only}"
        )
        charts.append(
            Chart(
                "importance",
                "Which hyperparameters matter",
                caption,
                permutation,
                _with_x_title(layout, "loss of R²"),
                height,
            )
        )
    if lengthscales:
        caption = (
            "The search's own model of the objective: inverse lengthscale, as a share of the largest. Long bars: a "
            "small step along this hyperparameter changes the objective, in other ways than by an overall trend. A "
            "hyperparameter with a strong trend can have a short bar here and a long one in the other chart."
        )
        charts.append(
            Chart(
                "lengthscales",
                "What the model has learnt",
                caption,
                [lengthscales],
                _with_x_title(layout, "of the largest"),
                height,
            )
        )
    return charts


def _with_x_title(layout: dict[str, Any], title: str) -> dict[str, Any]:
    return layout | {"xaxis": layout["xaxis"] | {"title": {"text": title}}}


def _bars(found: list[Importance], part: str, name: str, colour: str) -> Trace | None:
    values = [getattr(one, part) for one in found]
    if np.isnan(values).all():
        return None
    return {"type": "bar", "orientation": "h", "name": name, "x": numbers(values), "y": [one.name for one in found],
            "marker": {"color": colour}, "hovertemplate": "%{y}: %{x:.2f}<extra>%{fullData.name}</extra>"}  # fmt: skip


def feasible(data: StudyData, along: Sequence[Along]) -> list[Chart]:
    """Where networks are silent: the feasible probability along each hyperparameter."""
    axes = {axis.name: axis for axis in points.axes(data)}
    charts = []
    for i, one in enumerate(along):
        axis = axes[one.name]
        curves = [
            line(one.position, one.anywhere, "others at random", points.STOPPED.colour),
            line(one.position, one.near_best, "others as in the best", points.FEASIBLE.colour, dash="dash"),
        ]
        x_axis: dict[str, Any] = {"title": {"text": for_plotly(one.name, 28)}, "range": [-0.05, 1.05]}
        if axis.choices:
            x_axis |= _choice_ticks(axis, one.position.tolist())
            shapes = ("circle", "square")
            curves = [
                c | {"mode": "markers", "marker": {"size": 7, "symbol": s}} for c, s in zip(curves, shapes, strict=True)
            ]
        else:
            x_axis |= {"tickvals": [0, 1], "ticktext": [rounded(axis.low), rounded(axis.high)]}
        y_axis = {"range": [-0.03, 1.03], "tickformat": ".0%", "title": {"text": ""}}
        for curve in curves:
            curve["hovertemplate"] = "%{y:.0%}<extra>%{fullData.name}</extra>"
            curve["marker"] = {**curve.get("marker", {}), "color": curve["line"]["color"]}
        charts.append(Chart(f"feasible{i}", "", "", curves, {"xaxis": x_axis, "yaxis": y_axis}, 190))
    return charts
