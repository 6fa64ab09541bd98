"""What a long study costs rank 0: memory, snapshots, and how long a worker waits for its next trial.

    python tests/faults/scale.py [--trials 20000] [--workers 16]

The real loop, proposer and record; the workers answer at once with made-up outcomes, with curves as a spiking network
gives them. A worker's wait is measured between its result and its next trial.
"""

import argparse
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

import fake_study  # noqa: E402
import numpy as np  # noqa: E402

from snnhpo_mpi.comm.master import Master, MasterSettings  # noqa: E402
from snnhpo_mpi.comm.messages import Hello, Ready, Result, Run, Stop, Stopped, decode, encode  # noqa: E402
from snnhpo_mpi.comm.proposer import Proposer  # noqa: E402
from snnhpo_mpi.comm.transport import LocalTransport, local_transports  # noqa: E402
from snnhpo_mpi.optim.sobol import RandomSearch  # noqa: E402
from snnhpo_mpi.progress import Announcer, FollowedRecord, Tally  # noqa: E402
from snnhpo_mpi.record import snapshot  # noqa: E402


def work(transport: LocalTransport, seconds: float, waits: list[tuple[float, float]]) -> None:
    """A worker that takes ``seconds`` for a trial; ``waits`` gets moment and length of each wait."""
    transport.send(0, encode(Hello("here", 1)))
    transport.send(0, encode(Ready("cpu")))
    answered = None
    while True:
        received = transport.receive()
        if received is None:
            transport.wait(1.0)
            continue
        match decode(received[1]):
            case Run(trial):
                now = time.perf_counter()
                if answered is not None:
                    waits.append((now, now - answered))
                result = encode(Result(fake_study.outcome(trial, n_checks=100), seconds))
                time.sleep(seconds)
                answered = time.perf_counter()
                transport.send(0, result)
            case Stop():
                transport.send(0, encode(Stopped()))
                return


def measure(folder: Path, n_trials: int, n_workers: int, seconds: float) -> dict[str, float]:
    saves: list[tuple[float, float]] = []
    save = snapshot.save

    def timed(*arguments: object, **options: object) -> None:
        began = time.perf_counter()
        save(*arguments, **options)
        saves.append((began, time.perf_counter()))

    snapshot.save = timed
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    record = fake_study.create(folder)
    ends = local_transports(1 + n_workers)
    waits: list[tuple[float, float]] = []
    threads = [threading.Thread(target=work, args=(end, seconds, waits)) for end in ends[1:]]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    followed = FollowedRecord(record, Announcer(Tally(n_trials), lambda _: None, lambda: None))
    settings = MasterSettings(budget=n_trials)
    Master(ends[0], Proposer(RandomSearch(fake_study.SPACE, 1)), followed, settings).run()
    took_s = time.perf_counter() - began
    record.close("complete")
    for thread in threads:
        thread.join()
    lengths = np.array([length for _, length in waits])
    beside = np.array([any(start <= at and at - length <= stop for start, stop in saves) for at, length in waits])
    return {
        "trials": n_trials,
        "workers": n_workers,
        "seconds": took_s,
        "memory before [MB]": before_mb,
        "largest memory [MB]": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "journal [MB]": (folder / "journal.jsonl").stat().st_size / 2**20,
        "study.h5 [MB]": (folder / "study.h5").stat().st_size / 2**20,
        "snapshots": len(saves),
        "last snapshot [s]": saves[-1][1] - saves[-1][0],
        "longest snapshot [s]": max(stop - start for start, stop in saves),
        "wait for the next trial, median [ms]": 1e3 * float(np.median(lengths)),
        "... 99.9th percentile [ms]": 1e3 * float(np.quantile(lengths, 0.999)),
        "... longest while a snapshot is saved [ms]": 1e3 * float(lengths[beside].max(initial=0.0)),
        "... longest otherwise [ms]": 1e3 * float(lengths[~beside].max(initial=0.0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.2, help="of a trial")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale") as folder:
        figures = measure(Path(folder) / "study", args.trials, args.workers, args.seconds)
    for name, figure in figures.items():
        print(f"| {name} | {figure:,.4g} |")


if __name__ == "__main__":
    main()
