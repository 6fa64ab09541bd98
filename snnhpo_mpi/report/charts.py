"""The interactive figures of the page, as plain data that plotly.js draws.

Colours of text and grid are left to the page, which knows whether it is shown light or dark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape  # plotly.js reads simple HTML in its texts
from typing import Any

import numpy as np

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import points, series
from snnhpo_mpi.report.summary import best_trials, objective_label, objective_name, saved_seconds, summarise
from snnhpo_mpi.report.words import figure, percent, rounded, time_unit

MOST_POINTS = 3000  # drawn of each kind of trial in one chart
_MOST_SLICE_POINTS = 600
_MOST_LANES = 96
_MOST_BARS = 12_000
_MOST_LINES = 60

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


def search(data: StudyData) -> list[Chart]:
    """Best feasible objective over trials and over time."""
    told = series.incumbent(data)
    if np.isnan(data.objective).all():
        return []
    unit, name = time_unit(float(told.seconds[-1]))
    when = series.elapsed(series.windows(data), data.ended_at) / unit
    by_number = series.incumbent_by_number(data)
    label = {"title": {"text": objective_label(data)}}
    note = _thinning_note(data)
    baseline = _baseline_line(data)
    return [
        Chart(
            "trials", "Best network over trials", f"The line is the best feasible network up to each trial.{note}",
            [*_kinds(data, data.number.astype(float), data.objective),
             *_step(data.number[by_number.row], by_number.best), *baseline(data.number[[0, -1]])],
            {"xaxis": {"title": {"text": "trial"}, "rangemode": "tozero"}, "yaxis": label},
        ),
        Chart(
            "time", "Best network over time",
            "Time of the runs; breaks between a run and the one that resumed it are left out.",
            [*_kinds(data, when, data.objective), *_step(told.seconds / unit, told.best),
             *baseline(np.array([0, told.seconds[-1] / unit]))],
            {"xaxis": {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}, "yaxis": label},
        ),
    ]  # fmt: skip


def constraints(data: StudyData) -> list[Chart]:
    """Objective against each constraint."""
    charts = []
    for j, name in enumerate(data.constraint_names):
        column = data.constraints[:, j] if data.constraints.size else np.empty(0)
        if np.isnan(column).all():
            continue
        shade = {"type": "rect", "xref": "x", "yref": "paper", "x0": min(float(np.nanmin(column)), 0.0), "x1": 0}
        look = {"y0": 0, "y1": 1, "fillcolor": points.BASELINE, "opacity": 0.12, "line": {"width": 0}, "layer": "below"}
        charts.append(
            Chart(
                f"constraint{j}", f"Constraint {name}", "Satisfied left of zero, in the shaded part.",
                _kinds(data, column, data.objective),
                {"xaxis": {"title": {"text": name}}, "yaxis": {"title": {"text": objective_label(data)}},
                 "shapes": [shade | look]},
            )
        )  # fmt: skip
    return charts


def silence(data: StudyData) -> list[Chart]:
    """Share of silent networks and savings over time."""
    told = series.silence(data, saved_seconds(data))
    if not len(told.seconds):
        return []
    unit, name = time_unit(float(told.seconds[-1]))
    amount, amount_name = time_unit(float(max(told.saved[-1], told.spent[-1])))
    keep = points.thinned(np.arange(len(told.seconds)), MOST_POINTS)
    when = told.seconds[keep] / unit
    x_axis = {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}
    return [
        Chart(
            "silence", "Silent networks over time", "Falls when the optimizer has learnt where networks are silent.",
            [_line(when, told.recent_share[keep], f"latest {told.window}", points.STOPPED.colour),
             _line(when, told.total_share[keep], "all so far", points.FAILED.colour, dash="dash")],
            {"xaxis": x_axis, "yaxis": {"title": {"text": "share"}, "range": [-0.02, 1.02], "tickformat": ".0%"}},
        ),
        Chart(
            "savings", "What stopping early saved",
            "Saved: what the stopped networks would have trained on, at their own pace. Spent: by all evaluations.",
            [_line(when, told.saved[keep] / amount, "saved", points.BASELINE),
             _line(when, told.spent[keep] / amount, "spent", points.FEASIBLE.colour, dash="dash")],
            {"xaxis": x_axis, "yaxis": {"title": {"text": f"time of workers [{amount_name}]"}, "rangemode": "tozero"}},
        ),
    ]  # fmt: skip


def workers(data: StudyData) -> list[Chart]:
    """Timeline of the workers."""
    lanes = series.lanes(data)
    if not lanes:
        return []
    shown = lanes[:_MOST_LANES]
    unit, name = time_unit(max(float(lane.end.max()) for lane in lanes))
    row = np.concatenate([lane.row for lane in shown])
    begin, end = (np.concatenate([getattr(lane, part) for lane in shown]) / unit for part in ("begin", "end"))
    place = np.concatenate([np.full(len(lane.row), j) for j, lane in enumerate(shown)])
    drawn = points.thinned(np.arange(len(row)), _MOST_BARS)
    thickness = float(np.clip(420 / len(shown), 3, 16))
    traces = []
    for look, rows in points.by_kind(data):
        mine = drawn[np.isin(row[drawn], rows)]
        if len(mine):
            traces.append(_bars(begin[mine], end[mine], place[mine], data.number[row[mine]], look, thickness))
    busy = f"Gaps are idle time; the workers were busy {percent(summarise(data).busy_share)} of the time."
    hidden = f" {len(lanes) - len(shown)} further workers are not shown." if len(lanes) > len(shown) else ""
    thinner = f" {len(drawn)} of {len(row)} trials are drawn." if len(drawn) < len(row) else ""
    step = max(1, len(shown) // 24)
    ticks = {"tickvals": list(range(0, len(shown), step)), "ticktext": [_lane(data, lane) for lane in shown[::step]]}
    y_axis = {"range": [len(shown) - 0.4, -0.6], "showgrid": False, "zeroline": False, **ticks}
    x_axis = {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}
    layout = {"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"}
    height = int(np.clip(140 + 24 * len(shown), 200, 720))
    return [Chart("workers", "What each worker did", busy + hidden + thinner, traces, layout, height, wide=True)]


def best(data: StudyData) -> list[Chart]:
    """Accuracy per epoch and spikes per class of the best network."""
    found = best_trials(data, 1)
    curves = data.curves(found[0].number) if found else {}
    charts = []
    if (accuracy := np.ravel(curves.get("train_accuracy", np.empty(0)))).size:
        epochs = np.arange(1, len(accuracy) + 1)
        training = _line(epochs, accuracy, "training", points.FEASIBLE.colour) | {"mode": "lines+markers"}
        held_out = _line(
            epochs[[0, -1]], np.full(2, found[0].objective), objective_name(data), points.BEST, dash="dash"
        )
        axes = {"xaxis": {"title": {"text": "epoch"}, "dtick": max(1, len(epochs) // 10)}}
        axes["yaxis"] = {"title": {"text": "accuracy"}}
        if len(epochs) == 1:
            held_out["mode"] = "markers"
        charts.append(
            Chart("epochs", "Accuracy per epoch", "Running accuracy in training.", [training, held_out], axes)
        )
    layers = [(name, np.ravel(curve)) for name, curve in curves.items() if name.startswith("spikes_")]
    if layers:
        colours = (points.FEASIBLE.colour, points.STOPPED.colour, points.BASELINE)
        bars = [
            {"type": "bar", "name": name.removeprefix("spikes_"), "x": list(range(len(spikes))), "y": _numbers(spikes),
             "marker": {"color": colours[i % 3]}}
            for i, (name, spikes) in enumerate(layers)
        ]  # fmt: skip
        axes = {"xaxis": {"title": {"text": "class"}, "dtick": 1}, "yaxis": {"title": {"text": "spikes per sample"}}}
        if len(layers[0][1]) > 20:
            axes["xaxis"]["dtick"] = 10
        caption = "Mean spikes of a layer for a sample of each class."
        charts.append(Chart("spikes", "Spikes per class", caption, bars, axes))
    return charts


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
        traces = _kinds(data, x, data.objective, limit=_MOST_SLICE_POINTS, size=4)
        charts.append(Chart(f"slice{i}", "", "", traces, {"xaxis": x_axis, "yaxis": {"title": {"text": ""}}}, 210))
    return charts


def _log_axis(axis: points.Axis) -> dict[str, Any]:
    """Three ticks: panels are small, and a range of one decade has none at a power of ten."""
    ticks = np.geomspace(axis.low, axis.high, 3)
    margin = 0.05 * np.log10(axis.high / axis.low)
    ends = [float(np.log10(axis.low) - margin), float(np.log10(axis.high) + margin)]
    return {"type": "log", "range": ends, "tickvals": ticks.tolist(), "ticktext": [rounded(tick) for tick in ticks]}


def _kinds(
    data: StudyData, x: series.Floats, y: series.Floats, *, limit: int = MOST_POINTS, size: int = 7
) -> list[Trace]:
    traces = []
    for look, rows in points.by_kind(data):
        drawn = points.thinned(rows[~np.isnan(x[rows]) & ~np.isnan(y[rows])], limit)
        if len(drawn):
            edge = {"width": 1.2, "color": look.colour}
            marker = {"color": look.colour, "symbol": look.symbol, "size": size, "opacity": 0.75, "line": edge}
            traces.append(
                {"type": "scatter", "mode": "markers", "name": look.name, "x": _numbers(x[drawn]),
                 "y": _numbers(y[drawn]), "customdata": data.number[drawn].tolist(), "marker": marker,
                 "hovertemplate": "trial %{customdata}<br>%{x}, %{y}<extra>%{fullData.name}</extra>"}
            )  # fmt: skip
    return traces


def _step(x: Any, y: series.Floats) -> list[Trace]:
    # A step needs only the ends of its treads.
    changes = np.flatnonzero(np.diff(y, prepend=np.nan) != 0)
    keep = np.unique(np.concatenate([changes, [len(y) - 1]]))
    keep = keep[~np.isnan(y[keep])]
    if not len(keep):
        return []
    line = _line(np.asarray(x, dtype=float)[keep], y[keep], "best feasible so far", points.BEST)
    line["line"] |= {"shape": "hv", "width": 2.5}
    return [line]


def _line(x: Any, y: Any, name: str, colour: str, dash: str = "solid") -> Trace:
    style = {"color": colour, "width": 2, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, "x": _numbers(x), "y": _numbers(y), "line": style}


def _bars(begin: Any, end: Any, place: Any, number: Any, look: points.Look, thickness: float) -> Trace:
    """Bars as thick lines: one path for all of a kind, however many."""
    gap = np.full(len(begin), np.nan)
    line = _line(np.column_stack([begin, end, gap]).ravel(), np.repeat(place, 3).astype(float), look.name, look.colour)
    line["line"]["width"] = thickness
    line["customdata"] = np.repeat(number, 3).tolist()
    line["hovertemplate"] = "trial %{customdata}<extra>%{fullData.name}</extra>"
    return line


def _baseline_line(data: StudyData) -> Any:
    baseline = summarise(data).baseline

    def traces(x: Any) -> list[Trace]:
        if baseline is None or baseline.objective is None:
            return []
        return [_line(x, np.full(2, baseline.objective), escape(baseline.name), points.BASELINE, dash="dash")]

    return traces


def _lane(data: StudyData, lane: series.Lane) -> str:
    worker = data.workers.get(lane.rank)
    place = f" {worker.host} {worker.device}" if worker and len(worker.host) + len(worker.device) < 22 else ""
    return escape(f"{lane.rank}{place}")


def _value(axis: points.Axis, row: int) -> str:
    value = axis.values[row]
    return figure(value.item() if isinstance(value, np.generic) else value)


def _thinning_note(data: StudyData) -> str:
    most = max((len(rows) for _, rows in points.by_kind(data)), default=0)
    return f" Of each kind at most {MOST_POINTS} trials are drawn." if most > MOST_POINTS else ""


def _numbers(values: Any) -> list[float | None]:
    """Five significant digits are what a screen can show; absent is null."""
    return [None if not np.isfinite(value) else float(f"{value:.5g}") for value in np.asarray(values, dtype=float)]
