"""Renews the snapshot now and then, beside the caller: a dispatch never waits for it."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import recovery, snapshot
from snnhpo_mpi.record.table import Extras, Table

_MAX_SHARE = 0.1  # of the time spent saving, also on a slow file system

log = logging.getLogger(__name__)


class Saver:
    """Saves one snapshot at a time in a thread of its own; used by one thread."""

    def __init__(self, folder: Path, every_s: float) -> None:
        """Saves ``study.h5`` of a folder no more often than every so many seconds."""
        self._folder = folder
        self._path = folder / snapshot.FILE_NAME
        self._every_s = every_s
        self._pause_s = every_s
        self._last = time.monotonic()
        self._thread: threading.Thread | None = None
        self._unsaved = Extras()  # curves and errors that the snapshot has not
        self._saved_rows = -1
        self.failed = False

    @property
    def due(self) -> bool:
        """Whether it is time for the next snapshot, and none is being saved."""
        if self._thread is not None and self._thread.is_alive():
            return False
        return time.monotonic() - self._last >= self._pause_s

    def start(self, table: Table, new: Extras, journal_bytes: int, *, anew: bool = False) -> None:
        """Begins a snapshot; the one before must be done.

        Args:
            table: the whole study.
            new: curves and errors since the last call.
            journal_bytes: length of the journal that ``table`` goes up to.
            anew: do not build on the file that is there.
        """
        self.wait()
        self._unsaved.curves.update(new.curves)
        self._unsaved.errors.update(new.errors)
        self._last = time.monotonic()
        if table.n_events == self._saved_rows and self._path.exists():
            return
        extras = Extras(dict(self._unsaved.curves), dict(self._unsaved.errors))
        self._thread = threading.Thread(
            target=self._save, args=(table, extras, journal_bytes, anew), name="snapshot", daemon=False
        )
        self._thread.start()

    def wait(self) -> None:
        """Returns when no snapshot is being saved."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def unsaved(self) -> Extras:
        """Curves and errors that are surely not in the snapshot yet, or maybe."""
        return Extras(dict(self._unsaved.curves), dict(self._unsaved.errors))

    def _save(self, table: Table, extras: Extras, journal_bytes: int, anew: bool) -> None:
        began = time.monotonic()
        try:
            if not anew and not self._path.exists():  # somebody deleted it
                anew = True
                entries = recovery.entries(self._folder, recovery.Base(), lambda finding: log.warning(finding.text))
                table, extras = recovery.build(None, entries)
            snapshot.save(self._path, table, extras, journal_bytes, anew=anew)
        except (OSError, RecordError) as error:
            self.failed = True
            log.warning("%s; the journal has everything, the next snapshot is tried later", error)
            return
        except Exception:
            self.failed = True
            log.exception("%s was not renewed; the journal has everything", self._path)
            return
        finally:
            self._pause_s = max(self._every_s, (time.monotonic() - began) / _MAX_SHARE)
        self.failed = False
        self._saved_rows = table.n_events
        for number in extras.curves:
            self._unsaved.curves.pop(number, None)
        for number in extras.errors:
            self._unsaved.errors.pop(number, None)
