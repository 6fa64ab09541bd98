"""The objective against each metric that an evaluation returned beside it: what a good network costs."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.metrics import Metric, own_metrics
from snnhpo_mpi.analysis.summary import objective_name
from snnhpo_mpi.plain_text import some
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import traces
from snnhpo_mpi.report.canvas import PAGE_IN, objectives
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly, shortened
from snnhpo_mpi.report.text import figure as number
from snnhpo_mpi.report.traces import Chart

_MOST = 24


@dataclass(frozen=True, slots=True)
class Found:
    """Metrics that differ between trials, and the ones that do not."""

    data: StudyData
    varying: list[Metric]
    constant: list[Metric]


def compute(data: StudyData) -> Found | str | None:
    """None where no metric of one's own was recorded."""
    metrics = own_metrics(data)
    if not metrics:
        return None
    varying = [one for one in metrics if one.low < one.high]
    constant = [one for one in metrics if one not in varying]
    if not varying:
        return f"no metric differs between trials: {_named(constant)}"
    return points.nothing_drawn(data) or Found(data, varying[:_MOST], constant)


def _named(constant: list[Metric]) -> str:
    return some([f"{shortened(one.name)} = {number(one.low)}" for one in constant], 8)


def charts(found: Found) -> list[Chart]:
    """For the page."""
    drawn = []
    for j, one in enumerate(found.varying):
        lines = traces.objectives(found.data, one.values)
        layout = {"xaxis": {"title": {"text": for_plotly(one.name)}},
                  "yaxis": {"title": {"text": objective_name(found.data)}}}  # fmt: skip
        caption = f"From {number(one.low)} to {number(one.high)}, known of {one.n} trials."
        if j == 0 and found.constant:
            caption += f" The same in every trial: {_named(found.constant)}."
        drawn.append(Chart(f"metric{j}", shortened(one.name), caption, lines, traces.with_strip(lines, layout)))
    return [chart for chart in drawn if chart.traces]


def paper(found: Found) -> Figure:
    """For papers: a panel a metric."""
    n_rows, n_columns = -(-len(found.varying) // 3), min(len(found.varying), 3)
    figure = Figure((PAGE_IN * n_columns / 3, 2.3 * n_rows + 0.3))
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for ax in panels.flat[len(found.varying) :]:
        ax.set_axis_off()
    for ax, one in zip(panels.flat, found.varying, strict=False):
        objectives(ax, found.data, one.values)
        ax.set_xlabel(for_matplotlib(one.name, 26))
    for row in panels:
        row[0].set_ylabel(objective_name(found.data))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2 * n_columns - 1)
    return figure
