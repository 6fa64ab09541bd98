"""How each kind of trial is drawn, the same in every figure and in both libraries."""

from __future__ import annotations

from dataclasses import dataclass

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.points import Rows
from snnhpo_mpi.record import StudyData


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of trial is drawn, the same in every figure; tells apart without colour too.

    Attributes:
        colour: of Okabe and Ito's palette, which the colour-blind can tell apart (its yellow darkened).
        marker, symbol: of Matplotlib and of plotly.
    """

    name: str
    colour: str
    marker: str
    symbol: str


FEASIBLE = Look(points.FEASIBLE, "#0072B2", "o", "circle")
INFEASIBLE = Look(points.INFEASIBLE, "#CC79A7", "^", "triangle-up")
STOPPED = Look(points.STOPPED, "#E69F00", "x", "x-thin-open")
PRUNED = Look(points.PRUNED, "#A89400", "v", "triangle-down")
FAILED = Look(points.FAILED, "#7F7F7F", "s", "square-open")
RUNNING = Look(points.RUNNING, "#56B4E9", "d", "diamond-open")
AGAIN = Look("a finalist again", "#009E73", "o", "circle")
BEST = "#D55E00"
BASELINE = "#009E73"
CROWD = 500
PAPER = "#F4F8FB"  # where there is nothing; dark on a dark page
SERIES = (FEASIBLE.colour, STOPPED.colour, BASELINE)  # of layers and the like
ALL = (FEASIBLE, INFEASIBLE, STOPPED, PRUNED, FAILED, RUNNING)
_OF_KIND = {look.name: look for look in ALL}
UNSCORED = (STOPPED, PRUNED)  # drawn as ticks, since there is no score to draw


def by_kind(data: StudyData) -> list[tuple[Look, Rows]]:
    """The look of every kind that occurs, with its rows."""
    return [(_OF_KIND[kind], rows) for kind, rows in points.by_kind(data)]


def crowding(n: int) -> tuple[float, float]:
    """Opacity of n points, and what their usual size is multiplied by: a cloud of many should not be a blot."""
    return (0.75, 1.0) if n <= CROWD else (0.4, 0.6)
