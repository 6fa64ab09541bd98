"""Joins snapshot and journal, and makes the best of them when one is missing or damaged. Changes no file.

The snapshot holds the first part of the journal in its order, so damage to lines that it covers is no loss; damage to
later lines is. Lines that are simply absent were taken out on purpose, which is how a user accepts a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import journal, snapshot
from snnhpo_mpi.record.entries import SCHEMA, Entry, Header
from snnhpo_mpi.record.journal import Line
from snnhpo_mpi.record.replay import entry_of
from snnhpo_mpi.record.table import Extras, Table, extend
from snnhpo_mpi.trial import Ended

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Base:
    """The snapshot as a base for what the journal adds.

    Attributes:
        table: None if there is no snapshot that can be used.
        n_bytes: of the journal are in it.
        problem: why it cannot be used, if it is there.
    """

    table: Table | None = None
    n_bytes: int = 0
    problem: str | None = None

    @property
    def n_lines(self) -> int:
        """Lines of the journal that are in it, the header among them."""
        return self.table.n_events + 1 if self.table else 0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the journal; ``lost`` if the snapshot does not make up for it."""

    text: str
    lost: bool = False


def exists(folder: Path) -> bool:
    """Whether anything of a study was recorded in a folder."""
    path = folder / journal.FILE_NAME
    if (folder / snapshot.FILE_NAME).exists():
        return True
    return path.exists() and any(not line.torn for line in islice(journal.scan(path), 1))


def load_base(folder: Path) -> Base:
    """The snapshot of a folder, if it can be read and belongs to the journal beside it."""
    try:
        table, n_bytes = snapshot.load(folder / snapshot.FILE_NAME)
    except FileNotFoundError:
        return Base()
    except RecordError as error:
        return Base(problem=f"{error}; its content is taken from the journal")
    header = _journal_header(folder / journal.FILE_NAME)
    if header is not None and header.study_id != table.header.study_id:
        return Base(
            problem=f"{folder / snapshot.FILE_NAME} belongs to another study ({table.header.name}) and is not used"
        )
    return Base(table, n_bytes)


def recover(folder: Path, base: Base, n_bytes: int | None = None) -> tuple[Table, Extras, list[str]]:
    """Everything of a study that can be read: table, curves and errors that the snapshot has not, notices.

    Damaged lines are left out with a notice, since a reader is served with the rest.

    Args:
        folder: of the study.
        base: its snapshot.
        n_bytes: of the journal that count, else all.

    Raises:
        RecordError: there is no study, or neither file can be read.
    """
    notices = [base.problem] if base.problem else []
    path = folder / journal.FILE_NAME
    if base.table is not None and _goes_on_at(path, base, n_bytes):
        lines = journal.scan(path, base.n_bytes, n_bytes)
        news: Iterable[Entry] = (line.entry() for line in lines if line.n is not None)
        return *build(base.table, news), notices
    if base.table is None:
        return *build(None, entries(folder, base, lambda finding: notices.append(finding.text), n_bytes)), notices
    newer = islice(entries(folder, base, lambda finding: notices.append(finding.text), n_bytes), base.n_lines, None)
    return *build(base.table, newer), notices


def build(table: Table | None, entries: Iterable[Entry]) -> tuple[Table, Extras]:
    """A table extended by entries (from nothing: the header comes first), and the curves and errors among them.

    Raises:
        RecordError: from nothing, and the header is not there.
    """
    rest = iter(entries)
    if table is None:
        header = next(rest, None)
        if not isinstance(header, Header):
            raise RecordError("the journal's first line, which names the study, is lost, and there is no study.h5")
        table = Table(header)
    extras = Extras()
    while batch := list(islice(rest, _BATCH)):
        table = extend(table, batch)
        for entry in batch:
            if isinstance(entry, Ended):
                _collect(extras, entry)
    return table, extras


def _collect(extras: Extras, ended: Ended) -> None:
    """Adds what an outcome has of curves and error text, unless the trial has ended before."""
    outcome = ended.outcome
    if outcome.curves and outcome.number not in extras.curves:
        arrays = {name: np.asarray(curve, np.float64) for name, curve in outcome.curves.items()}
        extras.curves[outcome.number] = arrays  # type: ignore[assignment]  # an array is as good as a sequence here
    if outcome.error and outcome.number not in extras.errors:
        extras.errors[outcome.number] = outcome.error


def entries(folder: Path, base: Base, tell: Callable[[Finding], Any], n_bytes: int | None = None) -> Iterator[Entry]:
    """All entries of a study in their order, one at a time, damaged lines of the journal replaced from the snapshot.

    Args:
        folder: of the study.
        base: its snapshot.
        tell: called with everything that is wrong; may raise.
        n_bytes: of the journal that count, else all.
    """
    path = folder / journal.FILE_NAME
    due = 0  # number of the line that comes next
    damaged: list[int] = []  # positions of damaged lines since the last whole one, from 1
    if not path.exists():
        if base.table is None:
            raise RecordError(base.problem or f"there is no study in {folder}")
        tell(Finding(f"{path} is missing; its content is taken from {snapshot.FILE_NAME}"))
        yield from (entry_of(base.table, n, folder / snapshot.FILE_NAME) for n in range(base.n_lines))
        return
    for position, line in enumerate(journal.scan(path, 0, n_bytes), start=1):
        if line.torn:
            break
        if line.n is None:
            damaged.append(position)
        elif line.n >= due:
            if line.n > due or damaged:
                yield from _make_up(folder, base, due, line.n, damaged, tell)
            damaged = []
            yield _known(line)
            due = line.n + 1
    behind = max(base.n_lines, due + len(damaged))
    if behind > due:
        yield from _make_up(folder, base, due, behind, damaged, tell)


def _make_up(
    folder: Path, base: Base, start: int, stop: int, damaged: list[int], tell: Callable[[Finding], Any]
) -> Iterator[Entry]:
    """Lines ``start`` .. ``stop - 1`` of the journal are damaged or absent: those of them that the snapshot has."""
    where = f"line {', '.join(map(str, damaged))}" if damaged else f"after line {start}"
    if stop <= base.n_lines:
        tell(Finding(f"{journal.FILE_NAME} is damaged ({where}); replaced from {snapshot.FILE_NAME}, nothing is lost"))
    elif damaged:
        script = ";".join(f"{position}d" for position in damaged)
        tell(
            Finding(
                f"{folder / journal.FILE_NAME} is damaged ({where}) and {snapshot.FILE_NAME} does not go so far; "
                "all other lines are whole. To go on without what is lost (a trial whose end it was is evaluated "
                f"again), delete the damaged lines: sed -i '{script}' {folder / journal.FILE_NAME}",
                lost=True,
            )
        )
    else:
        tell(Finding(f"{journal.FILE_NAME}: {stop - max(start, base.n_lines)} lines were taken out {where}"))
    if base.table is not None:
        for n in range(start, min(stop, base.n_lines)):
            yield entry_of(base.table, n, folder / snapshot.FILE_NAME)


def _known(line: Line) -> Entry:
    entry = line.entry()
    if isinstance(entry, Header) and entry.schema != SCHEMA:
        raise RecordError(f"{journal.FILE_NAME} has schema {entry.schema}; this version of the program reads {SCHEMA}")
    return entry


def _journal_header(path: Path) -> Header | None:
    try:
        first = next(journal.scan(path), None)
        entry = first.entry() if first is not None and first.n == 0 else None
    except (OSError, RecordError):
        return None
    return entry if isinstance(entry, Header) else None


def _goes_on_at(path: Path, base: Base, n_bytes: int | None) -> bool:
    """Whether the journal's bytes behind the snapshot are just the lines behind it, all whole."""
    if not path.exists() or path.stat().st_size < base.n_bytes:
        return False
    due = base.n_lines
    for line in journal.scan(path, base.n_bytes, n_bytes):
        if line.torn:
            return True
        if line.n != due:
            return False
        due += 1
    return True
