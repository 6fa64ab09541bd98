"""The timeline of the workers: gaps are idle time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis.durations import time_unit
from snnhpo_mpi.analysis.summary import summarise
from snnhpo_mpi.analysis.timeline import Lane, lanes
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks, traces
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.labels import for_plotly
from snnhpo_mpi.report.text import busy
from snnhpo_mpi.report.traces import Chart

_MOST_LANES, _MOST_LANES_ON_PAPER = 96, 64
_MOST_BARS = 24_000
_MOST_EDGES = 150  # trials a lane that white edges keep apart


@dataclass(frozen=True, slots=True)
class Found:
    """The lanes, the unit of their axis (seconds and name), and how busy the workers were, in words."""

    data: StudyData
    lanes: list[Lane]
    unit: tuple[float, str]
    busy: str


def compute(data: StudyData) -> Found | str:
    """The lanes, one a rank."""
    found = lanes(data)
    if not found:
        return "no trial was sent out yet"
    return Found(
        data, found, time_unit(max(float(max([*lane.end, *lane.again[:, 1]])) for lane in found)), busy(summarise(data))
    )


def charts(found: Found) -> list[Chart]:
    """For the page."""
    data, shown, (unit, name) = found.data, found.lanes[:_MOST_LANES], found.unit
    row = np.concatenate([lane.row for lane in shown])
    begin, end = (np.concatenate([getattr(lane, part) for lane in shown]) / unit for part in ("begin", "end"))
    place = np.concatenate([np.full(len(lane.row), j) for j, lane in enumerate(shown)])
    drawn = np.argsort(begin, kind="stable")[-_MOST_BARS:]  # to leave out single ones would look like idle time
    thickness = float(np.clip(420 / len(shown), 3, 16))
    lines = []
    for look, rows in looks.by_kind(data):
        mine = drawn[np.isin(row[drawn], rows)]
        if len(mine):
            lines.append(traces.bars(begin[mine], end[mine], place[mine], data.number[row[mine]], look, thickness))
    again = np.concatenate([lane.again for lane in shown]) / unit
    if len(again):
        lane_of = np.concatenate([np.full(len(lane.again), j) for j, lane in enumerate(shown)])
        lines.append(traces.bars(again[:, 0], again[:, 1], lane_of, None, looks.AGAIN, thickness))
    hidden = f" {len(found.lanes) - len(shown)} further workers are not shown." if len(found.lanes) > len(shown) else ""
    thinner = f" Only the latest {len(drawn)} of {len(row)} trials are drawn." if len(drawn) < len(row) else ""
    step = max(1, len(shown) // 24)
    ticks = {"tickvals": list(range(0, len(shown), step)), "ticktext": [_lane(data, lane) for lane in shown[::step]]}
    y_axis = {"range": [len(shown) - 0.4, -0.6], "showgrid": False, "zeroline": False, **ticks}
    x_axis = {"title": {"text": f"time [{name}]"}, "rangemode": "tozero"}
    layout = {"xaxis": x_axis, "yaxis": y_axis, "hovermode": "closest"}
    height = int(np.clip(140 + 24 * len(shown), 200, 720))
    caption = f"Gaps are idle time. Busy {found.busy}.{hidden}{thinner}"
    return [Chart("workers", "What each worker did", caption, lines, layout, height, wide=True)]


def _lane(data: StudyData, lane: Lane) -> str:
    worker = data.workers.get(lane.rank)
    place = f" {worker.host} {worker.device}" if worker and len(worker.host) + len(worker.device) < 22 else ""
    return for_plotly(f"{lane.rank}{place}")


def paper(found: Found) -> Figure:
    """For papers."""
    shown, (unit, name) = found.lanes[:_MOST_LANES_ON_PAPER], found.unit
    figure = Figure((PAGE_IN, 1.2 + max(0.12 * len(shown), 0.4)))
    ax = figure.subplots()
    edge = 0.3 if found.data.n_trials <= _MOST_EDGES * len(found.lanes) else 0.0  # where it does not hide the trials
    for look, rows in looks.by_kind(found.data):
        for j, lane in enumerate(shown):
            spans = np.column_stack([lane.begin, lane.end - lane.begin])[np.isin(lane.row, rows)] / unit
            style: Any = {"facecolor": look.colour, "edgecolor": "white", "linewidth": edge}
            label = look.name if j == 0 else None
            ax.broken_barh([(float(a), float(b)) for a, b in spans], (j - 0.4, 0.8), label=label, **style)
    for j, lane in enumerate(shown):
        again = [(float(a), float(b - a)) for a, b in lane.again / unit]
        label = looks.AGAIN.name if j == 0 and any(len(one.again) for one in shown) else None
        ax.broken_barh(again, (j - 0.4, 0.8), label=label, facecolor=looks.AGAIN.colour)
    step = max(1, len(shown) // 16)
    ax.set_yticks(range(0, len(shown), step), [str(lane.rank) for lane in shown[::step]])
    n_hidden = len(found.lanes) - len(shown)
    hidden = f"; {n_hidden} workers not shown" if n_hidden else ""
    ax.set(xlabel=f"time [{name}]", ylabel="worker", title=f"busy {found.busy}{hidden}", ylim=(len(shown) - 0.5, -0.5))
    ax.grid(visible=False, axis="y")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return figure
