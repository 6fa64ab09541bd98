"""Joins snapshot and journal, and makes the best of them when one is missing or damaged. Changes no file.

The snapshot holds the first part of the journal in its order, so damage to lines that it covers is no loss; damage to
later lines is. Lines that are simply absent were taken out on purpose, which is how a user accepts a loss.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.errors import RecordError, refusal
from snnhpo_mpi.record import journal, snapshot
from snnhpo_mpi.record.entries import SCHEMA, Entry, Header, Session
from snnhpo_mpi.record.journal import Line
from snnhpo_mpi.record.replay import entry_of
from snnhpo_mpi.record.table import Extras, Table, extend
from snnhpo_mpi.trial import Ended

_BATCH = 1000
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_JOURNAL_BEGINS = b'{"n":'


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a study is read from; None for one that does not count."""

    folder: Path
    journal: Path | None
    snapshot: Path | None

    @staticmethod
    def of(folder: Path) -> Files:
        """Both files of a study's folder."""
        return Files(folder, folder / journal.FILE_NAME, folder / snapshot.FILE_NAME)

    @staticmethod
    def named(path: Path) -> Files:
        """What a user means by a path: a study's folder, or one file alone, such as a copy that was kept.

        Raises:
            RecordError: there is no such file, or it belongs to no study.
        """
        if path.is_dir():
            return Files.of(path)
        if not path.exists():
            raise RecordError(f"there is no study in {path}: no such folder or file")
        if path.name in (journal.FILE_NAME, snapshot.FILE_NAME):
            return Files.of(path.parent)
        with path.open("rb") as file:
            begin = file.read(len(_HDF5_SIGNATURE))
        if begin == _HDF5_SIGNATURE or path.suffix == ".h5":
            return Files(path.parent, None, path)
        if begin.startswith(_JOURNAL_BEGINS) or path.suffix == ".jsonl":
            return Files(path.parent, path, None)
        raise RecordError(
            f"{path} is no study: name its results folder, its {snapshot.FILE_NAME} or its {journal.FILE_NAME}"
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the files.

    Attributes:
        text: for the user.
        lost: no file makes up for it.
        remedy: how to go on without what is lost; only while no run writes the study.
    """

    text: str
    lost: bool = False
    remedy: str = ""


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

    def findings(self) -> list[Finding]:
        """What is wrong with it, where there is a journal to read instead."""
        return [Finding(f"{self.problem}; the study is read from {journal.FILE_NAME}")] if self.problem else []


Tell = Callable[[Finding], Any]


def exists(folder: Path) -> bool:
    """Whether anything of a study was recorded in a folder.

    Raises:
        RecordError: the folder cannot be read.
    """
    path = folder / journal.FILE_NAME
    try:
        if (folder / snapshot.FILE_NAME).exists():
            return True
        return path.exists() and any(not line.torn for line in islice(journal.scan(path), 1))
    except OSError as error:
        raise RecordError(refusal(error, folder)) from error


def load_base(files: Files) -> Base:
    """The snapshot, if it can be read and belongs to the journal beside it."""
    if files.snapshot is None:
        return Base()
    try:
        table, n_bytes = snapshot.load(files.snapshot)
    except FileNotFoundError:
        return Base()
    except RecordError as error:
        return Base(problem=str(error))
    header = journal_header(files.journal) if files.journal else None
    if header is not None and header.study_id != table.header.study_id:
        name = f"{table.header.name}, {table.n_trials} trials"
        return Base(problem=f"{files.snapshot} belongs to another study than {journal.FILE_NAME} ({name})")
    return Base(table, n_bytes)


def recover(files: Files, base: Base, n_bytes: int | None = None) -> tuple[Table, Extras, list[Finding]]:
    """Everything of a study that can be read: table, curves and errors that the snapshot has not, what was wrong.

    Damaged lines are left out with a finding, since a reader is served with the rest.

    Args:
        files: of the study.
        base: its snapshot.
        n_bytes: of the journal that count, else all.

    Raises:
        RecordError: there is no study, or neither file can be read.
    """
    findings = base.findings()
    if files.journal is not None and base.table is not None and goes_on_at(files.journal, base, n_bytes):
        lines = journal.scan(files.journal, base.n_bytes, n_bytes)
        return *build(base.table, (line.entry() for line in lines if line.n is not None)), findings
    news = entries(files, base, findings.append, n_bytes)
    return *build(base.table, islice(news, base.n_lines, None)), findings


def build(table: Table | None, entries: Iterable[Entry]) -> tuple[Table, Extras]:
    """A table extended by entries (from nothing: the header comes first), and the curves and errors among them.

    Raises:
        RecordError: from nothing, and the header is not there.
    """
    rest = iter(entries)
    if table is None:
        header = next(rest, None)
        if not isinstance(header, Header):
            raise RecordError("the first line of the journal, which names the study, is lost")
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


def entries(files: Files, base: Base, tell: Tell, n_bytes: int | None = None) -> Iterator[Entry]:
    """All entries of a study in their order, one at a time, damaged lines of the journal replaced from the snapshot.

    Args:
        files: of the study.
        base: its snapshot.
        tell: called with everything that is wrong; may raise.
        n_bytes: of the journal that count, else all.

    Raises:
        RecordError: there is no study, or neither file can be read.
    """
    path = files.journal
    if path is None or not path.exists():
        yield from _without_journal(files, base, tell)
        return
    due = 0  # number of the line that comes next
    damaged: list[int] = []  # positions of damaged lines since the last whole one, from 1
    if base.table is None and journal_header(path, first_only=True) is None:
        yield _rebuilt_header(path, base, tell)
        due = 1
    for position, line in enumerate(journal.scan(path, 0, n_bytes), start=1):
        if line.torn:
            break
        if line.n is None:
            damaged += [position] if position > 1 or due == 0 else []
        elif line.n >= due:
            if line.n > due or damaged:
                yield from _make_up(files, base, due, line.n, damaged, tell)
            damaged = []
            yield _known(line)
            due = line.n + 1
        else:
            tell(Finding(f"{path.name}: line {position} stands there for a second time and is left out"))
    behind = max(base.n_lines, due + len(damaged))
    if behind > due:
        yield from _make_up(files, base, due, behind, damaged, tell)


def _without_journal(files: Files, base: Base, tell: Tell) -> Iterator[Entry]:
    if base.table is None or files.snapshot is None:
        raise RecordError(base.problem or f"there is no study in {files.folder}")
    if files.journal is not None:
        tell(Finding(f"{files.journal} is missing; its content is taken from {snapshot.FILE_NAME}"))
    yield from (entry_of(base.table, n, files.snapshot) for n in range(base.n_lines))


def _rebuilt_header(path: Path, base: Base, tell: Tell) -> Header:
    """The header, whose line is damaged, from the line of a session, which says the same."""
    session = _first_session(path)
    if session is None:
        raise RecordError(
            f"the first line of {path}, which names the study, is lost, and with it every line that says the same; "
            + (base.problem or f"there is no {snapshot.FILE_NAME}")
        )
    tell(Finding(f"the first line of {path.name} is damaged; it is rebuilt from a later one, nothing is lost"))
    return session.study or _header_of_schema_1(session)


def _first_session(path: Path) -> Session | None:
    whole = (line.entry() for line in journal.scan(path) if line.n is not None)
    return next((entry for entry in whole if isinstance(entry, Session)), None)


def _header_of_schema_1(session: Session) -> Header:
    """The header as it follows from a session's configuration; constraints as ``StudyConfig`` names them."""
    config = session.config
    if config["trainer"]["name"] == "python":
        names = list(config["trainer"]["constraints"])
    else:
        names = [f"silent_{monitor['layer']}" for monitor in config["stopping"]]
        names += [f"saturated_{monitor['layer']}" for monitor in config.get("saturation") or ()]
        names += ["at_chance"] if config.get("chance") else []
    name = config["study"]["name"]
    study_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {session.at}").hex  # the same whenever it is rebuilt
    return Header(study_id, name, tuple(names), session.at, schema=1)


def _make_up(files: Files, base: Base, start: int, stop: int, damaged: list[int], tell: Tell) -> Iterator[Entry]:
    """Lines ``start`` .. ``stop - 1`` of the journal are damaged or absent: those of them that the snapshot has."""
    assert files.journal is not None
    where = f"line {', '.join(map(str, damaged))}" if damaged else f"after line {start}"
    if stop <= base.n_lines:
        tell(Finding(f"{journal.FILE_NAME} is damaged ({where}); replaced from {snapshot.FILE_NAME}, nothing is lost"))
    elif damaged:
        tell(_loss(files.journal, where, damaged))
    else:
        tell(Finding(f"{journal.FILE_NAME}: {stop - max(start, base.n_lines)} lines were taken out {where}"))
    if base.table is not None and files.snapshot is not None:
        for n in range(start, min(stop, base.n_lines)):
            yield entry_of(base.table, n, files.snapshot)


def _loss(path: Path, where: str, damaged: list[int]) -> Finding:
    script = ";".join(f"{position}d" for position in damaged)
    return Finding(
        f"{path} is damaged ({where}) and {snapshot.FILE_NAME} does not go so far; all other lines are whole",
        lost=True,
        remedy="to go on without what is lost (a trial whose end it was is evaluated again), resume with "
        f"--accept-damage or, while no run writes this study, delete the damaged lines: sed -i '{script}' {path}",
    )


def _known(line: Line) -> Entry:
    entry = line.entry()
    if isinstance(entry, Header) and entry.schema > SCHEMA:
        raise RecordError(
            f"{journal.FILE_NAME} has schema {entry.schema}; this version of the program reads up to {SCHEMA}"
        )
    return entry


def journal_header(path: Path, *, first_only: bool = False) -> Header | None:
    """The header by its own line or, if that is damaged and not ``first_only``, by the line of a session."""
    try:
        first = next(journal.scan(path), None)
        entry = first.entry() if first is not None and first.n == 0 else None
        if entry is None and not first_only:
            session = _first_session(path)
            entry = session.study if session else None
    except (OSError, RecordError):
        return None
    return entry if isinstance(entry, Header) else None


def goes_on_at(path: Path, base: Base, n_bytes: int | None = None) -> bool:
    """Whether the journal's bytes behind the snapshot are just the lines behind it, all whole, up to ``n_bytes``."""
    if not path.exists() or path.stat().st_size < base.n_bytes:
        return False
    due, end = base.n_lines, base.n_bytes
    for line in journal.scan(path, base.n_bytes, n_bytes):
        if line.torn:
            return n_bytes is None
        if line.n != due:
            return False
        due, end = due + 1, line.end
    return n_bytes is None or end == n_bytes
