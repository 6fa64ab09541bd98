"""Evaluations that go wrong in every way: state, reason and traceback in the record, and the search goes on."""

import itertools
from collections import Counter, defaultdict

import pytest

from snnhpo_mpi.record import read

pytestmark = pytest.mark.mpi
REASONS = {
    "raises": "ValueError: no such network",
    "nan": "the objective is nan",
    "infinite_constraint": "the constraints are [inf]",
    "two_constraints": "1 constraints are configured",
    "no_objective": "ValueError: the function returned no objective",
    "segfault": "the evaluator was killed by SIGSEGV",
    "exits": "SystemExit: 3",
    "exits_at_once": "the evaluator exited with code 0",
    "killed": "the evaluator was killed by SIGKILL",
    "out_of_memory": "MemoryError",
    "hangs": "time limit",
}
HARMLESS = ("fine", "garbage", "forks", "forked_child_runs_on", "leaves_a_thread")
STALL_S = 10.0  # from a failure to the same rank's next trial, building the trainer included


def test_every_bad_evaluation_has_its_reason_and_the_search_goes_on(study):
    one = study(None, trials=60, seconds=0.01, choices=(*HARMLESS, *REASONS), seed=3, time_limit="2s")
    process = one.start()
    assert process.wait(120) == 0, one.output
    data = read(one.folder / "results" / "faulty")
    assert sorted(data.number) == list(range(60))
    errors = data.errors()
    seen = Counter()
    for row, number in enumerate(data.number):
        do = data.trial(row).params["do"]
        seen[do] += 1
        if do in HARMLESS:
            assert data.state[row] == "completed", (do, errors.get(number))
        else:
            assert data.state[row] == "failed", do
            assert errors[number].startswith(REASONS[do]), (do, errors[number])
    assert set(seen) == {*HARMLESS, *REASONS}
    assert _longest_stall(one.events()) < STALL_S


def _longest_stall(events):
    """Seconds between a rank's result and its next trial, at most."""
    times = defaultdict(list)
    for event in events:
        if event["kind"] in ("started", "ended"):
            times[event["rank"]].append((event["at"], event["kind"]))
    stalls = [0.0]
    for of_rank in times.values():
        of_rank.sort()
        for (before, first), (after, second) in itertools.pairwise(of_rank):
            if (first, second) == ("ended", "started"):
                stalls.append(after - before)
    return max(stalls)
