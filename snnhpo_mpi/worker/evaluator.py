"""The evaluator process as its supervisor sees it: start, give a trial, poll, end. Never waits for it."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from snnhpo_mpi.comm.messages import (
    MESSAGE_LIMIT,
    Goodbye,
    Message,
    MessageError,
    Prune,
    Reached,
    Ready,
    Report,
    Result,
    Run,
    decode,
    encode,
)
from snnhpo_mpi.host import subprocesses
from snnhpo_mpi.trial import ACCURACY, Trial
from snnhpo_mpi.worker import log_file
from snnhpo_mpi.worker.evaluator_process import Order, TrainerFactory
from snnhpo_mpi.worker.outcomes import failed

_log = logging.getLogger(__name__)
_TAIL_BYTES = 4_000
_REAP_S = 10.0
_LOOK_AT_LOG_S = 1.0
_CLOSED_S = 2.0  # from a closed line to the death that explains it


@dataclass(frozen=True, slots=True)
class EvaluatorSettings:
    """How to run an evaluator.

    Attributes:
        factory: builds the trainer in the evaluator process; pickled by reference.
        environment: variables set before its first import (CUDA_VISIBLE_DEVICES, OMP_NUM_THREADS, ...).
        n_constraints: values that an outcome must have.
        objectives: names of the objectives that it must have.
        time_limit_s: a trial over it is failed, its process ended; None for no limit.
        start_limit_s: longest time to build the trainer.
        grace_s: between SIGINT (KeyboardInterrupt) and SIGKILL.
        report_every_s: progress reports that come sooner are dropped.
        log: where its standard output and error go; None for nowhere.
        device: for the record, for example ``GPU 3``.
        fresh_process: it ends after each trial.
    """

    factory: TrainerFactory
    environment: Mapping[str, str] = field(default_factory=dict)
    n_constraints: int = 0
    objectives: tuple[str, ...] = (ACCURACY,)
    time_limit_s: float | None = None
    start_limit_s: float = 900.0
    grace_s: float = 5.0
    report_every_s: float = 10.0
    log: Path | None = None
    device: str = ""
    fresh_process: bool = False


class Phase(Enum):
    """Where an evaluator is in its life."""

    STARTING = auto()
    IDLE = auto()
    RUNNING = auto()
    ENDED = auto()


class Evaluator:
    """One evaluator process, from start to end; a new one takes its place after that."""

    def __init__(self, settings: EvaluatorSettings) -> None:
        """Start the process; ``poll`` tells when its trainer is built."""
        self._settings = settings
        self.phase = Phase.STARTING
        self._trial: Trial | None = None
        self._phase_began = time.monotonic()
        self._condemned: str | None = None  # why we end it
        self._may_start_again = True  # if it ends while starting
        self._kill_at = float("inf")
        self._closed_at = float("inf")  # when its end of the line closed: normally with its death
        self._received = b""
        self._log_start = log_file.size(settings.log)
        self._looked_at_log = self._phase_began
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = self._spawn(theirs)
        self._socket.setblocking(False)

    def _spawn(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        settings = self._settings
        order = Order(
            settings.factory,
            settings.n_constraints,
            settings.objectives,
            settings.report_every_s,
            settings.fresh_process,
        )
        call = f"from snnhpo_mpi.worker.evaluator_process import main; main({theirs.fileno()}, {os.getpid()})"
        with log_file.open_log(settings.log) as log:
            return subprocesses.spawn(
                call,
                pickle.dumps(order),
                own=settings.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
            )

    @property
    def fd(self) -> int:
        """Readable when the evaluator has something to say; -1 when its line is closed."""
        return -1 if self._closed_at < float("inf") else self._socket.fileno()

    @property
    def _alive(self) -> bool:
        return self.phase is not Phase.ENDED

    @property
    def stopped(self) -> bool:
        """Whether somebody halted the process (SIGSTOP)."""
        try:
            status = Path(f"/proc/{self._process.pid}/stat").read_bytes()
        except OSError:
            return False
        return status.rpartition(b") ")[2][:1] in b"Tt"

    def run(self, trial: Trial) -> None:
        """Give an idle evaluator a trial."""
        assert self.phase is Phase.IDLE
        self._trial = trial
        self._enter(Phase.RUNNING)
        self._log_start = log_file.size(self._settings.log)
        try:
            self._socket.sendall(encode(Run(trial)) + b"\n")
        except OSError as error:  # it just ended, or sits there without reading
            self._condemn(f"the evaluator does not take a trial ({error})", grace_s=0.0)

    def prune(self, message: Prune) -> None:
        """Let the running trial stop; nothing happens if it is another one, or has ended."""
        if self.phase is Phase.RUNNING and self._trial is not None and self._trial.number == message.number:
            with contextlib.suppress(OSError):  # it just ended, or does not look: then it trains to its end
                self._socket.sendall(encode(message) + b"\n")

    def poll(self) -> list[Message]:
        """What happened since the last call: Ready, reports, one Result a trial, Goodbye if it ended while starting."""
        if not self._alive:
            return []
        said = [message for line in self._lines() if (message := self._take(line)) is not None]
        self._enforce_limits()
        self._bound_log()
        if self._alive and self._has_ended():
            said += [message for line in self._lines() if (message := self._take(line)) is not None]
            said += self._bury()
        return said

    def end(self) -> None:
        """Kill it and all that it forked, and wait for that."""
        if self._alive:
            self._kill_group(signal.SIGKILL)
            try:
                self._process.wait(_REAP_S)
            except subprocess.TimeoutExpired:  # stuck in the kernel: a dead file system, a hung GPU
                _log.error("process %d does not die", self._process.pid)
            self._socket.close()
            self._enter(Phase.ENDED)

    def _enter(self, phase: Phase) -> None:
        self.phase, self._phase_began = phase, time.monotonic()

    def _lines(self) -> list[bytes]:
        try:
            while data := self._socket.recv(1 << 16):
                self._received += data
                if len(self._received) > 2 * MESSAGE_LIMIT:
                    break
            else:
                self._closed_at = min(self._closed_at, time.monotonic())
        except BlockingIOError:
            pass  # nothing more now
        except ConnectionResetError:
            self._closed_at = min(self._closed_at, time.monotonic())
        *lines, self._received = self._received.split(b"\n")
        if len(self._received) > MESSAGE_LIMIT:
            self._condemn("the evaluator sent a line without end", grace_s=0.0)
            self._received = b""
        return lines

    def _take(self, line: bytes) -> Message | None:
        try:
            message = decode(line)
        except MessageError as error:
            self._condemn(f"something wrote into the line to the supervisor: {error}", grace_s=0.0)
            return None
        if self._condemned is not None:
            if isinstance(message, Result):
                self._kill_at = 0.0  # too late, and nothing left to wait for
            return None
        match message:
            case Ready() if self.phase is Phase.STARTING:
                self._enter(Phase.IDLE)
            case Result(outcome) if self._trial is not None and outcome.number == self._trial.number:
                self._trial = None
                self._enter(Phase.IDLE)
                if message.evaluator_ends:
                    self.end()
            case Goodbye(reason, again) if self.phase is Phase.STARTING:
                self._may_start_again = again
                self._condemn(reason)
                return None
            case Report() | Reached():
                pass
            case _:
                self._condemn(f"the evaluator sent {type(message).__name__} out of turn", grace_s=0.0)
                return None
        return message

    def _enforce_limits(self) -> None:
        now, limit_s = time.monotonic(), self._settings.time_limit_s
        spent_s = now - self._phase_began
        if self.phase is Phase.RUNNING and limit_s is not None and spent_s > limit_s:
            self._condemn(f"time limit: the trial ran for more than {limit_s:g} s")
        if self.phase is Phase.STARTING and spent_s > self._settings.start_limit_s:
            self._condemn(f"the trainer was not built within {self._settings.start_limit_s:g} s")
        if now - self._closed_at > _CLOSED_S:
            self._condemn("the evaluator closed its line to the supervisor", grace_s=0.0)
        if now >= self._kill_at:
            self._kill_at = float("inf")
            self._kill_group(signal.SIGKILL)

    def _bound_log(self) -> None:
        now = time.monotonic()
        if now - self._looked_at_log > _LOOK_AT_LOG_S:
            self._looked_at_log = now
            if log_file.shorten(self._settings.log):
                self._log_start = 0

    def _condemn(self, reason: str, grace_s: float | None = None) -> None:
        """End the process for a reason: SIGINT, and SIGKILL after the grace."""
        if self._condemned is None:
            self._condemned = reason
            self._kill_at = time.monotonic() + (self._settings.grace_s if grace_s is None else grace_s)
            self._kill_group(signal.SIGINT)

    def _has_ended(self) -> bool:
        """Whether the process is dead; not reaped, so that its number stays its own until its group is killed."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _bury(self) -> list[Message]:
        """The process is dead: what that means for its trial or its start."""
        phase, trial, spent_s = self.phase, self._trial, time.monotonic() - self._phase_began
        self.end()
        reason = self._condemned or _cause(self._process.returncode)
        if trial is not None:
            return [Result(failed(trial.number, reason, self._last_words()), spent_s)]
        if phase is Phase.STARTING:
            said = self._last_words()
            reason = f"{reason}\n\n{said}" if said and self._condemned is None else reason
            return [Goodbye(reason, self._may_start_again)]
        _log.warning("the idle evaluator ended: %s", reason)
        return []

    def _last_words(self) -> str:
        """The end of what it printed since the trial began."""
        if self._settings.log is None:
            return ""
        try:
            with self._settings.log.open("rb") as log:
                log.seek(max(self._log_start, log_file.size(self._settings.log) - _TAIL_BYTES))
                return log.read(_TAIL_BYTES).decode("utf-8", errors="replace").strip()
        except OSError:
            return ""

    def _kill_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # all of it is gone
            os.killpg(self._process.pid, number)


def _cause(returncode: int) -> str:
    if returncode >= 0:
        return f"the evaluator exited with code {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"the evaluator was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
