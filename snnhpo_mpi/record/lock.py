"""Who may write a study: one process at a time, also on file systems without locks and across nodes.

``lock.json`` is created exclusively (O_EXCL, which NFS and Lustre honour) and says who holds it; its heartbeat is
renewed every few seconds by the holder. A lock whose process is dead is taken over at once on the same machine, and
from another machine when its heartbeat stands still. No clock of another machine is trusted: a lock's age is the
difference of two time stamps of the file server, and before a takeover the heartbeat is watched.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from snnhpo_mpi.errors import RecordError

FILE_NAME = "lock.json"
HEARTBEAT_S = 5.0
STALE_S = 60.0  # NFS clients may see a file's changes up to a minute late
_LENGTH = 1024  # every write has the same length, so that it replaces the whole text

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that writes, or wrote, a study.

    Attributes:
        machine: boot and process namespace; on the same machine a process id can be looked up.
        process_started: of the process [clock ticks since boot], since process ids come again.
        lock_id: differs between any two locks.
        heartbeat: counts up while the holder lives.
        at: its clock at the latest heartbeat [Unix s].
    """

    host: str
    machine: str
    pid: int
    process_started: int
    lock_id: str
    heartbeat: int
    at: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_on_this_machine(self) -> bool:
        """Whether its process id can be looked up here."""
        return (self.host, self.machine) == (socket.gethostname(), _machine())

    def is_running_here(self) -> bool:
        """Whether the process lives; it is on this machine."""
        return _process_started(self.pid) == self.process_started


def read_holder(folder: Path) -> Holder | None:
    """Who holds the lock, dead or alive; None if nobody or while the file is being written."""
    try:
        return Holder(**json.loads((folder / FILE_NAME).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def is_live(folder: Path) -> bool:
    """Whether a run is going on, as far as one look can tell (a crash elsewhere shows after a minute)."""
    holder = read_holder(folder)
    if holder is None:
        return False
    if holder.is_on_this_machine():
        return holder.is_running_here()
    return time.time() - holder.at < 2 * STALE_S


class Lock:
    """The lock of a study's folder, held from construction to ``release``.

    Attributes:
        folder: of the study.
        notice: whose lock was taken over, if anybody's.
        lost: somebody else has taken it over, or the folder is gone.
    """

    def __init__(self, folder: Path, *, sleep: Callable[[float], None] = time.sleep, stale_s: float = STALE_S) -> None:
        """Takes the lock.

        Raises:
            RecordError: a live run holds it, or the folder cannot be written.
        """
        self.folder = folder
        self._path = folder / FILE_NAME
        self._renewed = time.monotonic()
        pid = os.getpid()
        started = _process_started(pid) or 0
        self._me = Holder(socket.gethostname(), _machine(), pid, started, uuid.uuid4().hex, 0, time.time())
        self.notice: str | None = None
        self.lost = False
        try:
            while not self._create():
                self._take_over(sleep, stale_s)
        except OSError as error:
            raise RecordError(f"cannot write to {folder}: {error.strerror}") from error

    def renew(self, *, every_s: float = HEARTBEAT_S) -> None:
        """Renews the heartbeat if it is due; cheap enough for every turn of a loop.

        Raises:
            RecordError: nothing more may be written: somebody else has the lock by now (this process was stopped for
                minutes), or the study's folder is gone.
        """
        if time.monotonic() - self._renewed < every_s:
            return
        self._renewed = time.monotonic()
        holder = read_holder(self.folder)
        if holder is not None and holder.lock_id != self._me.lock_id:
            self.lost = True
            raise RecordError(f"{holder} has taken over {self.folder}; this run was stopped for too long")
        self._me = replace(self._me, heartbeat=self._me.heartbeat + 1, at=time.time())
        try:
            fd = os.open(self._path, os.O_WRONLY)
        except FileNotFoundError:
            self._restore()
            return
        except OSError as error:
            log.warning("heartbeat of %s not renewed: %s", self._path, error)
            return
        with os.fdopen(fd, "wb", buffering=0) as file, contextlib.suppress(OSError):
            file.write(_text(self._me))

    def _restore(self) -> None:
        """Make anew a lock that somebody deleted by hand."""
        try:
            self._create()
        except FileNotFoundError as error:
            self.lost = True
            raise RecordError(f"{self.folder} is gone: somebody deleted or moved it, and this run ends") from error

    def release(self) -> None:
        """Gives the lock back; a lock that is somebody else's by now stays."""
        holder = read_holder(self.folder)
        if holder is not None and holder.lock_id == self._me.lock_id:
            self._path.unlink(missing_ok=True)

    def _create(self) -> bool:
        # Written beside and linked, so that no reader sees a half-written lock; a link is as exclusive as O_EXCL.
        beside = self._path.with_name(f"{FILE_NAME}.{self._me.lock_id}")
        try:
            fd = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            with os.fdopen(fd, "wb", buffering=0) as file:
                file.write(_text(self._me))
            return _link(beside, self._path)
        finally:
            beside.unlink(missing_ok=True)

    def _take_over(self, sleep: Callable[[float], None], stale_s: float) -> None:
        """Removes the lock of a dead run, or raises."""
        holder = read_holder(self.folder)
        if holder is None:
            sleep(1.0)  # being given back, or torn by a crash of its node
            if not self._path.exists() or (holder := read_holder(self.folder)) is None:
                self._remove_torn(stale_s)
                return
        if holder.is_on_this_machine():
            if holder.is_running_here():
                raise RecordError(f"{self.folder} is in use: {holder} is writing it")
        else:
            self._watch(holder, sleep, stale_s)
        self._remove(holder)

    def _watch(self, holder: Holder, sleep: Callable[[float], None], stale_s: float) -> None:
        """Returns when the lock of another machine has not been renewed for ``stale_s``."""
        log.info("waiting up to %.0f s to see whether %s, which holds %s, is alive", stale_s, holder, self._path)
        watched = 0.0
        while watched < stale_s and (watched < 2 * HEARTBEAT_S or self._age() < stale_s):
            sleep(1.0)
            watched += 1.0
            seen = read_holder(self.folder)
            if seen is None:
                return
            if (seen.lock_id, seen.heartbeat) != (holder.lock_id, holder.heartbeat):
                raise RecordError(f"{self.folder} is in use: {seen} is writing it")

    def _age(self) -> float:
        """Seconds since the latest heartbeat, by the clock of the file server."""
        probe = self._path.with_name(f"{FILE_NAME}.{self._me.lock_id}.probe")
        try:
            probe.write_bytes(b"")
            return probe.stat().st_mtime - self._path.stat().st_mtime
        except FileNotFoundError:
            return float("inf")
        finally:
            probe.unlink(missing_ok=True)

    def _remove(self, holder: Holder) -> None:
        """Removes this very lock; of several that want to, one does."""
        claim = self._path.with_name(f"{FILE_NAME}.{holder.lock_id}.claim")
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            raise RecordError(
                f"another process is taking {self.folder} over; if there is none, delete {claim}"
            ) from None
        try:
            still = read_holder(self.folder)
            if still is not None and still.lock_id == holder.lock_id:
                self._path.unlink()
                self.notice = f"took over from {holder}, which is gone"
        finally:
            claim.unlink(missing_ok=True)

    def _remove_torn(self, stale_s: float) -> None:
        if self._path.exists() and self._age() < stale_s:
            raise RecordError(f"{self._path} cannot be read; if no run is writing this study, delete it")
        self._path.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> bool:
    """Gives a file a second name unless that is taken."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            fd = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(fd, "wb", buffering=0) as file:
            file.write(source.read_bytes())
    return True


def _text(holder: Holder) -> bytes:
    return json.dumps(asdict(holder)).encode("ascii").ljust(_LENGTH - 1) + b"\n"


def _machine() -> str:
    """This boot of this machine, and its process namespace (a container has its own)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _process_started(pid: int) -> int | None:
    """Start of a process of this machine [clock ticks since boot], None if there is none or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])
