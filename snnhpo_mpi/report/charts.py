"""The interactive figures of a search: how it got on, where networks are silent, what the workers did, the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnhpo_mpi.analysis import points, series
from snnhpo_mpi.analysis.summary import best_trials, objective_label, objective_name, saved_seconds, summarise
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import traces
from snnhpo_mpi.report.labels import for_plotly, shortened
from snnhpo_mpi.report.traces import Chart, Trace, bars, kinds, line, numbers, step
from snnhpo_mpi.report.words import percent, time_unit

_MOST_LANES = 96
_MOST_BARS = 24_000


def search(data: StudyData) -> list[Chart]:
    """Best feasible objective over trials and over time."""
    told = series.incumbent(data)
    if points.nothing_drawn(data):
        return []
    unit, name = time_unit(float(told.seconds[-1]))
    amount, amount_name = time_unit(float(told.worker_seconds[-1]))
    when = series.elapsed(series.windows(data), data.ended_at) / unit
    by_number = series.incumbent_by_number(data)
    label = {"title": {"text": _objective_title(data)}}
    note = _thinning_note(data) + _range_note(data)
    baseline = _baseline_line(data)
    found = [
        Chart(
            "trials", "Best network over trials", f"The line is the best feasible network up to each trial.{note}",
            [*kinds(data, data.number.astype(float), data.objective),
             *step(data.number[by_number.row], by_number.best), *baseline(data.number[[0, -1]])],
            {"xaxis": {"title": {"text": "trial"}, "rangemode": "tozero"}, "yaxis": label},
        ),
        Chart(
            "time", "Best network over time",
            "Time of the runs; breaks between a run and the one that resumed it are left out.",
            [*kinds(data, when, data.objective), *step(told.seconds / unit, told.best),
             *baseline(np.array([0, told.seconds[-1] / unit]))],
            {"xaxis": {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}, "yaxis": label},
        ),
        Chart(
            "effort", f"Best network over {series.worker_time(data)}", "What all evaluations took together.",
            [*kinds(data, series.spent_by(told, data.n_trials) / amount, data.objective),
             *step(told.worker_seconds / amount, told.best),
             *baseline(np.array([0, told.worker_seconds[-1] / amount]))],
            {"xaxis": {"title": {"text": f"{series.worker_time(data)} [{amount_name}]"}, "rangemode": "tozero"},
             "yaxis": label}, wide=True, height=300,
        ),
    ]  # fmt: skip
    return [chart for chart in found if chart.traces]


def constraints(data: StudyData) -> list[Chart]:
    """Objective against each constraint."""
    charts = []
    for j, name in enumerate(data.constraint_names):
        column = data.constraints[:, j] if data.constraints.size else np.empty(0)
        shown = column[points.drawable(column)]
        if not len(shown):
            continue
        shade = {"type": "rect", "xref": "x", "yref": "paper", "x0": min(float(shown.min()), 0.0), "x1": 0}
        look = {"y0": 0, "y1": 1, "fillcolor": points.BASELINE, "opacity": 0.12, "line": {"width": 0}, "layer": "below"}
        charts.append(
            Chart(
                f"constraint{j}", f"Constraint {shortened(name)}", "Satisfied left of zero, in the shaded part.",
                kinds(data, column, data.objective),
                {"xaxis": {"title": {"text": for_plotly(name)}}, "yaxis": {"title": {"text": _objective_title(data)}},
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
    keep = points.thinned(np.arange(len(told.seconds)), traces.MOST_POINTS)
    when = told.seconds[keep] / unit
    x_axis = {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}
    return [
        Chart(
            "silence", "Silent networks over time", "Share of stopped networks among the latest trials and among all.",
            [line(when, told.recent_share[keep], f"latest {told.window}", points.STOPPED.colour),
             line(when, told.total_share[keep], "all so far", points.FAILED.colour, dash="dash")],
            {"xaxis": x_axis, "yaxis": {"title": {"text": "share"}, "range": [-0.02, 1.02], "tickformat": ".0%"}},
        ),
        Chart(
            "savings", "What stopping early saved",
            "Saved: what the stopped networks would have trained on, at their own pace. Spent: by all evaluations.",
            [line(when, told.saved[keep] / amount, "saved", points.BASELINE),
             line(when, told.spent[keep] / amount, "spent", points.FEASIBLE.colour, dash="dash")],
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
    drawn = np.argsort(begin, kind="stable")[-_MOST_BARS:]  # to leave out single ones would look like idle time
    thickness = float(np.clip(420 / len(shown), 3, 16))
    lines = []
    for look, rows in points.by_kind(data):
        mine = drawn[np.isin(row[drawn], rows)]
        if len(mine):
            lines.append(bars(begin[mine], end[mine], place[mine], data.number[row[mine]], look, thickness))
    busy = f"Gaps are idle time; the workers were busy {percent(summarise(data).busy_share)} of the time."
    hidden = f" {len(lanes) - len(shown)} further workers are not shown." if len(lanes) > len(shown) else ""
    thinner = f" Only the latest {len(drawn)} of {len(row)} trials are drawn." if len(drawn) < len(row) else ""
    step = max(1, len(shown) // 24)
    ticks = {"tickvals": list(range(0, len(shown), step)), "ticktext": [_lane(data, lane) for lane in shown[::step]]}
    y_axis = {"range": [len(shown) - 0.4, -0.6], "showgrid": False, "zeroline": False, **ticks}
    x_axis = {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}
    layout = {"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"}
    height = int(np.clip(140 + 24 * len(shown), 200, 720))
    return [Chart("workers", "What each worker did", busy + hidden + thinner, lines, layout, height, wide=True)]


def best(data: StudyData) -> list[Chart]:
    """Accuracy per epoch and spikes per class of the best network."""
    found = best_trials(data, 1)
    curves = data.curves(found[0].number) if found else {}
    charts = []
    if (accuracy := np.ravel(curves.get("train_accuracy", np.empty(0)))).size:
        epochs = np.arange(1, len(accuracy) + 1)
        training = line(epochs, accuracy, "training", points.FEASIBLE.colour) | {"mode": "lines+markers"}
        held_out = line(epochs[[0, -1]], np.full(2, found[0].objective), objective_name(data), points.BEST, dash="dash")
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
            {"type": "bar", "name": for_plotly(name.removeprefix("spikes_")), "x": list(range(len(spikes))),
             "y": numbers(spikes), "marker": {"color": colours[i % 3]}}
            for i, (name, spikes) in enumerate(layers)
        ]  # fmt: skip
        axes = {"xaxis": {"title": {"text": "class"}, "dtick": 1}, "yaxis": {"title": {"text": "spikes per sample"}}}
        if len(layers[0][1]) > 20:
            axes["xaxis"]["dtick"] = 10
        caption = "Mean spikes of a layer for a sample of each class."
        charts.append(Chart("spikes", "Spikes per class", caption, bars, axes))
    return charts + _silent_rates(curves)


def _silent_rates(curves: Mapping[str, Any]) -> list[Chart]:
    """Silent samples while the best network was trained."""
    layers = {name.removeprefix("silent_rate_"): np.ravel(curve) for name, curve in curves.items()
              if name.startswith("silent_rate_") and np.size(curve)}  # fmt: skip
    if not layers:
        return []
    colours = (points.FEASIBLE.colour, points.STOPPED.colour, points.BASELINE)
    lines = [
        line(
            np.arange(1, len(rate) + 1) / len(rate),
            rate,
            for_plotly(layer),
            colours[i % 3],
            dash=("solid", "dash", "dot")[i % 3],
        )
        for i, (layer, rate) in enumerate(layers.items())
    ]
    axes = {
        "xaxis": {"title": {"text": "share of the training"}, "tickformat": ".0%", "rangemode": "tozero"},
        "yaxis": {"title": {"text": "silent samples"}, "tickformat": ".1~%", "rangemode": "tozero"},
    }
    caption = "Share of silent samples in each layer; the count restarts with each epoch."
    return [Chart("rates", "Silence in training", caption, lines, axes, 420)]


def _objective_title(data: StudyData) -> str:
    """In two lines: on paper and phones the axes are short."""
    return objective_label(data).replace(" (", "<br>(")


def _baseline_line(data: StudyData) -> Any:
    baseline = summarise(data).baseline

    def drawn(x: Any) -> list[Trace]:
        if baseline is None or not baseline.scored:
            return []
        return [line(x, np.full(2, baseline.objective), for_plotly(baseline.name), points.BASELINE, dash="dash")]

    return drawn


def _lane(data: StudyData, lane: series.Lane) -> str:
    worker = data.workers.get(lane.rank)
    place = f" {worker.host} {worker.device}" if worker and len(worker.host) + len(worker.device) < 22 else ""
    return for_plotly(f"{lane.rank}{place}")


def _thinning_note(data: StudyData) -> str:
    most = max((len(rows) for _, rows in points.by_kind(data)), default=0)
    return f" Of each kind at most {traces.MOST_POINTS} trials are drawn." if most > traces.MOST_POINTS else ""


def _range_note(data: StudyData) -> str:
    n = int((~np.isnan(data.objective) & ~points.drawable(data.objective)).sum())
    return f" Not drawn: {n} whose objective is infinite or beyond 1e300." if n else ""
