"""Learning curves from a CSV file: a row an epoch, in the order in which the trials were proposed."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snnhpo_mpi.errors import ConfigError, shortened_path

COLUMNS = ("trial", "epoch", "score", "seconds")


@dataclass(frozen=True, slots=True)
class Curve:
    """A trial that ran to its end.

    Attributes:
        name: of the trial in the file.
        feasible: False of a silent one.
        epochs: increasing.
        scores: after each of them; NaN where there is none.
        seconds: of each of them.
    """

    name: str
    feasible: bool
    epochs: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def final(self) -> float:
        """Final score; NaN if the trial is infeasible or has none."""
        return self.scores[-1] if self.feasible else math.nan


def read_curves(path: Path) -> list[Curve]:
    """The curves of a file, in the order of their first rows.

    Raises:
        ConfigError: something in it is no curve; says the line and the column.
        OSError: it cannot be read.
    """
    curves: dict[str, Curve] = {}
    for row in _rows(path):
        name = row.text("trial")
        feasible = row.number("feasible", 0.0, "0 or 1") if "feasible" in row.cells else 1.0
        if feasible not in (0.0, 1.0):
            raise row.fault("feasible", "0 or 1")
        curve = curves.setdefault(name, Curve(name, feasible == 1.0))
        if curve.feasible != (feasible == 1.0):
            raise row.fault("feasible", f"the same in all rows of trial {name}")
        epoch = row.count("epoch")
        if curve.epochs and epoch <= curve.epochs[-1]:
            raise row.fault("epoch", f"more than the epoch before of trial {name}, which is {curve.epochs[-1]},")
        curve.epochs.append(epoch)
        curve.scores.append(row.number("score", -math.inf, "a number, or nan where there is no score", nan=True))
        curve.seconds.append(row.number("seconds", 0.0, "a number of at least 0"))
    if not curves:
        raise ConfigError(f"{shortened_path(path)}: no row after the names of the columns")
    return list(curves.values())


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of the file, and the words for what is wrong with it."""

    place: str
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """What a column holds."""
        if not self.cells[column]:
            raise self.fault(column, "a name or a number")
        return self.cells[column]

    def number(self, column: str, least: float, wanted: str, nan: bool = False) -> float:
        """A number of a column that is finite and at least ``least``, or NaN if that is allowed."""
        try:
            value = float(self.cells[column])
        except ValueError:
            raise self.fault(column, wanted) from None
        if (nan and math.isnan(value)) or (math.isfinite(value) and value >= least):
            return value
        raise self.fault(column, wanted)

    def count(self, column: str) -> int:
        """An integer of a column, at least 0, however it is written."""
        wanted = "an integer of at least 0"
        value = self.number(column, 0.0, wanted)
        if not value.is_integer():
            raise self.fault(column, wanted)
        return int(value)

    def fault(self, column: str, wanted: str) -> ConfigError:
        """What to raise of a column."""
        found = self.cells[column]
        shown = repr(found if len(found) <= 60 else found[:60] + "...") if found else "nothing"
        return ConfigError(f"{self.place}, column {column}: {wanted} is needed, found {shown}")


def _rows(path: Path) -> Iterator[_Row]:
    """The rows after the names of the columns; empty lines are skipped."""
    name = shortened_path(path)
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = [column.strip() for column in next(lines, [])]
            _check_header(name, header)
            for cells in lines:
                if not cells:
                    continue
                place = f"{name}, line {lines.line_num}"
                if len(cells) != len(header):
                    raise ConfigError(f"{place}: {len(header)} columns are needed, found {len(cells)}")
                yield _Row(place, {column: cell.strip() for column, cell in zip(header, cells, strict=True)})
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}, after line {lines.line_num}: this is no CSV file in UTF-8 ({error})") from None


def _check_header(name: str, header: list[str]) -> None:
    wanted = f"the columns {', '.join(COLUMNS)} (and feasible, if some trials are not) are needed"
    if missing := [column for column in COLUMNS if column not in header]:
        found = ", ".join(header)[:120] or "nothing"
        raise ConfigError(f"{name}, line 1: no column {', '.join(missing)}; {wanted}, found {found}")
    if twice := [column for column in (*COLUMNS, "feasible") if header.count(column) > 1]:
        raise ConfigError(f"{name}, line 1: column {twice[0]} is there twice; {wanted}")
