"""Entries of the journal made again from a snapshot, which holds all that they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.record import snapshot
from snnhpo_mpi.record.entries import Entry, Proposed
from snnhpo_mpi.record.table import PARAMS, Column, Kind, Table
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial


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
    kind = Kind(int(table.columns["events/kind"][event]))
    number, rank = (int(table.columns[f"events/{name}"][event]) for name in ("number", "rank"))
    at = float(table.columns["events/at"][event])
    match kind:
        case Kind.ASKED:
            return Proposed(_asked(table, number, at), tuple(table.column("trials/x")[table.row[number]].tolist()))
        case Kind.STARTED:
            return Started(number, rank, at)
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
    return Asked(trial, at, _present(table, "optimizer/", row))


def _ended(table: Table, number: int, rank: int, at: float, path: Path) -> Ended:
    row = table.row[number]
    objective = float(table.column("trials/objective")[row])
    constraints = np.atleast_1d(table.column("trials/constraints")[row])
    outcome = Outcome(
        number=number,
        state=State(table.column("trials/state")[row].decode()),
        objective=None if np.isnan(objective) else objective,
        constraints=tuple(constraints[~np.isnan(constraints)].tolist()),
        metrics=_present(table, "trials/metrics/", row),
        curves={name: curve.tolist() for name, curve in snapshot.load_curves(path, number).items()},
        error=snapshot.load_errors(path, number).get(number),
    )
    return Ended(outcome, rank, at, float(table.column("trials/seconds")[row]))


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
