"""Seconds of asks and fits of the optimizer with many trials told: ``python optimizer_seconds.py 1000 2000``."""

from __future__ import annotations

import sys
import time

import numpy as np

from snnhpo_mpi.bench.optimizer import make_problem
from snnhpo_mpi.bench.scale import imagined_past
from snnhpo_mpi.host.process_tuning import keep_freed_memory
from snnhpo_mpi.optim.scbo import ScboSearch

N_ASKS = 100


def measure(n_told: int) -> None:
    """19 hyperparameters (22 columns), 2 constraints, 15 pending: every ask is followed by an answer."""
    problem = make_problem("silent_ridge")
    optimizer = ScboSearch(problem.space, problem.n_constraints, 0, problem.n_initial)
    for trial, outcome in imagined_past(problem, n_told):
        optimizer.adopt(trial)
        optimizer.tell(outcome)
    started = time.perf_counter()
    optimizer.ask()
    cold = time.perf_counter() - started
    pending = [optimizer.ask().trial for _ in range(15)]
    wall, processor = [], []
    for _ in range(N_ASKS):
        optimizer.tell(problem.evaluate(pending.pop(0)))
        started, used = time.perf_counter(), time.thread_time()
        pending.append(optimizer.ask().trial)
        wall.append(time.perf_counter() - started)
        processor.append(time.thread_time() - used)
    print(f"{n_told} told: cold fits and first ask {cold:.2f} s")
    print(f"  asks, fits beside them: wall median {1e3 * np.median(wall):.0f} ms, ", end="")
    print(f"99th percentile {1e3 * np.quantile(wall, 0.99):.0f} ms; processor {1e3 * np.median(processor):.0f} ms")


if __name__ == "__main__":
    keep_freed_memory()  # as rank 0 does
    for n in map(int, sys.argv[1:] or ["1000", "2000"]):
        measure(n)
