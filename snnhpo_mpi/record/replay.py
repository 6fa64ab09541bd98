"""Entries of the journal made again from a snapshot, which holds all that they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.record import snapshot
from snnhpo_mpi.record.entries import Entry, Proposed
from snnhpo_mpi.record.table import METRICS, OBJECTIVES, PARAMS, SILENT, SPIKES, Column, Kind, Table
from snnhpo_mpi.trial import Asked, Ended, Interim, Outcome, Repeat, Repeated, Reported, Started, State, Trial


def entry_of(table: Table, n: int, path: Path) -> Entry:
    """Line ``n`` of the journal.

    Args:
        table: the snapshot's.
        n: from 0, the header.
        path: the snapshot's file, where curves and errors are.
    """
    if n == 0:
        return table.header
    event = n - 1
    kind = Kind(table.columns["events/kind"][event].decode())
    number, rank = (int(table.columns[f"events/{name}"][event]) for name in ("number", "rank"))
    at = float(table.columns["events/at"][event])
    match kind:
        case Kind.ASKED:
            return Proposed(_asked(table, number, at), tuple(table.column("trials/x")[table.row[number]].tolist()))
        case Kind.STARTED:
            return Started(number, rank, at)
        case Kind.REPORTED:
            return Reported(_interim(table, number), rank, at)
        case Kind.REPEATED:
            return _repeated(table, number, rank, at)
        case Kind.ENDED:
            return _ended(table, number, rank, at, path)
        case Kind.SESSION:
            return table.sessions[number].began
        case Kind.CLOSED:
            closed = table.sessions[number].closed
            assert closed is not None
            return closed
        case Kind.WORKER:
            return table.workers[number]


def _asked(table: Table, number: int, at: float) -> Asked:
    row = table.row[number]
    names = [name.removeprefix(PARAMS) for name in table.columns if name.startswith(PARAMS)]
    values = {name: table.param(name, row) for name in names}
    params = {name: value for name, value in values.items() if value is not None}
    trial = Trial(number, params, int(table.column("trials/seed")[row]))
    return Asked(trial, at, _present(table, "optimizer/", row), _count(table, "trials/n_told", row))


def _interim(table: Table, row: int) -> Interim:
    score = float(table.column("reports/score")[row])
    return Interim(
        number=int(table.columns["reports/number"][row]),
        position=int(table.columns["reports/position"][row]),
        seconds=float(table.columns["reports/seconds"][row]),
        score=None if np.isnan(score) else score,
        n_scored=_count(table, "reports/n_scored", row),
        silent_rate=_present(table, SILENT, row),
        spikes=_present(table, SPIKES, row),
        n_planned=_count(table, "reports/n_planned", row),
    )


def all_repeated(table: Table) -> Iterator[Repeated]:
    """The repeats in the order of their arrival."""
    for event in np.flatnonzero(table.column("events/kind") == Kind.REPEATED.encode()):
        row, rank, at = (table.columns[f"events/{name}"][event] for name in ("number", "rank", "at"))
        yield _repeated(table, int(row), int(rank), float(at))


def _repeated(table: Table, row: int, rank: int, at: float) -> Repeated:
    return Repeated(_repeat(table, row), rank, at, float(table.columns["repeats/seconds"][row]))


def _repeat(table: Table, row: int) -> Repeat:
    """A row of the repeats; an early record of schema 2 tells of completed ones alone, and not that they are."""
    score, state = float(table.column("repeats/score")[row]), table.column("repeats/state")[row].decode()
    return Repeat(
        number=int(table.columns["repeats/number"][row]),
        seed=int(table.columns["repeats/seed"][row]),
        split=table.columns["repeats/split"][row].decode(),
        score=None if np.isnan(score) else score,
        n_scored=_count(table, "repeats/n_scored", row),
        state=State(state or State.COMPLETED),
        feasible=bool(table.column("repeats/feasible")[row]),
    )


def _ended(table: Table, number: int, rank: int, at: float, path: Path) -> Ended:
    row = table.row[number]
    objectives = _present(table, OBJECTIVES, row)
    constraints = np.atleast_1d(table.column("trials/constraints")[row])
    outcome = Outcome(
        number=number,
        state=State(table.column("trials/state")[row].decode()),
        objectives={name: objectives[name] for name in table.header.objective_names if name in objectives},
        constraints=tuple(constraints[~np.isnan(constraints)].tolist()),
        metrics=_present(table, METRICS, row),
        curves={name: curve.tolist() for name, curve in snapshot.load_curves(path, number).items()},
        error=snapshot.load_errors(path, number).get(number),
        n_scored=_count(table, "trials/n_scored", row),
    )
    return Ended(outcome, rank, at, float(table.column("trials/seconds")[row]))


def _count(table: Table, name: str, row: int) -> int | None:
    n = int(table.column(name)[row])
    return None if n < 0 else n


def _present(table: Table, prefix: str, row: int) -> dict[str, Any]:
    """What a trial has of a group of columns; what was never told (NaN, empty) is left out."""
    present: dict[str, Any] = {}
    for name, column in table.columns.items():
        if name.startswith(prefix):
            value = _without_padding(column, row)
            if value is not None:
                present[name.removeprefix(prefix)] = value
    return present


def _without_padding(column: Column, row: int) -> Any:
    value = column[row]
    if column.ndim == 2:
        kept = value[~np.isnan(value)]
        return kept.tolist() if len(kept) else None
    return None if column.dtype.kind == "f" and np.isnan(value) else value.item()
