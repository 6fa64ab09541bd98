"""The figures of a study: a file each, and a row each in one table.

A figure's file has three functions. ``compute`` asks ``analysis`` for the numbers, once for all formats; it gives a
text where there is nothing to show yet, which says why, and None where a study of this kind has no such figure.
``charts`` draws them for the page with plotly.js, ``paper`` for PNG and PDF with Matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from matplotlib.figure import Figure

from snnhpo_mpi.analysis.repeats import is_retraining
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report.failing import attempt
from snnhpo_mpi.report.figures import (
    best,
    candidates,
    confusion,
    constraints,
    failures,
    feasible,
    hyperparameters,
    importance,
    incumbent,
    learning_curves,
    metrics,
    parallel,
    silence,
    workers,
)
from snnhpo_mpi.report.traces import Chart


class Drawing(Protocol):
    """What a figure's file has."""

    def compute(self, data: StudyData) -> Any:
        """The numbers, a text that says why there are none yet, or None."""

    def charts(self, found: Any) -> list[Chart]:
        """The numbers as charts of the page."""

    def paper(self, found: Any) -> Figure:
        """The numbers as a figure for papers."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: the name of its files, the section of the page (see ``page.SECTIONS``), and how it is drawn."""

    name: str
    section: str
    drawing: Drawing


SEARCH: tuple[Row, ...] = (
    Row("incumbent", "search", incumbent),
    Row("silence", "stopping", silence),
    Row("learning_curves", "curves", learning_curves),
    Row("constraints", "constraints", constraints),
    Row("metrics", "metrics", metrics),
    Row("best", "best", best),
    Row("confusion", "best", confusion),
    Row("workers", "workers", workers),
    Row("importance", "space", importance),
    Row("parallel", "space", parallel),
    Row("feasible", "feasible", feasible),
    Row("hyperparameters", "slices", hyperparameters),
    Row("failures", "failures", failures),
)
RETRAINING: tuple[Row, ...] = (
    Row("candidates", "candidates", candidates),
    Row("confusion", "candidates", confusion),
    Row("workers", "workers", workers),
    Row("failures", "failures", failures),
)


@dataclass(frozen=True, slots=True)
class Computed:
    """A figure with its numbers.

    Attributes:
        found: what ``charts`` and ``paper`` draw; None where ``nothing`` or ``fault`` says why there is none.
        nothing: why there is nothing to show yet.
        fault: why the numbers could not be computed.
    """

    name: str
    section: str
    drawing: Drawing
    found: Any
    nothing: str = ""
    fault: str = ""


def compute(data: StudyData) -> list[Computed]:
    """The figures of a study, in the order of the table; those that a study of this kind has not are left out."""
    return _compute(data, RETRAINING if is_retraining(data) else SEARCH)


def _compute(data: StudyData, rows: Sequence[Row]) -> list[Computed]:
    figures = []
    for row in rows:
        found, fault = attempt(partial(row.drawing.compute, data))
        if fault:
            figures.append(Computed(row.name, row.section, row.drawing, None, fault=fault))
        elif isinstance(found, str):
            figures.append(Computed(row.name, row.section, row.drawing, None, nothing=found))
        elif found is not None:
            figures.append(Computed(row.name, row.section, row.drawing, found))
    return figures
