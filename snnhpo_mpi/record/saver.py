"""Renews the snapshot now and then, in a process beside the caller: a dispatch never waits for it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import time
from pathlib import Path

from snnhpo_mpi import child
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import snapshot
from snnhpo_mpi.record.renewal import renew

_MAX_SHARE = 0.25  # of the time spent saving, also on a slow file system or a busy machine
_CALL = "from snnhpo_mpi.record.renewal import main; main({parent})"

log = logging.getLogger(__name__)


class Saver:
    """Saves one snapshot at a time; used by one thread.

    Attributes:
        saved_bytes: of the journal, that the latest complete snapshot holds; -1 before the first.
    """

    def __init__(self, folder: Path, every_s: float, *, anew: bool = False, study_id: str | None = None) -> None:
        """Saves ``study.h5`` of a folder no more often than every so many seconds.

        Args:
            folder: of the study.
            every_s: from one snapshot to the next.
            anew: the first one does not build on the file that is there.
            study_id: the journal must be of this study.
        """
        self._folder = folder
        self._path = folder / snapshot.FILE_NAME
        self._every_s = every_s
        self._pause_s = every_s
        self._began = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._anew = anew
        self._study_id = study_id
        self._n_bytes = -1  # of the journal, that the latest attempt goes up to
        self.saved_bytes = -1

    def due(self) -> bool:
        """Whether it is time for the next snapshot, and none is being saved."""
        if self._process is not None:
            if self._process.poll() is None:
                return False
            self._bury(self._process)
        return time.monotonic() - self._began >= self._pause_s

    def start(self, n_bytes: int) -> None:
        """Begins a snapshot of the first ``n_bytes`` of the journal, if there is anything new in them."""
        self.wait()
        self._began = time.monotonic()
        if n_bytes == self.saved_bytes and self._path.exists():
            return
        self._n_bytes = n_bytes
        try:
            self._process = child.spawn(
                _CALL.format(parent=os.getpid()),
                json.dumps([str(self._folder), n_bytes, self._anew, self._study_id]).encode("ascii"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except OSError as error:  # no memory, or no process allowed
            self._failed(f"{self._path} was not renewed: {error}")

    def save(self, n_bytes: int) -> None:
        """Saves a snapshot here and now, instead of any that is being saved: at the end nothing else is to do."""
        self.stop()
        try:
            notices = renew(self._folder, n_bytes, anew=self._anew, study_id=self._study_id)
        except (OSError, RecordError) as error:
            self._failed(str(error))
        else:
            self._done(n_bytes, notices)

    def stop(self) -> None:
        """Ends a snapshot that is being saved; the one before stays."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def wait(self) -> None:
        """Returns when no snapshot is being saved."""
        if self._process is not None:
            self._bury(self._process)

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        said = process.communicate()[1].decode("utf-8", "replace").strip()
        self._process = None
        seconds = time.monotonic() - self._began
        self._pause_s = max(self._every_s, seconds / _MAX_SHARE)
        if process.returncode == 0:
            log.debug("%s was renewed in %.2f s", self._path, seconds)
            self._done(self._n_bytes, said.splitlines())
        else:
            self._failed(said or f"{self._path} was not renewed: its process ended with code {process.returncode}")

    def _done(self, n_bytes: int, notices: list[str]) -> None:
        self.saved_bytes = n_bytes
        self._anew = False
        for notice in notices:
            log.warning("%s", notice)

    def _failed(self, reason: str) -> None:
        log.warning("%s; the journal has everything, the next snapshot is tried later", reason)
