"""The study record's single writer: what rank 0 holds while a run is going on."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi import codec
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.record import journal, recovery, snapshot
from snnhpo_mpi.record.aside import move_aside
from snnhpo_mpi.record.data import LIVE_FILE, Live, StudyData, assemble
from snnhpo_mpi.record.entries import Closed, Entry, Header, Proposed, Session, WorkerSeen
from snnhpo_mpi.record.identity import check_same_study
from snnhpo_mpi.record.journal import Journal
from snnhpo_mpi.record.lock import Lock
from snnhpo_mpi.record.mending import mend
from snnhpo_mpi.record.recovery import Files
from snnhpo_mpi.record.replay import entry_of
from snnhpo_mpi.record.retraining import Retraining
from snnhpo_mpi.record.saver import Saver
from snnhpo_mpi.record.table import METRICS, Table
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ACCURACY, Asked, Curve, Ended, Event, Outcome, Progress, Repeated, State

FLUSH_EVERY_S = 30.0
LIVE_EVERY_S = 3.0
MAX_METRICS = 500  # names in a study: each is a column with a row a trial, in memory and in the file

log = logging.getLogger(__name__)


class StudyRecord:
    """A study's files, opened for writing by this process alone; used by one thread.

    ``append`` returns when the events are on the disk; only then may anybody act on them. ``maintain`` does the rest
    at its own pace: the snapshot (by a process beside), ``live.json``, the heartbeat of the lock. Of what is recorded
    nothing is kept in memory but the numbers of the trials.

    Attributes:
        folder: of the files.
        notices: what was found and mended on opening, for the user.
    """

    def __init__(
        self, lock: Lock, journal: Journal, table: Table, space: Space, saver: Saver, notices: Sequence[str] = ()
    ) -> None:
        """Use ``create`` or ``open``."""
        self.folder = lock.folder
        self.notices = tuple(notices)
        self._lock = lock
        self._journal = journal
        self._space = space
        self._saver = saver
        self._saving: tuple[int, int] | None = None  # bytes and lines of the journal, of a snapshot that was begun
        self._header = table.header
        states = table.column("trials/state")
        self._asked = set(table.row)
        self._ended = {number for number, row in table.row.items() if states[row].decode() in set(State)}
        self._metrics = {name for name in table.columns if name.startswith(METRICS)}
        self._progress: dict[int, Progress] = {}
        self._newcomers: list[WorkerSeen] = []
        self._live_at = time.monotonic() + LIVE_EVERY_S
        self._news = False

    @staticmethod
    def create(
        folder: Path,
        config_text: str,
        resolved_config: Mapping[str, Any],
        space: Space,
        constraint_names: Sequence[str],
        provenance: Mapping[str, Any],
        *,
        retraining: Retraining | None = None,
        flush_every_s: float = FLUSH_EVERY_S,
    ) -> StudyRecord:
        """Begins a study in a folder, which is made if need be.

        Raises:
            RecordError: the folder holds a study already, is in use, or cannot be written.
        """
        with _told_as_record_error(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with _released_on_error(Lock(folder)) as lock, _told_as_record_error(folder):
            if recovery.exists(folder):
                raise RecordError(
                    f"{folder} holds a study already: go on with it by --resume, or choose another folder"
                )
            now = time.time()
            name, objectives = str(resolved_config["study"]["name"]), resolved_config.get("objectives", (ACCURACY,))
            header = Header(uuid.uuid4().hex, name, tuple(constraint_names), now, objective_names=tuple(objectives))
            notices = _texts(lock.notice)
            path = folder / journal.FILE_NAME
            if path.exists() and path.stat().st_size:  # no study, but somebody's
                notices.append(f"{path} holds no study; it is kept as {move_aside(path).name}")
            lines = Journal.write_new(path, [header])
            saver = Saver(folder, flush_every_s, study_id=header.study_id)
            record = StudyRecord(lock, lines, Table(header), space, saver, notices)
            record._begin(Session(now, config_text, resolved_config, provenance, header, retraining))
            return record

    @staticmethod
    def open(
        folder: Path,
        config_text: str,
        resolved_config: Mapping[str, Any],
        space: Space,
        constraint_names: Sequence[str],
        provenance: Mapping[str, Any],
        *,
        retraining: Retraining | None = None,
        flush_every_s: float = FLUSH_EVERY_S,
        accept_config: bool = False,
        accept_damage: bool = False,
    ) -> StudyRecord:
        """Goes on with a study, after mending what a crash left behind.

        What is damaged or another study's is kept under another name.

        Raises:
            RecordError: no study, another study, a changed configuration, in use, or damaged with loss; the message
                says what can be done.
        """
        if not recovery.exists(folder):
            raise RecordError(f"there is no study in {folder}: begin it without --resume")
        with _released_on_error(Lock(folder)) as lock, _told_as_record_error(folder):
            mended = mend(folder, accept_damage=accept_damage)
            change = check_same_study(
                folder, mended.table, resolved_config, tuple(constraint_names), retraining, accept_config=accept_config
            )
            lines = Journal(folder / journal.FILE_NAME, mended.table.n_events + 1)
            notices = [*_texts(lock.notice), *mended.notices, *_texts(change)]
            if mended.unusable:
                notices.append(f"{snapshot.FILE_NAME} is kept as {move_aside(folder / snapshot.FILE_NAME).name}")
            header = mended.table.header
            saver = Saver(folder, flush_every_s, anew=mended.anew, study_id=header.study_id)
            record = StudyRecord(lock, lines, mended.table, space, saver, notices)
            record._begin(Session(time.time(), config_text, resolved_config, provenance, header, retraining))
            return record

    def _begin(self, session: Session) -> None:
        self._write([session])
        self._save()

    def _save(self) -> None:
        """Begins a snapshot of what the journal has now."""
        self._keep_whole()
        self._saving = (self._journal.n_bytes, self._journal.n_lines)
        self._saver.start(self._journal.n_bytes)

    def append(self, *events: Event) -> None:
        """Records events, all with one write; returns when they are on the disk.

        Raises:
            RecordError: nothing of this call is recorded, because the disk is full or gone, another process has taken
                the study over, or an event contradicts the record (a number asked twice, an end of a trial not out).
        """
        entries: list[Entry] = []
        for event in events:
            match event:
                case Asked():
                    self._expect(event.trial.number not in self._asked, event.trial.number, "asked twice")
                    self._asked.add(event.trial.number)
                    x = self._space.encode(event.trial.params)
                    entries.append(Proposed(event, tuple(x.tolist())))
                case Ended():
                    number = event.outcome.number
                    self._expect(number in self._asked and number not in self._ended, number, "ended, but is not out")
                    self._ended.add(number)
                    entries.append(replace(event, outcome=self._bounded(_usable(event.outcome))))
                case Repeated():
                    number = event.repeat.number
                    self._expect(number in self._asked, number, "repeated, but never asked")
                    entries.append(event)
                case _:
                    entries.append(event)
        self._write(entries)

    def _bounded(self, outcome: Outcome) -> Outcome:
        """The outcome without metrics under ever new names, their number noted as ``metrics_cut``."""
        known = {f"{METRICS}{name}": name for name in outcome.metrics}
        room = max(0, MAX_METRICS - len(self._metrics))
        refused = {known[key] for key in [key for key in known if key not in self._metrics][room:]}
        self._metrics.update(key for key, name in known.items() if name not in refused)
        if not refused:
            return outcome
        metrics = {name: value for name, value in outcome.metrics.items() if name not in refused}
        metrics["metrics_cut"] = len(refused) + metrics.get("metrics_cut", 0.0)
        return replace(outcome, metrics=metrics)

    def worker(self, rank: int, host: str, device: str) -> None:
        """Records where a worker is, with the next write: hundreds come at once."""
        self._newcomers.append(WorkerSeen(rank, host, device, time.time()))

    def progress(self, rank: int, progress: Progress) -> None:
        """Takes the news of a running trial, for whoever watches; kept in memory until ``maintain``."""
        self._progress[rank] = progress
        self._news = True

    def maintain(self) -> None:
        """Does what is due; to be called in every turn of the loop.

        Raises:
            RecordError: another process has taken the study over.
        """
        self._lock.renew()
        if self._newcomers:
            self._write([])
        if self._news and time.monotonic() >= self._live_at:
            self._write_live()
        if self._saver.due():
            self._save()
        if self._saving is not None and self._saver.saved_bytes == self._saving[0]:
            self._journal.forget(self._saving[1])
            self._saving = None

    def read(self) -> StudyData:
        """The study as recorded up to now."""
        self._keep_whole()
        files = Files.of(self.folder)
        table, extras, findings = recovery.recover(files, recovery.load_base(files))
        return assemble(files, table, extras, findings, live=True)

    def close(self, state: str) -> None:
        """Ends the session in a state such as ``complete`` or ``interrupted``: last snapshot, lock given back.

        Raises:
            RecordError: not all that was recorded is in the files, because somebody changed them; the message says what
                is lost.
        """
        try:
            if not self._lock.lost:
                self._write([Closed(state, time.time())])
                if not self._journal.is_whole():
                    self._restore(self._journal.change() or "was changed")
                self._saver.save(self._journal.n_bytes)
                self._keep_whole()
        finally:
            self._saver.stop()
            self._journal.close()
            self._lock.release()

    def _keep_whole(self) -> None:
        """Puts the journal back if somebody replaced, cut or deleted it.

        Raises:
            RecordError: another process has taken the study over, or something is lost.
        """
        if change := self._journal.change():
            self._restore(change)

    def _restore(self, change: str) -> None:
        self._lock.renew(every_s=0.0)  # was it a run that has taken the study over?
        path, n_lines = self._journal.path, self._journal.n_lines
        base = recovery.load_base(Files(self.folder, None, self.folder / snapshot.FILE_NAME))

        def missing(n: int) -> Entry:
            if n == 0:
                return self._header
            table = base.table
            if table is None or n >= base.n_lines or table.header.study_id != self._header.study_id:
                raise RecordError(
                    f"{path} {change} while this run writes it, and its line {n + 1} is in no other file: it is lost. "
                    f"What there is stays as it is; put a copy of {path.name} back if you have one"
                )
            return entry_of(table, n, self.folder / snapshot.FILE_NAME)

        try:
            kept = self._journal.restore(missing)
        except FileNotFoundError as error:
            self._lock.lost = True
            raise RecordError(f"{self.folder} is gone: somebody deleted or moved it, and this run ends") from error
        except OSError as error:
            raise RecordError(f"{path} {change} while this run writes it, and cannot be put back: {error}") from error
        copy = f"; what stood there is kept as {kept.name}" if kept else ""
        log.warning("%s %s while this run writes it: all its %d lines are put back%s", path, change, n_lines, copy)

    def _write(self, entries: Sequence[Entry]) -> None:
        self._lock.renew()  # whoever was stopped for minutes looks first whether the study is still his
        self._keep_whole()
        entries = [*self._newcomers, *entries]
        self._journal.append(entries)
        self._newcomers = []
        for entry in entries:
            if isinstance(entry, Ended):
                self._progress.pop(entry.rank, None)

    def _write_live(self) -> None:
        began = time.monotonic()
        self._news = False
        try:
            with atomic_write(self.folder / LIVE_FILE) as new:  # of this moment only, so not durable
                new.write_bytes(codec.write(Live(at=time.time(), progress=self._progress)))
        except OSError as error:
            log.warning("%s was not renewed: %s", LIVE_FILE, error)
        ended = time.monotonic()  # the loop waits meanwhile: for a hundredth of its time at most
        self._live_at = ended + max(LIVE_EVERY_S, 100.0 * (ended - began))

    @staticmethod
    def _expect(condition: bool, number: int, what: str) -> None:
        if not condition:
            raise RecordError(f"trial {number} was {what}: the record is not changed")


def _usable(outcome: Outcome) -> Outcome:
    """The outcome without what no column can hold: an evaluation may return anything, the record must stay readable."""
    metrics: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    for name, value in outcome.metrics.items():
        try:
            metrics[name or "unnamed"] = float(value)
        except (TypeError, ValueError, OverflowError):
            log.warning("trial %d: metric %s is no number and is not recorded", outcome.number, name)
    for name, curve in outcome.curves.items():
        try:
            if np.asarray(curve, np.float64).ndim not in (1, 2):
                raise ValueError(name)
            curves[name or "unnamed"] = curve
        except (TypeError, ValueError):
            log.warning("trial %d: curve %s is no table of numbers and is not recorded", outcome.number, name)
    return replace(outcome, metrics=metrics, curves=curves)


def _texts(*texts: str | None) -> list[str]:
    return [text for text in texts if text]


@contextmanager
def _released_on_error(lock: Lock) -> Iterator[Lock]:
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


@contextmanager
def _told_as_record_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(f"cannot write to {folder}: {error.strerror or error}") from error
