"""Messages over MPI; the only file that imports mpi4py, and only when a rank connects.

Source: MPI standard 4.1, sections 3.7 to 3.8 (non-blocking communication, probe), 9.3 (error handling).

Works the same under Open MPI and MPICH: point-to-point messages only, no matched probes, no collective after start-up.
Nothing here raises because a peer died; that a rank is dead is for heartbeats to find out, and for the fault tolerance
of MPI 5 (``mpiexec --with-ft ulfm`` of Open MPI) where it is on.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from snnhpo_mpi.comm.transport import LOOK_S
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.launchers import LAUNCHER_REMEDY, check_launch

if TYPE_CHECKING:
    from mpi4py import MPI

_log = logging.getLogger(__name__)
_TAG = 7
START_LIMIT = "SNNHPO_START_LIMIT"  # [s] for all ranks to come up
_START_LIMIT_S = 300
_MAX_ERRORS_IN_A_ROW = 1000
_SENDS_TIMEOUT_S = 5.0
_OPEN_S = 0.003  # while a message is on its way; if its sender is dead, for ever
_FORWARD_S = 0.5  # what a launcher needs to pass on the last lines: an abort cuts off what it has not read yet
_LEAVE_TIMEOUT_S = (10.0, 120.0)  # of rank 0, which has nothing left to do then; of workers, which wait for it


class MpiTransport:
    """This process's rank in MPI_COMM_WORLD; used by the main thread alone."""

    def __init__(self, mpi: Any, leave_timeout_s: float) -> None:
        """Use an initialised mpi4py module; ``connect`` gives it."""
        self._mpi = mpi
        self._comm: MPI.Intracomm = mpi.COMM_WORLD
        self._comm.Set_errhandler(mpi.ERRORS_RETURN)  # mpi4py makes exceptions of them
        self._status: MPI.Status = mpi.Status()
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()
        self._leave_timeout_s = leave_timeout_s
        # A request that is dropped before it completes corrupts messages: each is kept, with its buffer.
        self._sends: dict[int, deque[tuple[MPI.Request, bytes]]] = {}  # by destination, oldest first
        self._receives: deque[tuple[int, MPI.Request, bytearray]] = deque()
        self._gone: deque[int] = deque()  # dead, and not yet said so
        self.peers = set(range(1, self.size)) if self.rank == 0 else {0}
        self._n_errors = 0

    def send(self, destination: int, message: bytes) -> None:
        """Start sending; the buffer is kept until MPI is done with it."""
        try:
            request = self._comm.Isend([message, self._mpi.BYTE], destination, _TAG)
        except self._mpi.Exception as error:
            self._note(error)
            return
        self._sends.setdefault(destination, deque()).append((request, message))
        self._advance_sends()

    def receive(self) -> tuple[int, bytes] | None:
        """The next message that arrived whole."""
        self._advance_sends()
        self._start_receive()
        if self._gone:
            return self._gone.popleft(), b""
        seen: set[int] = set()
        for entry in self._receives:
            source, request, buffer = entry
            if source in seen:
                continue  # a later message must not overtake
            seen.add(source)
            if self._completed(request):
                self._receives.remove(entry)
                return source, bytes(buffer)
        return None

    def wait(self, longest_s: float, look_s: float = LOOK_S) -> None:
        """Sleep until a message is there, or so long. MPI wakes nobody: a rank has to look."""
        end = time.monotonic() + (min(longest_s, _OPEN_S) if self._receives else longest_s)
        while (left_s := end - time.monotonic()) > 0:
            time.sleep(min(left_s, look_s))
            if self._gone or self._is_there():
                return

    def _is_there(self) -> bool:
        try:
            return self._comm.Iprobe(self._mpi.ANY_SOURCE, _TAG)
        except self._mpi.Exception:
            return True  # receive deals with it

    def close(self, exit_code: int = 0) -> None:
        """Leave MPI. Where a peer has not left properly, MPI could wait for it for ever: then this ends all ranks.

        Called while an exception is on its way, it shows it and ends all ranks at once.
        """
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, SystemExit):
            sys.excepthook(type(error), error, error.__traceback__)
        # In C: MPI_Finalize and MPI_Abort hold Python's lock, so that no thread or signal handler of Python could run.
        faulthandler.dump_traceback_later(self._leave_timeout_s, exit=True)
        if self.peers:
            _log.warning("ranks %s have not left: all ranks end now", sorted(self.peers))
            self.abort(exit_code)
        end = time.monotonic() + _SENDS_TIMEOUT_S
        while self._sends and time.monotonic() < end:
            self._advance_sends()
            time.sleep(0.001)
        pending = [request for sends in self._sends.values() for request, _ in sends]
        for request in pending + [request for _, request, _ in self._receives]:
            try:
                request.Cancel()
                request.Free()
            except self._mpi.Exception as failure:
                self._note(failure)
        self._mpi.Finalize()
        faulthandler.cancel_dump_traceback_later()

    def abort(self, exit_code: int) -> NoReturn:
        """End all ranks at once, after what was said has reached the terminal."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # a closed pipe must not keep the ranks alive
                stream.flush()
        time.sleep(_FORWARD_S)
        self._comm.Abort(exit_code)
        os._exit(exit_code)  # MPICH comes back from it

    def _start_receive(self) -> None:
        """Take a message that waits into a buffer of its size."""
        try:
            if not self._comm.Iprobe(self._mpi.ANY_SOURCE, _TAG, self._status):
                self._n_errors = 0
                return
            source = self._status.Get_source()
            buffer = bytearray(self._status.Get_count(self._mpi.BYTE))
            request = self._comm.Irecv([buffer, self._mpi.BYTE], source, _TAG)
        except self._mpi.Exception as error:
            self._note(error)
            return
        self._receives.append((source, request, buffer))

    def _advance_sends(self) -> None:
        """Let go of what is sent. To a silent rank much may be open: only its oldest message is looked at."""
        for destination in list(self._sends):
            sends = self._sends[destination]
            while sends and self._completed(sends[0][0]):
                sends.popleft()
            if not sends:
                del self._sends[destination]

    def _completed(self, request: MPI.Request) -> bool:
        try:
            return request.Test()
        except self._mpi.Exception as error:
            self._note(error)
            return True  # with an error: nothing more will come of it

    def _note(self, error: Any) -> None:
        """An MPI call failed: learn which ranks are dead, if MPI can tell."""
        if error.Get_error_class() == getattr(self._mpi, "ERR_PROC_FAILED", None):
            self._comm.Ack_failed()
            failed = self._comm.Get_failed()
            ranks = failed.Translate_ranks(None, self._comm.Get_group())
            self._gone.extend(rank for rank in ranks if rank in self.peers and rank not in self._gone)
            self.peers.difference_update(ranks)
            return
        self._n_errors += 1
        if self._n_errors == 1:
            _log.error("MPI: %s", error)
        if self._n_errors > _MAX_ERRORS_IN_A_ROW:
            raise error


def connect(environment: Mapping[str, str]) -> MpiTransport:
    """Initialise MPI; from here on an uncaught exception ends all ranks.

    Args:
        environment: what the launcher set.

    Raises:
        ConfigError: no MPI library, or the launcher does not belong to it.
    """
    mpi = _load_mpi()
    if mpi.Get_library_version().startswith("MPICH") and "OMPI_COMM_WORLD_SIZE" in environment:
        raise ConfigError(f"Open MPI's mpiexec started this program, but mpi4py loads MPICH. {LAUNCHER_REMEDY}")
    _initialise(mpi, environment)
    rank = mpi.COMM_WORLD.Get_rank()
    check_launch(rank, mpi.COMM_WORLD.Get_size(), environment)
    transport = MpiTransport(mpi, _LEAVE_TIMEOUT_S[rank > 0])
    _abort_on_exceptions(transport)
    return transport


def _load_mpi() -> Any:
    """The module mpi4py.MPI, without initialising MPI: a wrong launcher would end the process in there.

    Raises:
        ConfigError: no MPI library.
    """
    try:
        import mpi4py

        mpi4py.rc.initialize = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"mpi4py found no MPI library ({reason}): load your cluster's MPI (module load ...), "
            "name one (MPI4PY_LIBMPI=/path/to/libmpi.so), install one (pip install mpich), or run without mpiexec"
        ) from error
    return MPI


def _initialise(mpi: Any, environment: Mapping[str, str]) -> None:
    """Start MPI, or end this rank: where a rank is missing, the others would wait for it up to the walltime."""
    limit = environment.get(START_LIMIT, str(_START_LIMIT_S))
    if not limit.isdigit():
        raise ConfigError(f"{START_LIMIT} must be a number of seconds, 0 for no limit, found {limit!r}")
    faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)  # says where, then ends the process
    signal.alarm(int(limit))
    mpi.Init_thread(mpi.THREAD_FUNNELED)
    signal.alarm(0)
    faulthandler.unregister(signal.SIGALRM)


def _abort_on_exceptions(transport: MpiTransport) -> None:
    show = sys.excepthook

    def show_and_abort(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        show(kind, error, trace)
        transport.abort(1)

    sys.excepthook = show_and_abort
