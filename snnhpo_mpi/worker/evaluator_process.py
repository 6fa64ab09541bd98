"""Inside the evaluator process: builds the trainer once, then evaluates one trial after another.

It speaks with its supervisor over a socket of its own, one message a line; standard output and error are free for
what the evaluation prints. Nothing of MPI is in here.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from snnhpo_mpi.comm.messages import Goodbye, Message, Prune, Reached, Ready, Report, Result, Run, decode, encode
from snnhpo_mpi.errors import ConfigError, SnnhpoError
from snnhpo_mpi.host.process_tuning import freeze_imports, tune_evaluator
from snnhpo_mpi.host.signals import outlive_stop_signals
from snnhpo_mpi.host.subprocesses import die_with
from snnhpo_mpi.interfaces import PrunedAt, Trainer
from snnhpo_mpi.interfaces import Report as TakesReport
from snnhpo_mpi.trial import Interim, Progress, Trial
from snnhpo_mpi.worker.outcomes import checked, raised, ruins_process, shortened
from snnhpo_mpi.worker.surroundings import Surroundings


class TrainerFactory(Protocol):
    """Builds the trainer, in the evaluator process."""

    def __call__(self, report: TakesReport, *, pruned_at: PrunedAt) -> Trainer:
        """The trainer, from what takes its reports and what answers them."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """What a supervisor hands to a new evaluator.

    Attributes:
        factory: builds the trainer; pickled by reference.
        n_constraints: values that an outcome must have.
        objectives: names of the objectives that it must have.
        report_every_s: progress reports that come sooner are dropped.
        one_trial: end after a trial, so that the next has a fresh process.
    """

    factory: TrainerFactory
    n_constraints: int
    objectives: tuple[str, ...]
    report_every_s: float
    one_trial: bool = False


class Channel:
    """The line to the supervisor; may be used by any thread of this process."""

    def __init__(self, fd: int, report_every_s: float) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._report_every_s = report_every_s
        self._reported = (-1, -1, 0.0)  # trial, epoch, when
        self._received = b""
        self._running: int | None = None  # number of the trial
        self._pruned_at: int | None = None

    def send(self, message: Message) -> None:
        """Send one line; a forked child that ran on into here ends instead."""
        if os.getpid() != self._pid:
            os._exit(0)
        with self._lock:
            if isinstance(message, Result):
                self._running = None  # a thread that the trial left behind must not read what comes next
            self._socket.sendall(encode(message) + b"\n")

    def report(self, progress: Progress | Interim) -> None:
        """Send interim results; of mere progress the first of each epoch, else not too often."""
        if isinstance(progress, Interim):
            self.send(Reached(progress))
            return
        number, epoch, at = self._reported
        now = time.monotonic()
        if (progress.number, progress.epoch) != (number, epoch) or now - at >= self._report_every_s:
            self._reported = (progress.number, progress.epoch, now)
            self.send(Report(progress))

    def runs(self) -> Iterator[Run]:
        """The trials to evaluate, one after another; ends when the supervisor closes the line."""
        while (line := self._line()) is not None:
            message = decode(line)
            if isinstance(message, Prune):
                continue  # it crossed the result of its trial
            assert isinstance(message, Run)
            self._running, self._pruned_at = message.trial.number, None
            yield message

    def pruned_at(self, number: int) -> int | None:
        """Position of the report after which a running trial is to stop; None if nobody has said so yet."""
        if os.getpid() != self._pid:
            return None  # a forked child
        with self._lock:
            if number != self._running:
                return None
            while self._pruned_at is None and (line := self._line(socket.MSG_DONTWAIT)) is not None:
                message = decode(line)
                if isinstance(message, Prune) and message.number == number:
                    self._pruned_at = message.position
            return self._pruned_at

    def _line(self, flags: int = 0) -> bytes | None:
        """The next line; None if there is none (now, where the flags say not to wait)."""
        while b"\n" not in self._received:
            try:
                data = self._socket.recv(1 << 16, flags)
            except BlockingIOError:
                return None
            if not data:
                return None
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


def main(fd: int, supervisor: int) -> NoReturn:
    """Evaluate until the supervisor closes the line.

    Args:
        fd: this process's end of the line.
        supervisor: the process to die with.
    """
    die_with(supervisor)
    outlive_stop_signals()
    tune_evaluator()
    order: Order = pickle.load(sys.stdin.buffer)  # from our own parent
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # an evaluation that asks for input gets the end of a file
    try:
        _serve(order, Channel(fd, order.report_every_s))
    except BaseException:  # its line broke: nothing else raises there
        traceback.print_exc()
        _leave(1)
    _leave(0)


def _serve(order: Order, channel: Channel) -> None:
    try:
        trainer = order.factory(channel.report, pruned_at=channel.pruned_at)
    except SnnhpoError as error:
        channel.send(Goodbye(shortened(str(error)), again=not isinstance(error, ConfigError)))
        return
    except BaseException as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        channel.send(Goodbye(shortened(f"{reason}\n\n{''.join(traceback.format_exception(error))}")))
        return
    freeze_imports()
    surroundings = Surroundings()
    channel.send(Ready())
    for run in channel.runs():
        result = _evaluate(trainer, run.trial, order)
        surroundings.restore()
        result = replace(result, evaluator_ends=result.evaluator_ends or order.one_trial)
        channel.send(result)
        if result.evaluator_ends:
            return


def _evaluate(trainer: Trainer, trial: Trial, order: Order) -> Result:
    began = time.perf_counter()
    ends = False
    try:
        outcome = checked(trainer.evaluate(trial), trial.number, order.n_constraints, order.objectives)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: a trial ends, the process goes on
        outcome, ends = raised(trial.number, error), ruins_process(error)
    return Result(outcome, time.perf_counter() - began, ends)


def _leave(code: int) -> NoReturn:
    """End at once, without waiting for threads and exit handlers that an evaluation left behind."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # closed, or its disk is full
    os._exit(code)
