"""A worker rank: the supervisor that owns the messages and looks after one evaluator process. Stays light."""

from __future__ import annotations

import logging
import os
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from snnhpo_mpi.comm.messages import (
    Beat,
    Goodbye,
    Hello,
    Message,
    MessageError,
    Prune,
    Reached,
    Ready,
    Report,
    Result,
    Run,
    Stop,
    Stopped,
    Welcome,
    decode,
    encode,
)
from snnhpo_mpi.comm.pause import Pause
from snnhpo_mpi.comm.transport import Transport
from snnhpo_mpi.errors import SnnhpoError
from snnhpo_mpi.trial import Trial
from snnhpo_mpi.worker.evaluator import Evaluator, EvaluatorSettings, Phase

_log = logging.getLogger(__name__)
MASTER = 0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a supervisor behaves.

    Attributes:
        beat_s: time between signs of life until rank 0 says another.
        master_timeout_s: when rank 0 was silent for longer, it is dead.
        max_start_failures: evaluators that may fail to start in a row before the rank gives up.
        retry_s: wait before the next start after a failed one.
    """

    beat_s: float = 5.0
    master_timeout_s: float = 300.0
    max_start_failures: int = 3
    retry_s: float = 1.0


class Supervisor:
    """The loop of a worker rank."""

    def __init__(
        self,
        transport: Transport,
        prepare: Callable[[str], EvaluatorSettings],
        settings: WorkerSettings,
    ) -> None:
        """Hand in the parts.

        Args:
            transport: to rank 0.
            prepare: resolved configuration -> how to run this rank's evaluator.
            settings: how to behave.
        """
        self._transport, self._prepare, self._settings = transport, prepare, settings
        self._evaluator: Evaluator | None = None
        self._evaluator_settings: EvaluatorSettings | None = None
        self._trial: Trial | None = None
        self._announced = False
        self._n_failures = 0
        self._start_at = float("inf")
        self._exit_code: int | None = None
        self._beat_s = settings.beat_s
        self._heard_at = self._turn_at = time.monotonic()
        self._beat_at = self._heard_at

    def run(self) -> int:
        """Work until rank 0 says stop or falls silent; the exit code."""
        pause = Pause()
        self._send(Hello(socket.gethostname(), os.getpid()))
        try:
            while self._exit_code is None:
                happened = self._hear() or self._poll()
                self._keep_evaluator()
                self._watch()
                self._wait(pause.after(happened))
        finally:
            if self._evaluator is not None:
                self._evaluator.end()
        self._send(Stopped())
        return self._exit_code

    def _hear(self) -> bool:
        received = self._transport.receive()
        if received is None:
            return False
        source, data = received
        if source != MASTER:
            return True  # another worker is gone: rank 0's business
        if not data:
            _log.error("the connection to rank 0 broke: this rank ends")
            self._exit_code = 1
            return True
        self._heard_at = time.monotonic()
        try:
            self._handle(decode(data))
        except MessageError as error:
            _log.error("rank 0 sent nonsense: %s", error)
        return True

    def _handle(self, message: Message) -> None:
        match message:
            case Welcome(config, beat_s):
                self._beat_s = beat_s
                self._prepare_evaluator(config)
            case Run(trial):
                self._trial = trial
                if self._gave_up:  # crossed our goodbye, which gives it back
                    self._trial = None
            case Prune():
                if self._evaluator is not None:
                    self._evaluator.prune(message)
            case Stop(exit_code):
                self._exit_code = exit_code
                self._transport.peers.discard(MASTER)  # it sends nothing after this
            case Beat():
                pass
            case _:
                _log.error("rank 0 sent %s, which is a worker's to send", type(message).__name__)

    def _prepare_evaluator(self, config: str) -> None:
        """Learn how to evaluate here; where that is impossible, this rank leaves the search to the others."""
        try:
            self._evaluator_settings = self._prepare(config)
            self._start_at = 0.0
        except SnnhpoError as error:
            _log.error("this rank cannot evaluate: %s", error)
            self._n_failures = self._settings.max_start_failures
            self._send(Goodbye(str(error)))

    @property
    def _gave_up(self) -> bool:
        return self._n_failures >= self._settings.max_start_failures

    def _keep_evaluator(self) -> None:
        """See that there is an evaluator, and that it has the trial."""
        evaluator = self._evaluator
        if self._evaluator_settings is None or self._gave_up:
            return
        if (evaluator is None or evaluator.phase is Phase.ENDED) and time.monotonic() >= self._start_at:
            self._evaluator = Evaluator(self._evaluator_settings)
        elif evaluator is not None and evaluator.phase is Phase.IDLE and self._trial is not None:
            evaluator.run(self._trial)

    def _poll(self) -> bool:
        """Take what the evaluator says; whether it said something."""
        said = self._evaluator.poll() if self._evaluator is not None else []
        for message in said:
            match message:
                case Ready():
                    self._n_failures = 0
                    self._announce()
                case Result(outcome, _):
                    if self._trial is not None and self._trial.number == outcome.number:
                        self._trial = None  # else rank 0, which had thought this one lost, has sent another already
                    self._send(message)
                case Report() | Reached():
                    self._send(message)
                case Goodbye(reason, again):
                    self._count_failure(reason, again or self._announced)
        return bool(said)

    def _announce(self) -> None:
        if not self._announced and self._evaluator_settings is not None:
            self._announced = True
            self._send(Ready(self._evaluator_settings.device))

    def _count_failure(self, reason: str, again: bool) -> None:
        self._n_failures = self._n_failures + 1 if again else self._settings.max_start_failures
        if again:  # else rank 0 says it
            _log.error("the evaluator did not start (%d): %s", self._n_failures, reason)
        self._start_at = time.monotonic() + self._settings.retry_s
        if self._gave_up:
            self._trial = None
            self._send(Goodbye(reason))

    def _watch(self) -> None:
        """Give and look for signs of life. A halted evaluator gives none: another rank should take its trial."""
        now = time.monotonic()
        if now - self._turn_at > self._beat_s:  # this process itself stood still
            self._heard_at = now
        self._turn_at = now
        if now - self._heard_at > self._settings.master_timeout_s:
            _log.error("rank 0 was silent for %g s: this rank ends", self._settings.master_timeout_s)
            self._exit_code = 1
        if now - self._beat_at >= self._beat_s:
            self._beat_at = now
            if self._evaluator is None or not self._evaluator.stopped:
                self._send(Beat(None if self._trial is None else self._trial.number))

    def _wait(self, length_s: float) -> None:
        """Sleep, unless the evaluator speaks."""
        fd = -1 if self._evaluator is None else self._evaluator.fd
        if fd < 0:
            time.sleep(length_s)
            return
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(length_s * 1000)

    def _send(self, message: Message) -> None:
        self._transport.send(MASTER, encode(message))


def run_worker(
    transport: Transport, prepare: Callable[[str], EvaluatorSettings], settings: WorkerSettings | None = None
) -> int:
    """Work as this rank until rank 0 says stop; the exit code."""
    return Supervisor(transport, prepare, settings or WorkerSettings()).run()
