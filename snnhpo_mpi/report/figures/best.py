"""The best network: its accuracy in training, its spikes by class, and how silent it was while it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.points import Floats
from snnhpo_mpi.analysis.summary import best_trials, is_own_function, objective_name
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import looks, traces
from snnhpo_mpi.report.canvas import PAGE_IN
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly
from snnhpo_mpi.report.traces import Chart

_DASHES, _LINES = ("solid", "dash", "dot"), ("-", "--", ":")


@dataclass(frozen=True, slots=True)
class Found:
    """Of the best trial; what its trainer did not record is empty.

    Attributes:
        name: of the objective.
        accuracy: in training, an epoch each.
        spikes: layer -> mean spikes for a sample of each class.
        silent: layer -> share of silent samples at each check of the training.
    """

    number: int
    objective: float
    name: str
    accuracy: Floats
    spikes: Mapping[str, Floats]
    silent: Mapping[str, Floats]


def compute(data: StudyData) -> Found | str | None:
    """None where the trainer records no curves."""
    best = best_trials(data, 1)
    curves = {name: np.ravel(curve) for name, curve in (data.curves(best[0].number) if best else {}).items()}
    curves = {name: curve for name, curve in curves.items() if curve.size}

    def of_layers(prefix: str) -> dict[str, Floats]:
        return {name.removeprefix(prefix): curve for name, curve in curves.items() if name.startswith(prefix)}

    accuracy, spikes, silent = (
        curves.get("train_accuracy", np.empty(0)),
        of_layers("spikes_"),
        of_layers("silent_rate_"),
    )
    if accuracy.size or spikes or silent:
        return Found(best[0].number, best[0].objective, objective_name(data), accuracy, spikes, silent)
    return None if is_own_function(data) else "no feasible network with curves yet"


def charts(found: Found) -> list[Chart]:
    """For the page."""
    drawn = []
    if found.accuracy.size:
        drawn.append(_accuracy(found))
    if found.spikes:
        bars = [
            {"type": "bar", "name": for_plotly(layer), "x": list(range(len(spikes))), "y": traces.numbers(spikes),
             "marker": {"color": looks.SERIES[i % 3]}}
            for i, (layer, spikes) in enumerate(found.spikes.items())
        ]  # fmt: skip
        many = max(len(spikes) for spikes in found.spikes.values()) > 20
        axes = {
            "xaxis": {"title": {"text": "class"}, "dtick": 10 if many else 1},
            "yaxis": {"title": {"text": "spikes per sample"}},
        }
        drawn.append(
            Chart("spikes", "Spikes per class", "Mean spikes of a layer for a sample of each class.", bars, axes)
        )
    if found.silent:
        lines = [
            traces.line(_shares(rate), rate, for_plotly(layer), looks.SERIES[i % 3], dash=_DASHES[i % 3])
            for i, (layer, rate) in enumerate(found.silent.items())
        ]
        axes = {
            "xaxis": {"title": {"text": "share of the training"}, "tickformat": ".0%", "rangemode": "tozero"},
            "yaxis": {"title": {"text": "silent samples"}, "tickformat": ".1~%", "range": [0, _top(found)]},
        }
        caption = "Share of silent samples in each layer; the count restarts with each epoch."
        drawn.append(Chart("rates", "Silence in training", caption, lines, axes, 420))
    return drawn


def _accuracy(found: Found) -> Chart:
    epochs = np.arange(1, len(found.accuracy) + 1)
    training = traces.line(epochs, found.accuracy, "training", looks.FEASIBLE.colour) | {"mode": "lines+markers"}
    ends = epochs[[0, -1]] if len(epochs) > 1 else epochs
    score = traces.line(ends, np.full(len(ends), found.objective), found.name, looks.BEST, dash="dash")
    axes = {"xaxis": {"title": {"text": "epoch"}, "dtick": max(1, len(epochs) // 10)},
            "yaxis": {"title": {"text": "accuracy"}}}  # fmt: skip
    caption = (
        "Points: running accuracy on the training samples while the network still learnt them. Dashed: its score "
        f"({found.name}) when it was trained. The two are measured on different samples."
    )
    return Chart("epochs", "Accuracy per epoch", caption, [training, score], axes)


def _top(found: Found) -> float:
    """Of the axis of silent samples: lines at 0 have an axis that begins there too."""
    return max(1.1 * max(float(rate.max()) for rate in found.silent.values()), 0.01)


def _shares(rate: Floats) -> Floats:
    """Where in the training each check lies."""
    return np.arange(1, len(rate) + 1) / len(rate)


def paper(found: Found) -> Figure:
    """For papers: a panel for each that is known."""
    panels = [draw for draw, known in ((_panel_of_accuracy, found.accuracy.size), (_panel_of_spikes, found.spikes),
                                       (_panel_of_silence, found.silent)) if known]  # fmt: skip
    figure = Figure((PAGE_IN, 2.4))
    for ax, draw in zip(figure.subplots(1, len(panels), squeeze=False).flat, panels, strict=True):
        draw(ax, found)
    figure.suptitle(f"trial {found.number}", fontsize=8)
    return figure


def _panel_of_accuracy(ax: Axes, found: Found) -> None:
    epochs = np.arange(1, len(found.accuracy) + 1)
    ax.plot(epochs, found.accuracy, "o-", markersize=4, color=looks.FEASIBLE.colour, label="training")
    if points.drawable(np.array(found.objective)):
        ax.axhline(found.objective, color=looks.BEST, linestyle="--", linewidth=1, label=found.name)
    ax.set(xlabel="epoch", ylabel="accuracy", xticks=epochs if len(epochs) <= 5 else ax.get_xticks())
    ax.set_xlim(0.5, len(epochs) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.legend()


def _panel_of_spikes(ax: Axes, found: Found) -> None:
    width = 0.8 / len(found.spikes)
    for i, (layer, spikes) in enumerate(found.spikes.items()):
        at = np.arange(len(spikes)) + (i - (len(found.spikes) - 1) / 2) * width
        ax.bar(at, spikes, width, color=looks.SERIES[i % 3], label=for_matplotlib(layer, 20))
    ax.set(xlabel="class", ylabel="spikes per sample")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    ax.grid(visible=False, axis="x")
    _legend_above(ax)


def _panel_of_silence(ax: Axes, found: Found) -> None:
    for i, (layer, rate) in enumerate(found.silent.items()):
        dot: Any = {"marker": "o", "markersize": 3} if len(rate) == 1 else {}
        style: Any = {"color": looks.SERIES[i % 3], "linestyle": _LINES[i % 3], **dot}
        ax.plot(_shares(rate), rate, label=for_matplotlib(layer, 20), **style)
    ax.set(xlabel="share of the training", ylabel="silent samples", xlim=(0, 1.02), ylim=(0, _top(found)))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    _legend_above(ax)


def _legend_above(ax: Axes) -> None:
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
