"""The trials as a table that the page's own script sorts, filters and shows a part at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnhpo_mpi.analysis import points
from snnhpo_mpi.analysis.metrics import own_metrics
from snnhpo_mpi.analysis.repeats import candidate_of, is_retraining
from snnhpo_mpi.analysis.summary import objective_name, reason
from snnhpo_mpi.plain_text import plain
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report.labels import shortened
from snnhpo_mpi.report.traces import numbers

MOST_ROWS = 1000  # of a longer study: its latest failures and its best
_MOST_FAILURES = 200
_MOST_COLUMNS = 80
_MOST_CHARACTERS = 4000  # of a traceback: its beginning and its end


def table(data: StudyData) -> dict[str, Any]:
    """Columns, each a list of as many cells as there are rows.

    Returns:
        ``columns``: names; ``cells``: a list a column, of numbers, texts or null; ``errors``: row -> text;
        ``left_out``: what the table has not, for people.
    """
    rows = chosen(data)
    columns = _columns(data, rows)
    errors = {int(number): text for number, text in data.errors().items()}
    said = [errors.get(int(number)) for number in data.number[rows]]
    left_out = []
    if len(rows) < data.n_trials:
        n = data.n_trials - len(rows)
        left_out.append(f"{n:,} of {data.n_trials:,} trials, neither among the best nor among the latest failures")
    if len(columns) >= _MOST_COLUMNS:
        left_out.append(f"{len(columns) - _MOST_COLUMNS + 1} columns")
    shown = columns[: _MOST_COLUMNS - 1]
    shown.append(("error", [None if error is None else reason(error) for error in said]))
    return {
        "columns": [name for name, _ in shown],
        "cells": [cells for _, cells in shown],
        "errors": {row: _middle_left_out(plain(error)) for row, error in enumerate(said) if error is not None},
        "left_out": left_out,
    }


def chosen(data: StudyData) -> points.Rows:
    """Rows of the table, in the order of the study: all, or the latest failures and the best of the others."""
    if data.n_trials <= MOST_ROWS:
        return np.arange(data.n_trials)
    failed = np.flatnonzero(np.isin(data.state, ["failed", "lost"]))[-_MOST_FAILURES:]
    score = np.where(data.feasible, np.nan_to_num(data.objective, nan=-np.inf), -np.inf)
    order = np.argsort(-score, kind="stable")
    others = order[~np.isin(order, failed)][: MOST_ROWS - len(failed)]
    return np.sort(np.concatenate([failed, others]))


def _columns(data: StudyData, rows: points.Rows) -> list[tuple[str, list[Any]]]:
    kind = np.full(data.n_trials, "not sent out", dtype=object)
    for name, of_kind in points.by_kind(data):
        kind[of_kind] = name
    columns: list[tuple[str, list[Any]]] = [("trial", data.number[rows].tolist()), ("state", kind[rows].tolist())]
    if is_retraining(data):
        of = candidate_of(data)
        columns.append(("candidate", [of[row] for row in rows]))
    columns.append((objective_name(data), numbers(points.scored(data)[rows])))
    columns += [(name, numbers(data.constraints[rows, j])) for j, name in enumerate(data.constraint_names)]
    columns += [(one.name, numbers(one.values[rows])) for one in own_metrics(data)]
    columns.append(("seconds", numbers(data.seconds[rows], 4)))
    for name, values in data.params.items():
        if name in data.choices:
            columns.append((name, [None if value is None else shortened(value) for value in values[rows]]))
        else:
            columns.append((name, numbers(values[rows], 4)))
    return [(shortened(name), cells) for name, cells in columns]


def _middle_left_out(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n[...]\n{text[-half:]}"
