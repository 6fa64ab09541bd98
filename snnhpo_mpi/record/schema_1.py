"""Reads a ``study.h5`` of schema 1 as if it were of the present one.

Its one objective had no name, its kinds of events were numbers, and what a proposal had been told lay among the
optimizer's diagnostics. Choices were kept as text. Two of them may have the same text (``1`` and ``"1"``), and an empty
text was kept as a blank. The encoding ``x`` of a trial, which is in the same file, tells them apart: it is 1 in the
column of the choice that was evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from snnhpo_mpi.record.table import OBJECTIVES, PARAMS, Column
from snnhpo_mpi.trial import ACCURACY, ParamValue

Choices = tuple[ParamValue, ...]
_KINDS = ("asked", "started", "ended", "session", "closed", "worker")  # as numbered


def upgraded(columns: Mapping[str, Column], config: Mapping[str, Any]) -> tuple[dict[str, Column], dict[str, Choices]]:
    """The columns as the present schema has them, and the choices that those of categoricals count.

    Args:
        columns: as the file has them.
        config: of the latest session; the search space is the same in all.
    """
    upgraded, choices = _numbered(columns, config)
    if "trials/objective" in upgraded:
        upgraded[f"{OBJECTIVES}{ACCURACY}"] = upgraded.pop("trials/objective")
    if "optimizer/n_told" in upgraded:
        upgraded["trials/n_told"] = np.nan_to_num(upgraded.pop("optimizer/n_told"), nan=-1).astype(np.int64)
    if "events/kind" in upgraded:
        upgraded["events/kind"] = np.array(_KINDS, "S8")[upgraded["events/kind"]]
    return upgraded, choices


def _numbered(columns: Mapping[str, Column], config: Mapping[str, Any]) -> tuple[dict[str, Column], dict[str, Choices]]:
    """The columns with positions of choices in the place of their texts, and the choices that these count."""
    numbered, choices = dict(columns), {}
    blocks = dict(_blocks(config))
    for name, column in columns.items():
        if name.startswith(PARAMS) and column.dtype.kind == "S":
            parameter = name.removeprefix(PARAMS)
            known, block = blocks.get(parameter, ((), slice(0)))
            texts = [text.decode("utf-8", "replace") for text in column.tolist()]
            positions, choices[parameter] = _positions(texts, known, columns["trials/x"][:, block])
            numbered[name] = np.array(positions, np.int64)
    return numbered, choices


def _blocks(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Choices, slice]]]:
    """The choices of each categorical and its columns of ``x``."""
    start = 0
    for name, parameter in (config.get("space") or {}).items():
        choices = tuple(parameter.get("choices", ()))
        width = max(len(choices), 1)
        yield name, (choices, slice(start, start + width))
        start += width


def _positions(texts: Sequence[str], known: Choices, x: Column) -> tuple[list[int], Choices]:
    """The position of each trial's choice; a text that belongs to no choice is added as one.

    Args:
        texts: n, as recorded.
        known: the configuration's choices.
        x: ``n x k``, the encoding, one column a choice.
    """
    choices = list(known)
    positions = []
    for text, row in zip(texts, x, strict=True):
        if (row == 1.0).sum() == 1:
            positions.append(int(np.argmax(row)))
            continue
        if text not in map(str, choices):
            choices.append(text)
        positions.append(list(map(str, choices)).index(text))
    return positions, tuple(choices)
