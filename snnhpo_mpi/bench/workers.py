"""Workers that train nothing: imitated ones in virtual time, and ranks that sleep. Both answer for a made-up problem.

Virtual time is real time plus what was skipped: whenever rank 0 and its optimizer have nothing left to do, the clock
jumps to the next result. So everything that rank 0 does takes as long as it really takes here, and days of training
take none.
"""

from __future__ import annotations

import heapq
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from snnhpo_mpi.bench.problems import Problem
from snnhpo_mpi.comm.messages import Hello, Message, Ready, Result, Run, Stop, Stopped, Welcome, decode, encode
from snnhpo_mpi.comm.pause import Pause
from snnhpo_mpi.comm.transport import LOOK_S, Transport
from snnhpo_mpi.trial import Trial

Durations = Callable[[np.random.Generator], float]
SENT_AT = "sent_at"
PAPER = ((0.7, 800.0), (0.3, 20_000.0))  # shares and medians [s] of trials in the published runs
PAPER_SIGMA = 0.5


def parse_durations(text: str) -> Durations:
    """``paper``, ``lognormal:MEDIAN,SIGMA``, ``uniform:LOW,HIGH`` or a file with a number of seconds a line.

    Raises:
        ValueError: none of these.
    """
    name, _, numbers = text.partition(":")
    if name == "paper" and not numbers:
        shares, medians = zip(*PAPER, strict=True)
        return lambda rng: float(rng.choice(medians, p=shares) * np.exp(PAPER_SIGMA * rng.standard_normal()))
    if name in ("lognormal", "uniform"):
        try:
            a, b = (float(number) for number in numbers.split(","))
        except ValueError:
            raise ValueError(f"{text!r}: {name} has two numbers, as in {name}:1,2") from None
        if name == "uniform":
            return lambda rng: float(rng.uniform(a, b))
        return lambda rng: float(a * np.exp(b * rng.standard_normal()))
    try:
        seconds = np.atleast_1d(np.loadtxt(text))
    except (OSError, ValueError) as error:
        raise ValueError(f"durations {text!r}: {error}") from None
    return lambda rng: float(rng.choice(seconds.ravel()))


def _duration(durations: Durations, trial: Trial) -> float:
    """The trial's own, whoever runs it."""
    return durations(np.random.default_rng(np.random.SeedSequence(trial.seed, spawn_key=(0xD0,))))


class VirtualWorkers:
    """Rank 0's transport to workers that exist on paper only, and the clock that they share."""

    def __init__(self, n: int, problem: Problem, durations: Durations) -> None:
        self.rank, self.size = 0, 1 + n
        self.peers = set(range(1, 1 + n))
        self.waits: list[float] = []  # [s] from a result's arrival to the next trial's departure
        self.wakes_at: Callable[[], float] = lambda: float("inf")  # when rank 0 acts without a message, -inf: now
        self._problem, self._durations = problem, durations
        self._skipped_s = 0.0
        self._due: list[tuple[float, int, bytes]] = []
        self._idle_since: dict[int, float] = {}  # by rank: when its result arrived, or it was ready
        self._worked: set[int] = set()
        self._a_turn_passed = False
        for rank in sorted(self.peers):
            self._arrive(0.0, rank, Hello("virtual", rank))

    def clock(self) -> float:
        """Virtual seconds."""
        return time.monotonic() + self._skipped_s

    def _arrive(self, at: float, rank: int, message: Message) -> None:
        heapq.heappush(self._due, (at, rank, encode(message)))

    def send(self, destination: int, message: bytes) -> None:
        """The worker acts on it at once; a result comes when the trial's time is over."""
        if message.startswith(b'{"Beat"'):
            return
        now = self.clock()
        match decode(message):
            case Run(trial):
                wait_s = now - self._idle_since.pop(destination, now)
                if destination in self._worked:
                    self.waits.append(wait_s)
                self._worked.add(destination)
                seconds = _duration(self._durations, trial)
                self._arrive(now + seconds, destination, Result(self._problem.evaluate(trial), seconds))
            case Stop():
                self._arrive(now, destination, Stopped())
            case _:
                self._arrive(now, destination, Ready("virtual"))

    def receive(self) -> tuple[int, bytes] | None:
        """The next message that is due; where nothing is left to do before, the clock jumps to its moment."""
        if self._due and self._a_turn_passed:
            self._skipped_s += max(0.0, min(self._due[0][0], self.wakes_at()) - self.clock())
        self._a_turn_passed = not self._due or self._due[0][0] > self.clock()
        if self._a_turn_passed:
            return None
        due, rank, message = heapq.heappop(self._due)
        if message.startswith((b'{"Result"', b'{"Ready"')):
            self._idle_since[rank] = due
        return rank, message

    def wait(self, longest_s: float, look_s: float = LOOK_S) -> None:
        """Sleep until the next message is due, or so long."""
        due_s = self._due[0][0] - self.clock() if self._due else longest_s
        time.sleep(max(0.0, min(longest_s, due_s)))

    @property
    def n_idle(self) -> int:
        """Workers without a trial."""
        return len(self._idle_since)

    def close(self, exit_code: int = 0) -> None:
        """Nobody has to be told."""


class Timed:
    """Rank 0's transport to ranks that sleep on the same machine: how long each waits for its next trial."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._sent_at: dict[int, float] = {}
        self.waits: list[float] = []  # [s] from a result's sending to the next trial's departure

    @property
    def rank(self) -> int:
        """0."""
        return self._transport.rank

    @property
    def size(self) -> int:
        """Ranks in all."""
        return self._transport.size

    @property
    def peers(self) -> set[int]:
        """Ranks that have not left."""
        return self._transport.peers

    def send(self, destination: int, message: bytes) -> None:
        """Pass on; a trial ends its worker's wait."""
        self._transport.send(destination, message)
        if message.startswith(b'{"Run"') and destination in self._sent_at:
            self.waits.append(time.monotonic() - self._sent_at.pop(destination))

    def receive(self) -> tuple[int, bytes] | None:
        """Pass on; a result begins its worker's wait."""
        received = self._transport.receive()
        if received is not None and received[1].startswith(b'{"Result"'):
            message = decode(received[1])
            assert isinstance(message, Result)
            self._sent_at[received[0]] = message.outcome.metrics[SENT_AT]
        return received

    def wait(self, longest_s: float, look_s: float = LOOK_S) -> None:
        """Pass on."""
        self._transport.wait(longest_s, look_s)

    def close(self, exit_code: int = 0) -> None:
        """Pass on."""
        self._transport.close(exit_code)


def sleep_for(transport: Transport, problem: Problem, durations: Durations) -> int:
    """A rank that sleeps through its trials until rank 0 says stop; the exit code.

    It looks for messages as often as a real worker: what nobody takes fills MPI's buffers, and holds up all ranks.
    Its results have the metric ``sent_at``: their moment [s] by the clock that all processes of a machine share.
    """
    transport.send(0, encode(Hello(socket.gethostname(), os.getpid())))
    pause = Pause()
    running: Trial | None = None
    seconds, ends_at = 0.0, float("inf")
    while True:
        received = transport.receive()
        happened = received is not None
        match decode(received[1]) if received and received[1] else None:
            case Welcome():
                transport.send(0, encode(Ready("sleeps")))
            case Run(trial):
                running, seconds = trial, _duration(durations, trial)
                ends_at = time.monotonic() + seconds
            case Stop(exit_code):
                transport.send(0, encode(Stopped()))
                transport.peers.discard(0)
                return exit_code
        if running is not None and time.monotonic() >= ends_at:
            outcome = replace(problem.evaluate(running), metrics={SENT_AT: time.monotonic()})
            transport.send(0, encode(Result(outcome, seconds)))
            running, ends_at, happened = None, float("inf"), True
        time.sleep(max(0.0, min(pause.after(happened), ends_at - time.monotonic())))
