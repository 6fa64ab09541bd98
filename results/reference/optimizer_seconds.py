"""Seconds of asks and fits of the optimizer with many trials told: ``python optimizer_seconds.py 1000 2000``."""

from __future__ import annotations

import sys
import time

import numpy as np

from snnhpo_mpi.bench.optimizer import make_problem
from snnhpo_mpi.optim.scbo import Scbo
from snnhpo_mpi.trial import Trial, trial_seed

N_ASKS = 100
SPREAD = 0.15  # of the half of the trials that lie around a feasible one, as late in a search


def measure(n_told: int) -> None:
    """19 hyperparameters (22 columns), 2 constraints, 15 pending: every ask is followed by an answer."""
    problem, rng = make_problem("silent_ridge"), np.random.default_rng(0)
    space, optimizer = problem.space, Scbo(problem.space, problem.n_constraints, 0, problem.n_initial)
    points = (space.snap(rng.random((1, space.dim)))[0] for _ in iter(int, 1))
    center = next(x for x in points if problem.evaluate(Trial(0, space.decode(x), 1)).feasible)
    for number in range(n_told):
        x = np.clip(center + SPREAD * rng.standard_normal(space.dim), 0, 1) if number % 2 else rng.random(space.dim)
        trial = Trial(number, space.decode(x), trial_seed(0, number))
        optimizer.adopt(trial)
        optimizer.tell(problem.evaluate(trial))
    started = time.perf_counter()
    optimizer.ask()
    cold = time.perf_counter() - started
    pending = [optimizer.ask() for _ in range(15)]
    wall, processor = [], []
    for _ in range(N_ASKS):
        optimizer.tell(problem.evaluate(pending.pop(0)))
        started, used = time.perf_counter(), time.thread_time()
        pending.append(optimizer.ask())
        wall.append(time.perf_counter() - started)
        processor.append(time.thread_time() - used)
    print(f"{n_told} told: cold fits and first ask {cold:.2f} s")
    print(f"  asks, fits beside them: wall median {1e3 * np.median(wall):.0f} ms, ", end="")
    print(f"99th percentile {1e3 * np.quantile(wall, 0.99):.0f} ms; processor {1e3 * np.median(processor):.0f} ms")


if __name__ == "__main__":
    for n in map(int, sys.argv[1:] or ["1000", "2000"]):
        measure(n)
