"""How busy many workers are kept, and how long each waits for its next trial.

The loop of rank 0, the optimizer and the record on the disk are the real ones. Without --mpi the workers are imitated
in virtual time, in which everything that rank 0 does takes what it takes here. With it the ranks of mpiexec sleep:

    mpiexec -n 65 snnhpo bench scale --mpi --durations uniform:0.5,5 --trials 2000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnhpo_mpi.arguments import not_negative, positive
from snnhpo_mpi.bench.optimizer import make_problem
from snnhpo_mpi.bench.workers import Durations, Timed, VirtualWorkers, parse_durations, sleep_for
from snnhpo_mpi.comm.transport import Transport
from snnhpo_mpi.host.process_tuning import tune_rank_0
from snnhpo_mpi.master.loop import Master, MasterSettings
from snnhpo_mpi.master.proposer import Proposer
from snnhpo_mpi.trial import Asked, Ended, Event, Outcome, Progress, Started, Trial, trial_seed

if TYPE_CHECKING:
    from snnhpo_mpi.bench.problems import Problem
    from snnhpo_mpi.optim.scbo import ScboSearch
    from snnhpo_mpi.record import StudyRecord

PROBLEM = "silent_ridge"  # 19 hyperparameters in 22 columns, two constraints
SEED = 0
SPREAD = 0.15  # of the half of the trials told beforehand that lie around a feasible one
ALWAYS_S = 1e9


class Watched:
    """A record, and what passes to it."""

    def __init__(self, record: StudyRecord, clock: Callable[[], float], n_told: int) -> None:
        self._record, self._clock, self._n_told = record, clock, n_told
        self._n_seen: dict[int, int] = {}
        self.ended_at: list[float] = []
        self.joined_at: dict[int, float] = {}
        self.spans: dict[int, tuple[int, float, float]] = {}  # rank, start and seconds of each trial
        self.asked: list[Asked] = []
        self.unseen: list[int] = []  # results in the record that the model of a trial being sent had not seen
        self.oldest_unseen_s: list[float] = []

    def append(self, *events: Event) -> None:
        """Take note, and write."""
        now = self._clock()
        self._record.append(*events)
        for event in events:
            match event:
                case Asked():
                    self.asked.append(event)
                    self._look_at(event, now)
                case Started(number, rank):
                    self.spans[number] = (rank, now, float("inf"))
                case Ended(outcome, rank, seconds=seconds):
                    self.spans[outcome.number] = (rank, self.spans[outcome.number][1], seconds)
                    self.ended_at.append(now)

    def _look_at(self, event: Asked, now: float) -> None:
        n_seen = (event.n_told or 0) - self._n_told
        self.unseen.append(len(self.ended_at) - n_seen)
        self.oldest_unseen_s.append(now - self.ended_at[n_seen] if n_seen < len(self.ended_at) else 0.0)

    def progress(self, rank: int, progress: Progress) -> None:
        """Nobody reports any."""

    def joined(self, rank: int, host: str, device: str) -> None:
        """A worker is ready."""
        self.joined_at[rank] = self._clock()
        self._record.worker(rank, host, device)

    def maintain(self) -> None:
        """Snapshots."""
        self._record.maintain()

    def busy_share(self, until: float) -> float:
        """Of the time of all workers, from the first that was ready."""
        begin = min(self.joined_at.values())
        busy = sum(min(seconds, until - start) for _, start, seconds in self.spans.values() if start < until)
        return busy / (len(self.joined_at) * (until - begin))


def imagined_past(problem: Problem, n: int) -> Iterator[tuple[Trial, Outcome]]:
    """Trials and their answers as late in a search: every other one near a feasible one."""
    rng, space = np.random.default_rng(0), problem.space
    points = (space.snap(rng.random((1, space.dim)))[0] for _ in iter(int, 1))
    center = next(x for x in points if problem.evaluate(Trial(0, space.decode(x), 1)).feasible)
    for number in range(n):
        x = np.clip(center + SPREAD * rng.standard_normal(space.dim), 0, 1) if number % 2 else rng.random(space.dim)
        trial = Trial(number, space.decode(x), trial_seed(SEED, number))
        yield trial, problem.evaluate(trial)


def preload(optimizer: ScboSearch, record: StudyRecord, problem: Problem, n_told: int) -> None:
    """Tell and record an imagined past."""
    events: list[Event] = []
    for trial, outcome in imagined_past(problem, n_told):
        optimizer.adopt(trial)
        optimizer.tell(outcome, 1.0)
        events += [Asked(trial, 0.0), Started(trial.number, 1, 0.0), Ended(outcome, 1, 0.0, 1.0)]
    record.append(*events)


def lead(
    folder: Path, transport: Transport, clock: Callable[[], float], n_trials: int, n_told: int
) -> tuple[Watched, float]:
    """Search as rank 0; what was seen, and the moment when the last trial was sent."""
    from snnhpo_mpi.optim.scbo import ScboSearch  # with PyTorch and SciPy, which ranks that sleep can do without
    from snnhpo_mpi.record import StudyRecord

    tune_rank_0(len(os.sched_getaffinity(0)))
    problem = make_problem(PROBLEM)
    optimizer = ScboSearch(problem.space, problem.n_constraints, SEED, problem.n_initial)
    names = tuple(f"silent_{layer}" for layer in ("excitatory", "inhibitory"))
    record = StudyRecord.create(folder, "", {"study": {"name": "scale", "seed": SEED}}, problem.space, names, {})
    preload(optimizer, record, problem, n_told)
    watched, proposer = Watched(record, clock, n_told), Proposer(optimizer, n_told)
    if isinstance(transport, VirtualWorkers):
        transport.wakes_at = lambda: _wakes_at(proposer, transport)
    settings = MasterSettings(budget=n_told + n_trials, n_asked=n_told, heartbeat_timeout_s=ALWAYS_S)
    Master(transport, proposer, watched, settings, clock=clock).run()
    record.close("complete")
    return watched, max(start for _, start, _ in watched.spans.values())


def _wakes_at(proposer: Proposer, workers: VirtualWorkers) -> float:
    """When rank 0 acts without a message: now if something is computed, or waits to be sent."""
    if not proposer.at_rest or (proposer.n_ready and workers.n_idle):
        return float("-inf")
    return proposer.stale_at()


def measure(n_workers: int, durations: Durations, n_trials: int, n_told: int = 0) -> dict[str, Any]:
    """A search of so many trials in virtual time; see ``summary`` for what it gives."""
    workers = VirtualWorkers(n_workers, make_problem(PROBLEM), durations)
    with tempfile.TemporaryDirectory(prefix="snnhpo-scale") as folder:
        watched, until = lead(Path(folder) / "study", workers, workers.clock, n_trials, n_told)
    return summary(watched, until, workers.waits, n_told)


def summary(watched: Watched, until: float, waits: list[float], n_told: int) -> dict[str, Any]:
    """Figures of a run; ``until``: when its last trial was sent."""
    fits = list(dict.fromkeys(_figures(watched, "fit_seconds")))  # each counted once
    end = max(watched.ended_at)
    return {
        "workers": len(watched.joined_at),
        "trials": len(watched.spans),
        "told": n_told,
        "busy_share": watched.busy_share(until),
        "busy_share_to_the_end": watched.busy_share(end),
        "dispatch_ms": _quantiles(1e3 * np.array(waits)),
        "fit_s": float(np.sum(fits)),
        "n_fits": len(fits),
        "ask_s": _quantiles(np.array(_figures(watched, "ask_seconds"))),
        "hurried_share": float(np.mean(_figures(watched, "hurried"))),
        "unseen": _quantiles(np.array(watched.unseen)),
        "oldest_unseen_s": _quantiles(np.array(watched.oldest_unseen_s)),
        "hours": (end - min(watched.joined_at.values())) / 3600.0,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _figures(watched: Watched, name: str) -> list[float]:
    return [float(asked.optimizer[name]) for asked in watched.asked if name in asked.optimizer]  # type: ignore[arg-type]


def _quantiles(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    if not len(values):
        return {"median": 0.0, "p99": 0.0, "most": 0.0}
    median, p99 = np.quantile(values, [0.5, 0.99])
    return {"median": float(median), "p99": float(p99), "most": float(values.max())}


def _over_mpi(args: argparse.Namespace, durations: Durations) -> dict[str, Any] | int:
    """Figures on rank 0; the exit code on all others."""
    from snnhpo_mpi.comm import mpi

    transport = mpi.connect(os.environ)
    if transport.size == 1:
        raise SystemExit("snnhpo bench scale --mpi: one rank has no workers; start mpiexec -n 2 or more")
    if transport.rank:
        code = sleep_for(transport, make_problem(PROBLEM), durations)
        transport.close(code)
        return code
    timed = Timed(transport)
    with tempfile.TemporaryDirectory(prefix="snnhpo-scale") as folder:
        watched, until = lead(Path(folder) / "study", timed, time.monotonic, args.trials, args.told)
    timed.close()
    return summary(watched, until, timed.waits, args.told)


def _durations(text: str) -> Durations:
    try:
        return parse_durations(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--workers", type=positive, default=16, metavar="W", help="in virtual time (default 16)")
    parser.add_argument("--trials", type=positive, default=500, metavar="N", help="trials sent (default 500)")
    parser.add_argument("--told", type=not_negative, default=0, metavar="N", help="trials told beforehand (default 0)")
    parser.add_argument(
        "--durations",
        type=_durations,
        default="paper",
        help="paper (70 %% around 800 s, 30 %% around 20,000 s; default), lognormal:MEDIAN,SIGMA, uniform:LOW,HIGH or "
        "a file with seconds",
    )
    parser.add_argument("--mpi", action="store_true", help="over the ranks of mpiexec, in real time")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.mpi:
        result = _over_mpi(args, args.durations)
        if isinstance(result, int):
            return result
    else:
        result = measure(args.workers, args.durations, args.trials, args.told)
    if args.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    for key, value in result.items():
        sys.stdout.write(f"{key:24} {json.dumps(value)}\n")
    return 0
