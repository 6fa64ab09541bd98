"""Makes a study's files whole again after a crash, before a run goes on with them. Needs the lock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import journal, recovery
from snnhpo_mpi.record.journal import Journal
from snnhpo_mpi.record.recovery import Finding
from snnhpo_mpi.record.table import Table


@dataclass(frozen=True, slots=True)
class Mended:
    """A study that can be gone on with.

    Attributes:
        table: all of it.
        notices: what was wrong.
        anew: the snapshot must be made from nothing.
    """

    table: Table
    notices: list[str]
    anew: bool


def mend(folder: Path) -> Mended:
    """Cuts a torn last line off the journal and puts back what only the snapshot has.

    Raises:
        RecordError: something is lost for good, or there is nothing; no file was changed.
    """
    notices: list[str] = []

    def tell(finding: Finding) -> None:
        if finding.lost:
            raise RecordError(finding.text)
        notices.append(finding.text)

    base = recovery.load_base(folder)
    path = folder / journal.FILE_NAME
    deque(recovery.entries(folder, base, tell), maxlen=0)  # every line is looked at before anything is changed
    if notices:
        Journal.write_new(path, recovery.entries(folder, base, lambda _: None)).close()
    else:
        notices += _cut_torn_line(path)
    if base.problem:
        notices.append(base.problem)
    if notices or base.table is None:
        table, _ = recovery.build(None, recovery.entries(folder, base, lambda _: None))
        return Mended(table, notices, anew=True)
    table, _, _ = recovery.recover(folder, base)
    return Mended(table, notices, anew=False)


def _cut_torn_line(path: Path) -> list[str]:
    """Cuts the last line if it has no end; says so."""
    last = deque(journal.scan(path), maxlen=1)
    if not last or not last[0].torn:
        return []
    journal.cut(path, last[0].start)
    return [f"the last line of {path.name} was cut by a crash and is removed; nothing acted on it"]
