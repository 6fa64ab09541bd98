"""Makes a study's files whole again after a crash, before a run goes on with them. Needs the lock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import journal, recovery
from snnhpo_mpi.record.aside import copy_aside
from snnhpo_mpi.record.journal import Journal
from snnhpo_mpi.record.recovery import Files, Finding
from snnhpo_mpi.record.table import Table


@dataclass(frozen=True, slots=True)
class Mended:
    """A study that can be gone on with.

    Attributes:
        table: all of it.
        notices: what was wrong.
        anew: the snapshot must be made from nothing.
        unusable: there is a snapshot, and it is damaged or another study's: it must not be overwritten.
    """

    table: Table
    notices: list[str]
    anew: bool
    unusable: bool


def mend(folder: Path, *, accept_damage: bool = False) -> Mended:
    """Cuts a torn last line off the journal and puts back what only the snapshot has.

    Args:
        folder: of the study.
        accept_damage: go on without what is lost for good.

    Raises:
        RecordError: something is lost for good, or there is nothing; no file was changed.
    """
    files, findings = Files.of(folder), list[Finding]()
    base = recovery.load_base(files)
    path = folder / journal.FILE_NAME
    deque(recovery.entries(files, base, findings.append), maxlen=0)  # every line is looked at before any is changed
    losses = [finding for finding in findings if finding.lost]
    if losses and not accept_damage:
        raise RecordError("\n".join(f"{loss.text}; {loss.remedy}" for loss in losses))
    notices = [finding.text for finding in [*base.findings(), *findings]]
    notices += _rewritten(path, files, base) if findings else _cut_torn_line(path)
    if notices or base.table is None:
        table, _ = recovery.build(None, recovery.entries(files, base, lambda _: None))
    else:
        table, _, _ = recovery.recover(files, base)
    return Mended(table, notices, anew=bool(notices) or base.table is None, unusable=base.problem is not None)


def _rewritten(path: Path, files: Files, base: recovery.Base) -> list[str]:
    """Writes the journal again from all that there is; says where a damaged one is kept."""
    damaged = path.exists() and any(line.n is None for line in journal.scan(path))
    kept = [f"the damaged {path.name} is kept as {copy_aside(path).name}"] if damaged else []
    Journal.write_new(path, recovery.entries(files, base, lambda _: None)).close()
    return kept


def _cut_torn_line(path: Path) -> list[str]:
    """Cuts the last line if it has no end; says so."""
    last = deque(journal.scan(path), maxlen=1)
    if not last or not last[0].torn:
        return []
    journal.cut(path, last[0].start)
    return [f"the last line of {path.name} was cut by a crash and is removed; nothing acted on it"]
