"""Ends of a job: told by a signal, by the clock, or in the middle of a trial that is longer than the grace."""

import os
import random
import signal
import time

from faulty_study import LIMIT_S, longest_stall
from kills import Cost, Make
from mpi_families import Family

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
CLOCKS = ("budget.wall_time", "Slurm's end of the job")


def stop_by_signal(make: Make, family: Family | None, number: signal.Signals, rng: random.Random) -> Cost:
    """No new trials, running ones finish, exit 75; the resumed study is whole."""
    cost = Cost(f"{number.name} to rank 0, {family or 'without MPI'}", times=1)
    one = make(family, trials=12, seconds=0.5, seed=rng.randrange(1000))
    process = one.start()
    one.wait_for(lambda: len(one.events("ended")) >= 3, process)
    acknowledged = one.acknowledged()
    os.kill(one.pid_of_rank(0), number)
    fell = time.monotonic()
    assert process.wait(LIMIT_S) == 75, one.output
    cost.add(0, time.monotonic() - fell)
    assert one.data().ended.all(), "running trials were given time to finish"
    assert not one.data().live
    assert one.run("--resume") == 0, one.output
    cost.add(one.check_whole(acknowledged), longest_stall(one.events()))
    return cost


def stop_by_clock(make: Make, family: Family | None, clock: str, rng: random.Random) -> Cost:
    """As by a signal, ``stop_before_end`` before the end that the clock tells."""
    cost = Cost(f"{clock}, {family or 'without MPI'}", times=1)
    one = make(family, trials=5000, seconds=0.5, stop_before_end="2s", seed=rng.randrange(1000))
    if clock == "budget.wall_time":
        code = one.run("--set", "budget.wall_time=5s")  # counted from the start of the search
    else:
        code = one.run(SLURM_JOB_END_TIME=str(int(time.time() + 15.0)))
    assert code == 75, one.output
    assert "stopping (out of time)" in one.output
    assert one.data().ended.all(), "running trials were given time to finish"
    acknowledged = one.acknowledged()
    one.trials = len(acknowledged) + 4
    assert one.run("--resume", "--trials", str(one.trials)) == 0, one.output
    cost.add(one.check_whole(acknowledged), longest_stall(one.events()))
    return cost


def cut_long_trial(make: Make, family: Family | None, rng: random.Random) -> Cost:
    """A trial longer than the grace is cut, and sent again with the same number, params and seed."""
    cost = Cost(f"end of the job in a trial longer than stop_before_end, {family or 'without MPI'}", times=1)
    one = make(family, trials=4, seconds=3600.0, stop_before_end="1s", seed=rng.randrange(1000), n_workers=1)
    process = one.start()
    one.wait_for(lambda: one.evaluators() and one.events("started"), process)
    asked = one.events("asked")[0]
    os.kill(one.pid_of_rank(0), signal.SIGTERM)
    fell = time.monotonic()
    assert process.wait(LIMIT_S) == 75, one.output
    one.wait_until_gone(LIMIT_S)
    cost.add(0, time.monotonic() - fell)
    assert not one.events("ended")
    one.seconds = 0.01
    one.write()
    assert one.run("--resume") == 3  # another duration is another study
    assert "-fixed.seconds: 3600.0\n+fixed.seconds: 0.01" in one.output
    assert one.run("--resume", "--accept-config") == 0, one.output
    first = one.events("ended")[0]
    assert first["number"] == asked["number"] == 0
    assert first["objectives"]["accuracy"] == asked["params"]["x"] and first["metrics"]["seed"] == asked["seed"]
    cost.add(one.check_whole({}), 0.0)
    return cost
