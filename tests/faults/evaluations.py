"""Evaluations that go wrong in every way: state, reason and traceback in the record, and the search goes on."""

import random
from collections import Counter

from faulty_study import LIMIT_S, Study, longest_stall
from kills import Cost, Make
from mpi_families import Family

from snnhpo_mpi.config import load_config
from snnhpo_mpi.optim.sobol import RandomSearch
from snnhpo_mpi.space import Space

REASONS = {
    "raises": "ValueError: no such network",
    "nan": "the objective is nan",
    "infinite": "the objective is inf",
    "beyond_floats": "OverflowError: objective is an integer too large for a float",
    "infinite_constraint": "the constraints are [inf]",
    "two_constraints": "1 constraint is configured",
    "no_objective": "ValueError: the function returned no objective",
    "segfault": "the evaluator was killed by SIGSEGV",
    "exits": "SystemExit: 3",
    "exits_at_once": "the evaluator exited with code 0",
    "killed": "the evaluator was killed by SIGKILL",
    "out_of_memory": "MemoryError",
    "runs_into_a_memory_limit": "MemoryError",
    "hangs": "time limit",
}
RAISED = ("raises", "beyond_floats", "no_objective", "exits", "out_of_memory", "runs_into_a_memory_limit")
HARMLESS = ("fine", "garbage", "forks", "forked_child_runs_on", "leaves_a_thread", "many_metrics")


def bad_evaluations(make: Make, family: Family | None, times: int, rng: random.Random) -> Cost:
    """A study of evaluations of every kind, so that each of them comes about ``times`` times."""
    kinds = (*HARMLESS, *REASONS)  # 20 of them
    one = make(family, trials=times * len(kinds), seconds=0.01, choices=kinds, time_limit="2s")
    one.seed = _seed_that_draws_all(one, rng)
    one.write()
    assert one.start().wait(LIMIT_S + 5 * one.trials) == 0, one.output
    data, errors = one.data(), one.data().errors()
    seen: Counter[str] = Counter()
    for row, number in enumerate(data.number):
        do = data.trial(row).params["do"]
        seen[do] += 1
        if do in HARMLESS:
            assert data.state[row] == "completed", (do, errors.get(number))
        else:
            assert data.state[row] == "failed", do
            assert errors[number].startswith(REASONS[do]), (do, errors[number])
            assert ("Traceback" in errors[number]) == (do in RAISED), (do, errors[number])
        if do == "many_metrics":
            assert data.metrics["metrics_cut"][row] > 0
    assert set(seen) == set(kinds)
    lost = one.check_whole(one.acknowledged())
    n_bad = sum(seen[do] for do in kinds if do != "fine")
    return Cost(
        f"bad evaluations of {len(kinds) - 1} kinds, {family or 'without MPI'}",
        n_bad,
        lost,
        longest_stall(one.events()),
    )


def _seed_that_draws_all(one: Study, rng: random.Random) -> int:
    space = Space(load_config(one.folder / "faulty.yaml").space)
    while True:
        seed = rng.randrange(10**6)
        search = RandomSearch(space, seed)
        if {search.ask().trial.params["do"] for _ in range(one.trials)} == set(one.choices):
            return seed
