"""Toy optimizer, record and trainers; imported by the tests and, by name, by their evaluator processes."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snnhpo_mpi.comm.transport import LocalWorkers, local_transports
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.interfaces import PrunedAt, Report
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.master.loop import Master, MasterSettings
from snnhpo_mpi.master.proposer import Proposer
from snnhpo_mpi.trial import Ended, Event, Interim, Outcome, Progress, Proposal, State, Trial, trial_seed
from snnhpo_mpi.worker.evaluator import EvaluatorSettings
from snnhpo_mpi.worker.supervisor import WorkerSettings, run_worker


class CountingOptimizer:
    """Trial i has x = i; remembers in which order it was used. ``delay_s`` imitates a fit."""

    def __init__(self, behaviour: Callable[[int], str] = lambda number: "fine", delay_s: float = 0.0) -> None:
        self.behaviour, self.delay_s = behaviour, delay_s
        self.next_number = 0
        self.calls: list[tuple[str, int]] = []
        self.hurried: list[bool] = []  # of each ask
        self.seconds: list[float] = []  # of each tell

    def adopt(self, trial: Trial) -> None:
        self.next_number = max(self.next_number, trial.number + 1)

    def withdraw(self, trial: Trial) -> None:
        assert trial.number == self.next_number - 1
        self.next_number = trial.number
        self.calls.append(("withdraw", trial.number))

    def ask(self, hurried: bool = False) -> Proposal:
        time.sleep(self.delay_s)
        number = self.next_number
        self.next_number += 1
        self.calls.append(("ask", number))
        self.hurried.append(hurried)
        trial = Trial(number, {"x": float(number), "do": self.behaviour(number)}, trial_seed(1, number))
        n_told = sum(name == "tell" for name, _ in self.calls)
        return Proposal(trial, n_told, {"length": 0.5})

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        self.calls.append(("tell", outcome.number))
        self.seconds.append(seconds)


class MemoryRecord:
    """Keeps events in a list."""

    def __init__(self, on_event: Callable[[Event], None] = lambda event: None) -> None:
        self.events: list[Event] = []
        self.writes: list[tuple[Event, ...]] = []
        self.reports: list[tuple[int, Progress]] = []
        self.joins: list[tuple[int, str, str]] = []
        self.on_event = on_event

    def append(self, *events: Event) -> None:
        self.writes.append(events)
        self.events.extend(events)
        for event in events:
            self.on_event(event)

    def progress(self, rank: int, progress: Progress) -> None:
        self.reports.append((rank, progress))

    def joined(self, rank: int, host: str, device: str) -> None:
        self.joins.append((rank, host, device))

    def maintain(self) -> None:
        pass

    @property
    def outcomes(self) -> dict[int, Outcome]:
        return {event.outcome.number: event.outcome for event in self.events if isinstance(event, Ended)}


class ToyTrainer:
    """Does what the trial says."""

    def __init__(self, report: Report, *, pruned_at: PrunedAt) -> None:
        self.report, self.pruned_at = report, pruned_at

    def evaluate(self, trial: Trial) -> Outcome:
        x = float(trial.params["x"])
        good = Outcome(
            trial.number,
            State.COMPLETED,
            objectives={"accuracy": x},
            constraints=(-x,),
            metrics={"pid": float(os.getpid())},
        )
        name, _, argument = str(trial.params["do"]).partition(":")
        return getattr(self, name)(good, argument)

    def fine(self, good: Outcome, _: str) -> Outcome:
        self.report(Progress(good.number, 1, 10, 20, 0.5, {"excitatory": 0.1}))
        return good

    def reaches(self, good: Outcome, _: str) -> Outcome:
        for position in (10, 20):
            layers = {"silent_rate": {"excitatory": 0.1}, "spikes": {"excitatory": 3.0}}
            self.report(Interim(good.number, position, 0.5, 0.1 * position, 5, **layers))
        return good

    def reaches_until_pruned(self, good: Outcome, _: str) -> Outcome:
        """Reports at 10, 20, ... and then looks for a word; after 20 s nobody has said it."""
        for position in range(10, 4000, 10):
            self.report(Interim(good.number, position, 0.5, 0.1))
            time.sleep(0.05)
            if (at := self.pruned_at(good.number)) is not None:
                return replace(good, state=State.PRUNED, metrics={"decided": float(at), "stopped_at": float(position)})
        return good

    def keeps_asking(self, good: Outcome, _: str) -> Outcome:
        """A thread that goes on asking whether the trial is to stop."""

        def ask() -> None:
            for _ in range(20_000):
                self.pruned_at(good.number)

        threading.Thread(target=ask, daemon=True).start()
        return good

    def sleep(self, good: Outcome, seconds: str) -> Outcome:
        time.sleep(float(seconds))
        return good

    def touch_and_sleep(self, good: Outcome, argument: str) -> Outcome:
        path, _, seconds = argument.rpartition(":")
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(float(seconds))
        return good

    def raises(self, good: Outcome, _: str) -> Outcome:
        raise ValueError("no such network")

    def raises_unprintable(self, good: Outcome, _: str) -> Outcome:
        class UnprintableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        raise UnprintableError

    def nan(self, good: Outcome, _: str) -> Outcome:
        return replace(good, objectives={"accuracy": float("nan")})

    def inf_constraint(self, good: Outcome, _: str) -> Outcome:
        return replace(good, constraints=(float("inf"),))

    def two_constraints(self, good: Outcome, _: str) -> Outcome:
        return replace(good, constraints=(0.0, 0.0))

    def no_outcome(self, good: Outcome, _: str) -> Any:
        return {"objective": 1.0}

    def garbage(self, good: Outcome, _: str) -> Outcome:
        os.write(1, b'{"Result": 3}\n\xff\xfe\x00' * 5000)
        os.write(2, b"\n\n{}" * 5000)
        return good

    def segfault(self, good: Outcome, _: str) -> Outcome:
        ctypes.string_at(0)
        return good

    def exit_at_once(self, good: Outcome, code: str) -> Outcome:
        os._exit(int(code))

    def sys_exit(self, good: Outcome, _: str) -> Outcome:
        sys.exit(3)

    def kill(self, good: Outcome, _: str) -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
        return good

    def out_of_memory(self, good: Outcome, _: str) -> Outcome:
        raise MemoryError

    def cuda_error(self, good: Outcome, _: str) -> Outcome:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def hang(self, good: Outcome, _: str) -> Outcome:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            time.sleep(60)

    def fork(self, good: Outcome, path: str) -> Outcome:
        """A forked child that runs on, and a subprocess that sleeps."""
        child = subprocess.Popen(["sleep", "300"])
        pid = os.fork()
        with Path(path).open("a") as file:
            file.write(f"{os.getpid() if pid == 0 else child.pid}\n")
        if pid == 0:
            return good  # falls through into the evaluator's own code
        return good

    def fork_and_die(self, good: Outcome, path: str) -> Outcome:
        child = subprocess.Popen(["sleep", "300"])
        pid = os.fork()
        if pid == 0:
            time.sleep(300)
        with Path(path).open("a") as file:
            file.write(f"{child.pid}\n{pid}\n")
        os._exit(7)

    def terminates_children(self, good: Outcome, _: str) -> Outcome:
        started = subprocess.Popen(["sleep", "300"])
        started.terminate()
        assert started.wait(10) == -signal.SIGTERM
        forked = os.fork()
        if forked == 0:
            time.sleep(300)
        os.kill(forked, signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(forked, 0)[1]) == signal.SIGTERM
        return good

    def thread(self, good: Outcome, _: str) -> Outcome:
        threading.Thread(target=time.sleep, args=(300,)).start()
        return good

    def close_everything(self, good: Outcome, _: str) -> Outcome:
        os.closerange(3, 256)
        return good

    def write_into_line(self, good: Outcome, _: str) -> Outcome:
        for fd in range(3, 200):
            try:
                os.write(fd, b"hello\n")
            except OSError:
                continue
        time.sleep(60)
        return good

    def send_without_end(self, good: Outcome, _: str) -> Outcome:
        for fd in range(3, 200):
            try:
                line = socket.socket(fileno=os.dup(fd))
                line.sendall(b"x" * 3_000_000)
            except OSError:
                continue
        time.sleep(60)
        return good

    def asks_for_input(self, good: Outcome, _: str) -> Outcome:
        input("your name? ")
        return good

    def finishes_on_sigint(self, good: Outcome, _: str) -> Outcome:
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.pause()
        return good

    def fork_and_sleep(self, good: Outcome, path: str) -> Outcome:
        pid = os.fork()
        if pid == 0:
            time.sleep(300)
        with Path(path).open("a") as file:
            file.write(f"{os.getpid()}\n{pid}\n")
        time.sleep(300)
        return good

    def changes_everything(self, good: Outcome, folder: str) -> Outcome:
        os.chdir(folder)
        os.umask(0o777)
        os.environ["LEFT_BEHIND"] = "1"
        del os.environ["PATH"]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(1)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        sys.stdout.close()
        sys.stderr = None  # type: ignore[assignment]
        for fd in (0, 1, 2):
            os.close(fd)
        self.taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
        return good

    def looks_around(self, good: Outcome, _: str) -> Outcome:
        mask = os.umask(0o22)
        os.umask(mask)
        print("said on stdout")
        sys.stderr.write("said on stderr\n")
        os.write(2, b"written\n")
        found = {
            "folder": Path.cwd().stat().st_ino,
            "mask": mask,
            "left_behind": "LEFT_BEHIND" in os.environ,
            "path": "PATH" in os.environ,
            "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
            "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
            "alarm": signal.alarm(0),
        }
        return replace(good, metrics=found)

    def environment(self, good: Outcome, _: str) -> Outcome:
        names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PMI_RANK")
        metrics = {name: float(os.environ.get(name, -1)) for name in names}
        return replace(good, metrics=metrics | {name: float(name in sys.modules) for name in ("mpi4py", "torch")})

    def big(self, good: Outcome, _: str) -> Outcome:
        return replace(good, curves={"long": [0.1] * 150_000, "short": [1.0, 2.0]})


def misconfigured_factory(report: Report, *, pruned_at: PrunedAt) -> ToyTrainer:
    raise ConfigError("trainer.function: toy.py has no function nothing")


def broken_factory(report: Report, *, pruned_at: PrunedAt) -> ToyTrainer:
    raise FileNotFoundError("no data set here")


def slow_factory(report: Report, *, pruned_at: PrunedAt) -> ToyTrainer:
    time.sleep(60)
    return ToyTrainer(report, pruned_at=pruned_at)


def flaky_factory(report: Report, *, pruned_at: PrunedAt) -> ToyTrainer:
    """Fails the first time only."""
    tried = Path(os.environ["FLAKY_FACTORY"])
    if not tried.exists():
        tried.touch()
        raise OSError("file system not mounted yet")
    return ToyTrainer(report, pruned_at=pruned_at)


def exiting_factory(report: Report, *, pruned_at: PrunedAt) -> ToyTrainer:
    os._exit(9)


def toy_evaluator(**changes: Any) -> EvaluatorSettings:
    return replace(EvaluatorSettings(ToyTrainer, n_constraints=1, grace_s=0.3), **changes)


@dataclass
class Search:
    """A search over the local transport with toy parts."""

    behaviour: Callable[[int], str] = lambda number: "fine"
    n_workers: int = 1
    settings: MasterSettings = field(default_factory=lambda: MasterSettings(budget=4))
    waiting: tuple[Trial, ...] = ()
    evaluator: EvaluatorSettings = field(default_factory=lambda: toy_evaluator())
    worker: WorkerSettings = field(default_factory=lambda: WorkerSettings(retry_s=0.05))
    time_left: Callable[[], float | None] = lambda: None
    delay_s: float = 0.0
    on_event: Callable[[Master, Event], None] = lambda master, event: None
    prune: Callable[[Event], bool] = lambda event: False

    def run(self) -> Ending:
        self.optimizer = CountingOptimizer(self.behaviour, self.delay_s)
        for trial in self.waiting:
            self.optimizer.adopt(trial)
        self.record = MemoryRecord(lambda event: self.on_event(self.master, event))
        ends = local_transports(1 + self.n_workers)
        with LocalWorkers(ends[1:], lambda end: run_worker(end, lambda config: self.evaluator, self.worker)):
            self.master = Master(
                ends[0],
                Proposer(self.optimizer),
                self.record,
                self.settings,
                self.waiting,
                self.time_left,
                prune=self.prune,
            )
            return self.master.run()
