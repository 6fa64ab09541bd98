"""What a trial costs rank 0 as the search grows: ``python growth.py 20 100 1000 10000 20000`` for d = 20.

One line a number of trials: seconds of the fits of three models, of an ask, of a durable write of the journal, of a
snapshot with curves (made beside the loop), of going on with the study, and the memory of the process.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from snnhpo_mpi.config import FloatParameter
from snnhpo_mpi.host.process_tuning import keep_freed_memory
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.record import StudyRecord
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial, trial_seed

N_ASKS, N_WRITES, N_PENDING, BATCH = 30, 30, 16, 500
CURVES = {"accuracy": 30, "silent_rate": 100}  # values a trial


def evaluate(trial: Trial) -> Outcome:
    """A quadratic with two constraints, of which half of the space violates each."""
    x = np.array(list(trial.params.values()), dtype=np.float64)
    curves = {name: [0.5] * n for name, n in CURVES.items()}
    constraints = float(x[::2].mean() - 0.5), float(0.5 - x[1::2].mean())
    return Outcome(
        trial.number,
        State.COMPLETED,
        {"accuracy": -float(((x - 0.4) ** 2).mean())},
        constraints,
        {"epochs": 3.0},
        curves,
    )


def random_trials(space: Space, n: int) -> Iterator[Trial]:
    rng = np.random.default_rng(0)
    for number in range(n):
        yield Trial(number, space.decode(space.snap(rng.random((1, space.dim)))[0]), trial_seed(0, number))


def events(trial: Trial) -> list[Asked | Started | Ended]:
    return [Asked(trial, 1.0), Started(trial.number, 1, 1.0), Ended(evaluate(trial), 1, 2.0, 1.0)]


def measure(d: int, n: int, folder: Path) -> dict[str, float]:
    space = Space({f"x{i}": FloatParameter(type="float", low=0.0, high=1.0) for i in range(d)})
    config = {"study": {"name": "growth", "seed": 0}}
    record = StudyRecord.create(folder, "", config, space, ("a", "b"), {}, flush_every_s=1e9)
    optimizer = ScboSearch(space, 2, 0, 20)
    batch: list[Asked | Started | Ended] = []
    for trial in random_trials(space, n):
        optimizer.adopt(trial)
        optimizer.tell(evaluate(trial))
        batch += events(trial)
        if len(batch) >= 3 * BATCH:
            record.append(*batch)
            batch = []
    record.append(*batch)
    record.close("interrupted")  # with a snapshot of everything
    started = time.perf_counter()
    record = StudyRecord.open(folder, "", config, space, ("a", "b"), {}, flush_every_s=1e9)
    open_s = time.perf_counter() - started
    first = optimizer.ask()
    fit_s = float(first.diagnostics["fit_seconds"])  # type: ignore[arg-type]
    pending, asks, writes = [first.trial, *(optimizer.ask().trial for _ in range(N_PENDING - 1))], [], []
    for _ in range(N_ASKS):
        trial = pending.pop(0)
        optimizer.tell(evaluate(trial))
        started = time.perf_counter()
        pending.append(optimizer.ask().trial)
        asks.append(time.perf_counter() - started)
        started = time.perf_counter()
        record.append(*events(trial))
        writes.append(time.perf_counter() - started)
    started = time.perf_counter()
    record.close("complete")  # with a snapshot of what is new
    return {
        "d": d,
        "n": n,
        "fit_s": fit_s,
        "ask_s": float(np.median(asks)),
        "write_s": float(np.median(writes)),
        "snapshot_s": time.perf_counter() - started,
        "open_s": open_s,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    keep_freed_memory()  # as rank 0 does
    d, *sizes = map(int, sys.argv[1:])
    for n in sizes:
        with tempfile.TemporaryDirectory(prefix="growth") as folder:
            print(json.dumps(measure(d, n, Path(folder) / "study")), flush=True)
