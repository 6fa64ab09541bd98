"""What a long study costs rank 0: memory, snapshots, and how long a worker waits for its next trial.

    mpiexec -n 17 python tests/faults/scale.py [--trials 20000] [--slow 1000]

The real loop, proposer, record and messages; worker ranks answer with made-up outcomes, with curves as a spiking
network gives them: first ``--trials`` trials of 0.2 s each, by which the study becomes long, then ``--slow`` of 2 s. A
worker's wait is measured by itself, between its result and its next trial.
"""

import argparse
import logging
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

import fake_study  # noqa: E402
import mpi4py  # noqa: E402
import numpy as np  # noqa: E402

from snnhpo_mpi.comm import mpi  # noqa: E402
from snnhpo_mpi.comm.messages import Hello, Ready, Result, Run, Stop, Stopped, decode, encode  # noqa: E402
from snnhpo_mpi.comm.transport import Transport  # noqa: E402
from snnhpo_mpi.master.loop import Master, MasterSettings  # noqa: E402
from snnhpo_mpi.master.proposer import Proposer  # noqa: E402
from snnhpo_mpi.optim.sobol import RandomSearch  # noqa: E402
from snnhpo_mpi.study.progress import Announcer, FollowedRecord, Tally  # noqa: E402

QUICK_S, SLOW_S = 0.2, 2.0


def work(transport: Transport, n_quick: int) -> list[tuple[int, float, float]]:
    """Until rank 0 says stop; the number of each trial, the moment it came, and how long it was waited for."""
    waits: list[tuple[int, float, float]] = []
    transport.send(0, encode(Hello("here", 1)))
    transport.send(0, encode(Ready("cpu")))
    answered, idle_s = None, 0.0
    while True:
        received = transport.receive()
        if received is None:
            idle_s = 0.0 if answered is None else time.perf_counter() - answered
            transport.wait(1.0, max(0.001, min(0.05, idle_s / 3)))  # as the supervisor looks
            continue
        match decode(received[1]):
            case Run(trial):
                now = time.perf_counter()
                if answered is not None:
                    waits.append((trial.number, now, now - answered))
                seconds = QUICK_S if trial.number < n_quick else SLOW_S
                result = encode(Result(fake_study.outcome(trial, n_checks=100), seconds))
                time.sleep(seconds)
                answered = time.perf_counter()
                transport.send(0, result)
            case Stop():
                transport.send(0, encode(Stopped()))
                transport.peers.clear()  # rank 0 has left, as far as this rank is concerned
                return waits


class Snapshots(logging.Handler):
    """When each snapshot began and ended, by what the record says."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "was renewed in" in record.msg:
            now, seconds = time.perf_counter(), record.args[1]
            self.spans.append((now - seconds, now))


def lead(transport: Transport, n_trials: int, snapshots: Snapshots) -> Iterator[tuple[str, float]]:
    """Search as rank 0; figures of its process and its files."""
    yield "memory at the start [MB]", _memory_mb()
    with tempfile.TemporaryDirectory(prefix="scale") as folder:
        record = fake_study.create(Path(folder) / "study")
        logging.getLogger("snnhpo_mpi.record.saver").setLevel(logging.DEBUG)
        logging.getLogger("snnhpo_mpi.record.saver").addHandler(snapshots)
        followed = FollowedRecord(record, Announcer(Tally(n_trials), lambda _: None, lambda: None))
        Master(transport, Proposer(RandomSearch(fake_study.SPACE, 1)), followed, MasterSettings(budget=n_trials)).run()
        yield "largest memory while searching [MB]", _memory_mb()
        ended = time.perf_counter()
        record.close("complete")
        yield "last snapshot, within rank 0 [s]", time.perf_counter() - ended
        yield "largest memory in the end [MB]", _memory_mb()
        yield "journal [MB]", (record.folder / "journal.jsonl").stat().st_size / 2**20
        yield "study.h5 [MB]", (record.folder / "study.h5").stat().st_size / 2**20


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def phase(waits: np.ndarray, spans: list[tuple[float, float]]) -> Iterator[tuple[str, float]]:
    """Figures of some trials (rows: number, moment, wait) and of the snapshots meanwhile (begin, end)."""
    at, lengths = waits[:, 1], waits[:, 2]
    spans = [(start, stop) for start, stop in spans if start < at.max() and stop > at.min()]
    beside = np.zeros(len(at), dtype=bool)
    for start, stop in spans:
        beside |= (start <= at) & (at - lengths <= stop)
    yield "trials a second", len(at) / float(at.max() - at.min())
    yield "snapshots", len(spans)
    if spans:
        seconds = [stop - start for start, stop in spans]
        yield "snapshot, median [s]", float(np.median(seconds))
        yield "snapshot, longest [s]", max(seconds)
    for which, chosen in (("beside a snapshot", lengths[beside]), ("otherwise", lengths[~beside])):
        if len(chosen):
            yield f"wait {which}, median [ms]", 1e3 * float(np.median(chosen))
            yield f"wait {which}, 99th percentile [ms]", 1e3 * float(np.quantile(chosen, 0.99))
            yield f"wait {which}, longest [ms]", 1e3 * float(chosen.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000, help="quick ones")
    parser.add_argument("--slow", type=int, default=1_000, help="slow ones after them")
    args = parser.parse_args()
    transport = mpi.connect(os.environ)
    world = mpi4py.MPI.COMM_WORLD
    if transport.rank:
        world.gather(work(transport, args.trials))
        closed = world.Ibarrier()
        while not closed.Test():  # rank 0 has the machine for itself meanwhile
            time.sleep(0.1)
        transport.close()
        return
    snapshots = Snapshots()
    for name, figure in lead(transport, args.trials + args.slow, snapshots):
        print(f"| {name} | {figure:,.4g} |", flush=True)
    waits = np.concatenate(world.gather([])[1:])
    for name, of_phase in (("quick", waits[:, 0] < args.trials), ("slow", waits[:, 0] >= args.trials)):
        for what, figure in phase(waits[of_phase], snapshots.spans) if of_phase.any() else ():
            print(f"| {name}: {what} | {figure:,.4g} |")
    world.Ibarrier().Wait()
    transport.close()


if __name__ == "__main__":
    main()
