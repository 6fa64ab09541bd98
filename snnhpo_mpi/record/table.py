"""The study as columns: what a snapshot stores, and how entries of the journal extend it.

Notation
    n  trials asked, one row each, in the order asked        e  entries of the journal after its header
    d  encoded columns of a point                            m  constraints

Columns are named by their place in ``study.h5``: ``trials/*`` and ``optimizer/*`` have n rows, ``events/*`` e rows,
``reports/*`` and ``repeats/*`` one for each report and repeat.
What is absent is NaN in a column of floats, -1 in one of integers, empty in one of text; in one of the integers that a
hyperparameter may have, which -1 can be, it is ``NO_INT``. A choice is kept as its position among the choices of its
hyperparameter, because two choices may have the same text (``1`` and ``"1"``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.record.entries import Closed, Entry, Header, Proposed, Session, WorkerSeen
from snnhpo_mpi.trial import Curve, Ended, Interim, ParamValue, Repeated, Reported, Started

Column = NDArray[Any]
PARAMS, OBJECTIVES, METRICS = "trials/params/", "trials/objectives/", "trials/metrics/"
SILENT, SPIKES = "reports/silent_rate/", "reports/spikes/"
NO_INT = -(2**63)  # the smallest that an integer of HDF5 can have: no hyperparameter is as small
PENDING, RUNNING = "asked", "running"  # states of a trial that has not ended


class Kind(StrEnum):
    """Kind of an entry in ``events/kind``; what ``events/number`` then counts."""

    ASKED = "asked"  # trial
    STARTED = "started"  # trial
    REPORTED = "reported"  # row of ``reports``
    ENDED = "ended"  # trial
    REPEATED = "repeated"  # row of ``repeats``
    SESSION = "session"  # position in ``sessions``
    CLOSED = "closed"  # position in ``sessions``
    WORKER = "worker"  # position in ``workers``


@dataclass(frozen=True, slots=True)
class SessionSpan:
    """A run of the program on the study, and how it ended (not yet, or killed: None)."""

    began: Session
    closed: Closed | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A study without its curves and error texts; immutable.

    Attributes:
        columns: name -> n or e rows.
        row: number of a trial -> its row.
        choices: categorical hyperparameter -> the choices that its column counts from 0. It begins with those of the
            configuration, and holds whatever else was evaluated.
    """

    header: Header
    columns: Mapping[str, Column] = field(default_factory=dict)
    row: Mapping[int, int] = field(default_factory=dict)
    choices: Mapping[str, tuple[ParamValue, ...]] = field(default_factory=dict)
    sessions: tuple[SessionSpan, ...] = ()
    workers: tuple[WorkerSeen, ...] = ()

    @property
    def n_trials(self) -> int:
        """Trials asked."""
        return len(self.row)

    @property
    def n_events(self) -> int:
        """Entries after the header."""
        return self.n_rows("events")

    def n_rows(self, group: str) -> int:
        """Rows of the columns of a group."""
        return self.n_trials if group == "trials" else len(self.columns.get(_FIRST[group], ()))

    def column(self, name: str) -> Column:
        """A column, all absent if it was never set."""
        if name in self.columns:
            return self.columns[name]
        return _absent((self.n_rows(_group(name)),), _FIXED.get(name, _FLOAT))

    def param(self, name: str, row: int) -> ParamValue | None:
        """The value of a hyperparameter in a trial, of the very type that was evaluated; None if it has none."""
        value = self.columns[f"{PARAMS}{name}"][row].item()
        if name in self.choices:
            return self.choices[name][value] if value >= 0 else None
        return None if value == NO_INT or (isinstance(value, float) and np.isnan(value)) else value


@dataclass(frozen=True, slots=True)
class Extras:
    """What is kept outside the columns, by number of trial: written once, read when asked for."""

    curves: dict[int, Mapping[str, Curve]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)


_FLOAT, _INT = np.dtype(np.float64), np.dtype(np.int64)
_FIXED = {
    "trials/number": _INT,
    "trials/rank": _INT,
    "trials/seed": _INT,
    "trials/n_scored": _INT,
    "trials/n_told": _INT,
    "trials/state": np.dtype("S9"),
    "events/kind": np.dtype("S8"),
    "events/number": _INT,
    "events/rank": _INT,
    "reports/number": _INT,
    "reports/position": _INT,
    "reports/n_scored": _INT,
    "reports/n_planned": _INT,
    "repeats/number": _INT,
    "repeats/seed": _INT,
    "repeats/n_scored": _INT,
    "repeats/state": np.dtype("S9"),
    "repeats/feasible": _INT,
}
_FIRST = {"events": "events/kind", "reports": "reports/number", "repeats": "repeats/number"}  # that each row has


def extend(table: Table, entries: Sequence[Entry]) -> Table:
    """The study after further entries; ``table`` stays as it is.

    A second start of a trial (sent out again) replaces the first; whatever follows the end of a trial, or belongs to
    none that was asked, is left out of the trials, though not of the events.
    """
    counts = Counter(map(type, entries))
    more = {"trials": counts[Proposed], "events": len(entries)}
    more |= {"reports": counts[Reported], "repeats": counts[Repeated]}
    growing = _Growing(table, more)
    for entry in entries:
        growing.add(entry)
    return growing.table()


class _Growing:
    """Columns with room for the rows to come."""

    def __init__(self, table: Table, more: Mapping[str, int]) -> None:
        self._base = table
        self._used = {group: table.n_rows(group) for group in more}
        self._size = {group: self._used[group] + n for group, n in more.items()}
        self._numbers = _numbers(table.sessions[-1].began.config) if table.sessions else {}
        self._columns = {name: self._longer(name, column) for name, column in table.columns.items()}
        self._row = dict(table.row)
        self._sessions = list(table.sessions)
        self._workers = list(table.workers)
        self._positions = {name: {_key(one): i for i, one in enumerate(of)} for name, of in table.choices.items()}

    def table(self) -> Table:
        columns = {name: column[: self._used[_group(name)]] for name, column in self._columns.items()}
        choices = {name: tuple(value for _, value in known) for name, known in self._positions.items()}
        done = replace(self._base, columns=columns, row=self._row, choices=choices)
        return replace(done, sessions=tuple(self._sessions), workers=tuple(self._workers))

    def add(self, entry: Entry) -> None:
        match entry:
            case Proposed():
                self._asked(entry)
            case Started():
                self._event(Kind.STARTED, entry.number, entry.at, entry.rank)
                if (row := self._open_row(entry.number)) is not None:
                    self._set("trials/rank", row, entry.rank)
                    self._set("trials/started_at", row, entry.at)
                    self._set("trials/state", row, RUNNING)
            case Reported():
                self._event(Kind.REPORTED, self._used["reports"], entry.at, entry.rank)
                self._reported(entry.interim)
            case Repeated():
                self._event(Kind.REPEATED, self._used["repeats"], entry.at, entry.rank)
                self._add_row("repeats", asdict(entry.repeat) | {"seconds": entry.seconds})
            case Ended():
                self._event(Kind.ENDED, entry.outcome.number, entry.at, entry.rank)
                if (row := self._open_row(entry.outcome.number)) is not None:
                    self._ended(entry, row)
            case Session():
                self._configured(entry.config)
                self._event(Kind.SESSION, len(self._sessions), entry.at)
                self._sessions.append(SessionSpan(entry))
            case Closed():
                self._event(Kind.CLOSED, len(self._sessions) - 1, entry.at)
                if self._sessions:
                    self._sessions[-1] = replace(self._sessions[-1], closed=entry)
            case WorkerSeen():
                self._event(Kind.WORKER, len(self._workers), entry.at, entry.rank)
                self._workers.append(entry)
            case Header():
                raise ValueError("a journal has one header, its first line")
            case _:
                assert_never(entry)

    def _configured(self, config: Mapping[str, Any]) -> None:
        self._numbers = _numbers(config)
        for name, parameter in (config.get("space") or {}).items():
            for choice in parameter.get("choices", ()):
                self._position(name, choice)

    def _asked(self, entry: Proposed) -> None:
        trial = entry.asked.trial
        self._event(Kind.ASKED, trial.number, entry.asked.at)
        if trial.number in self._row:
            return
        row = self._row[trial.number] = self._used["trials"]
        self._used["trials"] += 1
        self._set("trials/number", row, trial.number)
        self._set("trials/state", row, PENDING)
        self._set("trials/seed", row, trial.seed)
        self._set("trials/asked_at", row, entry.asked.at)
        self._set("trials/x", row, entry.x)
        if entry.asked.n_told is not None:
            self._set("trials/n_told", row, entry.asked.n_told)
        for name, value in trial.params.items():
            number = self._numbers.get(name)
            self._set(f"{PARAMS}{name}", row, number(value) if number else self._position(name, value))
        for name, figure in entry.asked.optimizer.items():
            self._set(f"optimizer/{name}", row, figure)

    def _position(self, name: str, choice: ParamValue) -> int:
        """Of a choice among those of its hyperparameter, to which it is added if it is new."""
        known = self._positions.setdefault(name, {})
        return known.setdefault(_key(choice), len(known))

    def _ended(self, entry: Ended, row: int) -> None:
        outcome = entry.outcome
        self._set("trials/state", row, outcome.state.value)
        self._set("trials/rank", row, entry.rank)
        self._set("trials/ended_at", row, entry.at)
        self._set("trials/seconds", row, entry.seconds)
        for name, value in outcome.objectives.items():
            self._set(f"{OBJECTIVES}{name}", row, value)
        if outcome.n_scored is not None:
            self._set("trials/n_scored", row, outcome.n_scored)
        if outcome.constraints:
            self._set("trials/constraints", row, outcome.constraints)
        for name, value in outcome.metrics.items():
            self._set(f"{METRICS}{name}", row, value)
        if "stopped_at" in outcome.metrics:
            self._set("trials/stopped_at", row, outcome.metrics["stopped_at"])

    def _event(self, kind: Kind, number: int, at: float, rank: int = -1) -> None:
        self._add_row("events", {"kind": kind.value, "number": number, "at": at, "rank": rank})

    def _reported(self, interim: Interim) -> None:
        layers = {f"silent_rate/{layer}": rate for layer, rate in interim.silent_rate.items()}
        layers |= {f"spikes/{layer}": mean for layer, mean in interim.spikes.items()}
        names = ("number", "position", "seconds", "score", "n_scored", "n_planned")
        self._add_row("reports", {name: getattr(interim, name) for name in names} | layers)

    def _add_row(self, group: str, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            if value is not None:
                self._set(f"{group}/{name}", self._used[group], value)
        self._used[group] += 1

    def _open_row(self, number: int) -> int | None:
        row = self._row.get(number)
        if row is None or self._columns["trials/state"][row] not in (PENDING.encode(), RUNNING.encode()):
            return None
        return row

    def _set(self, name: str, row: int, value: object) -> None:
        column = self._columns.get(name)
        if type(value) is float and column is not None and column.dtype == _FLOAT and column.ndim == 1:
            column[row] = value  # nearly all of them
            return
        item = np.asarray(value.encode() if isinstance(value, str) else value)
        if column is None:
            dtype = _FIXED.get(name) or (item.dtype if _keeps_type(name, item.dtype) else _FLOAT)
            column = self._columns[name] = _absent((self._length(name), *item.shape), dtype, self._no_int(name))
        elif item.ndim >= column.ndim or item.size > column[0].size or not _holds(column.dtype, item.dtype):
            column = self._columns[name] = _widened(column, item)
        if column.ndim == 2:
            column[row, : item.size] = item
        else:
            column[row] = item

    def _length(self, name: str) -> int:
        return self._size[_group(name)]

    def _no_int(self, name: str) -> int:
        """What stands for an absent integer: of a choice, as of all but hyperparameters, no position."""
        return NO_INT if name.startswith(PARAMS) and name.removeprefix(PARAMS) in self._numbers else -1

    def _longer(self, name: str, column: Column) -> Column:
        longer = _absent((self._length(name), *column.shape[1:]), column.dtype, self._no_int(name))
        longer[: len(column)] = column
        return longer


def _group(name: str) -> str:
    """The group of columns whose rows one has; the optimizer's are those of the trials."""
    group = name.partition("/")[0]
    return "trials" if group == "optimizer" else group


def _absent(shape: tuple[int, ...], dtype: np.dtype[Any], no_int: int = -1) -> Column:
    fill: Any = {"f": np.nan, "i": no_int}.get(dtype.kind, b"")
    return np.full(shape, fill, dtype)


def _holds(column: np.dtype[Any], item: np.dtype[Any]) -> bool:
    if item.kind in "biu" and column.kind in "if":
        return True
    return column.kind == item.kind and (item.kind != "S" or item.itemsize <= column.itemsize)


def _keeps_type(name: str, item: np.dtype[Any]) -> bool:
    return item.kind == "S" or (item.kind == "i" and name.startswith(PARAMS))


def _widened(column: Column, item: NDArray[Any]) -> Column:
    """The column with room for a longer text, a longer list, a list among numbers, or a float among integers."""
    dtype = column.dtype if _holds(column.dtype, item.dtype) else np.promote_types(column.dtype, item.dtype)
    converted = column.astype(dtype)
    if column.ndim == 1 and item.ndim == 0:
        return converted
    rows = converted.reshape(len(column), -1)
    wider = _absent((len(column), max(rows.shape[1], item.size)), dtype)
    wider[:, : rows.shape[1]] = rows
    return wider


def _numbers(config: Mapping[str, Any]) -> dict[str, Callable[[Any], float]]:
    """For each hyperparameter that is a number, the type of its column."""
    types: dict[str, Callable[[Any], float]] = {"int": int, "float": float}
    return {name: types[p["type"]] for name, p in (config.get("space") or {}).items() if p.get("type") in types}


def _key(choice: ParamValue) -> tuple[type, ParamValue]:
    """What tells choices apart that Python holds for equal: 1, 1.0 and True."""
    return type(choice), choice
