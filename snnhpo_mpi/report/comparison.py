"""The table and the figure of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from snnhpo_mpi.analysis.compare import Compared, Pool, Reached, band, mean_reached, pools, spread
from snnhpo_mpi.analysis.durations import duration, rough_duration, time_unit
from snnhpo_mpi.analysis.score import score, with_error
from snnhpo_mpi.analysis.summary import Summary
from snnhpo_mpi.report.canvas import PAGE_IN, STYLE, save
from snnhpo_mpi.report.labels import for_matplotlib
from snnhpo_mpi.report.text import percent

# Okabe and Ito's palette without its yellow, which is faint on white; dashes tell apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")


def as_table(compared: Sequence[Compared]) -> str:
    """A line a quantity, a column a study."""
    rows = [["", *(one.label for one in compared)]]
    summaries = [one.summary for one in compared]
    if len({(one.objective, one.measured_on) for one in compared}) > 1:
        rows.append(["objective", *(one.objective for one in compared)])
        rows.append(["measured on", *(one.measured_on for one in compared)])
    if len({one.samples for one in compared}) > 1:  # accuracies that are hard to compare
        rows.append(["samples: training, held out", *(one.samples for one in compared)])
    rows.append(["state", *(one.state for one in summaries)])
    rows.append(["trials ended", *(str(one.ended) for one in summaries)])
    rows.append(["feasible", *(str(one.feasible) for one in summaries)])
    rows.append([_stopped_as(summaries), *(percent(one.silent_share) for one in summaries)])
    rows.append(["failed, lost", *(str(one.failed + one.lost) for one in summaries)])
    rows.append(["duration", *(duration(one.seconds) for one in summaries)])
    rows.append(["time of workers", *(rough_duration(one.evaluation_seconds) for one in summaries)])
    rows.append(["busy", *(percent(one.busy_share) for one in summaries)])
    rows.append(["busy, with the start-up", *(percent(one.busy_share_of_runs) for one in summaries)])
    rows.append(["best", *(score(one.best.objective) if one.best else "-" for one in summaries)])
    if any(one.best and one.best.standard_error for one in summaries):
        errors = [with_error(one.best.objective, one.best.standard_error) if one.best else "-" for one in summaries]
        rows.append(["its standard error", *(error.partition(" ± ")[2] or "-" for error in errors)])
    for i, level in enumerate(one.level for one in compared[0].reached):
        rows.append([f"time to {level:.4g}", *(_when(one.reached[i]) for one in compared)])
    together = pools(compared)
    if len(together) == len(compared):
        return _aligned(rows)
    return f"{_aligned(rows)}\n\n{_aligned(_pooled_rows(together))}"


def _stopped_as(summaries: Sequence[Summary]) -> str:
    """Silent, unless something else too stops the trials of some study."""
    return max(one.stopped_as for one in summaries)  # in the order of the alphabet


def _pooled_rows(together: Sequence[Pool]) -> list[list[str]]:
    """Mean and standard deviation of the studies of each configuration."""

    def row(name: str, value: Callable[[Compared], float | None], write: Callable[[float], str]) -> list[str]:
        cells = []
        for pool in together:
            mean, sd, n = spread([v for one in pool.members if (v := value(one)) is not None])
            some = f" (n = {n})" if 0 < n < len(pool.members) else ""
            cells.append("-" if mean is None else write(mean) + (f" ± {write(sd)}" if sd is not None else "") + some)
        return [name, *cells]

    stopped = _stopped_as([one.summary for pool in together for one in pool.members])
    rows = [
        ["mean ± s.d. of studies", *(pool.label for pool in together)],
        row("best", lambda one: one.summary.best.objective if one.summary.best else None, score),
        row("feasible", lambda one: one.summary.feasible, lambda value: f"{value:.4g}"),
        row(stopped, lambda one: one.summary.silent_share, percent),
        row("busy", lambda one: one.summary.busy_share, percent),
    ]
    for i, level in enumerate(reached.level for reached in together[0].members[0].reached):
        rows.append([f"time to {level:.4g}", *(_mean_when(pool, i) for pool in together)])
    return rows


def _mean_when(pool: Pool, level: int) -> str:
    seconds, trials = (mean_reached(pool, level, part) for part in ("seconds", "trials"))
    if seconds is None or trials is None:
        n = sum(one.reached[level].seconds is not None for one in pool.members)
        return f"{n} of {len(pool.members)} reached it" if n else "never"
    return f"{rough_duration(seconds)}, {trials:.4g} trial{'s' * (trials != 1)}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(line)).rstrip()
        for line in (list(zip(row, widths, strict=True)) for row in rows)
    )


def _when(reached: Reached) -> str:
    if reached.seconds is None:
        return "never"
    return f"{rough_duration(reached.seconds)}, {reached.trials} trial{'s' * (reached.trials != 1)}"


_ALONG = (("trials", "trials ended"), ("seconds", "time"), ("worker_seconds", "time of all workers"))


def draw(compared: Sequence[Compared]) -> Figure:
    """Best feasible objective over trials, over time and over the time of all workers; repetitions as mean and band."""
    together = pools(compared)
    with mpl.rc_context(STYLE):
        figure = Figure((PAGE_IN, 2.8))
        panels = figure.subplots(1, 3, sharey=True)
        for ax, (along, what) in zip(panels, _ALONG, strict=True):
            bands = [band(pool, along) for pool in together]
            longest = max((float(one.at[-1]) for one in bands if len(one.at)), default=1.0)
            unit, name = (1.0, "") if along == "trials" else time_unit(longest)
            for i, (pool, one) in enumerate(zip(together, bands, strict=True)):
                style: Any = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
                ax.plot(one.at / unit, one.mean, drawstyle="steps-post", label=for_matplotlib(pool.label), **style)
                if len(pool.members) > 1:
                    shade: Any = {"color": style["color"], "alpha": 0.2, "linewidth": 0, "step": "post"}
                    ax.fill_between(one.at / unit, one.low, one.high, **shade)
            ax.set_xlabel(f"{what} [{name}]" if name else what)
            ax.set_xlim(left=0)
        names = {(one.objective, one.measured_on) for one in compared}
        panels[0].set_ylabel(f"best feasible {names.pop()[0] if len(names) == 1 else 'objective (not the same)'}")
        title = "band: lowest to highest of the studies" if len(together) < len(compared) else None
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=min(len(together), 3),
                      title=title, title_fontsize=7)  # fmt: skip
    return figure


def write_figure(compared: Sequence[Compared], path: Path) -> None:
    """Write the figure; the file's suffix says in which format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE), np.errstate(all="ignore"):
        save(draw(compared), path)
