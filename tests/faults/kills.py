"""Processes killed and halted at random moments, any number of times: what it cost."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from faulty_study import LIMIT_S, Study, longest_stall
from inject.sitecustomize import WHERE
from mpi_families import Family

from snnhpo_mpi.record import exists

END_S = 30.0  # from a rank's death to the end of its job, where the MPI does not go on
Make = Callable[..., Study]
ULFM = ("--enable-recovery", "--with-ft", "ulfm")


@dataclass
class Cost:
    """What a fault did.

    Attributes:
        fault: in words.
        times: injected.
        lost: results that were acknowledged before and are gone or changed after.
        stall_s: longest time without work: from a result to the same rank's next trial, or from the fault to the end
            of the job where the job ends.
    """

    fault: str
    times: int = 0
    lost: int = 0
    stall_s: float = 0.0

    def add(self, lost: int, stall_s: float, times: int = 0) -> None:
        self.times += times
        self.lost += lost
        self.stall_s = max(self.stall_s, stall_s)


def kill_rank_0(make: Make, family: Family, times: int, rng: random.Random, trials: int = 200) -> Cost:
    """By turns at a moment by the clock and inside a write; each time the study is resumed, and in the end complete."""
    cost = Cost(f"rank 0 killed, {family}")
    while cost.times < times:
        one = make(family, trials=trials, seconds=0.05, seed=rng.randrange(1000))
        acknowledged: dict[int, dict] = {}
        for _ in range(10):
            fallen_s = _kill_once(one, rng, acknowledged, cost.times % 2 == 1) if cost.times < times else None
            if fallen_s is None:
                break
            cost.add(0, fallen_s, times=1)
            if exists(one.record):  # the very first write may have been cut
                one.data()  # what a reader sees of it
        assert one.run("--resume") == 0, one.output
        cost.add(one.check_whole(acknowledged), longest_stall(one.events()))
    return cost


def _kill_once(one: Study, rng: random.Random, acknowledged: dict[int, dict], inside: bool) -> float | None:
    """Seconds until all of the job is gone; None if the search was complete before."""
    where = {"FAULTY_KILL": f"{rng.choice(WHERE)}:{rng.randint(1, 12)}"} if inside else {}
    n_sessions = len(one.events("session"))
    process = one.start("--resume", **where)
    end = time.monotonic() + LIMIT_S
    kill_at = float("inf") if inside else None
    while process.poll() is None:
        assert time.monotonic() < end, one.output
        acknowledged.update(one.acknowledged())
        if kill_at is None and len(one.events("session")) > n_sessions:
            kill_at = time.monotonic() + rng.uniform(0.0, 0.8)
        if kill_at is not None and time.monotonic() >= kill_at:
            acknowledged.update(one.acknowledged())
            os.kill(one.pid_of_rank(0), signal.SIGKILL)
            break
        time.sleep(0.02)
    fell = time.monotonic()
    code = process.wait(END_S)
    one.wait_until_gone(END_S)
    if code == 0:
        return None
    assert code != 2 and "Traceback" not in one.output, one.output
    return time.monotonic() - fell


def kill_worker_rank(make: Make, family: Family, times: int, rng: random.Random) -> Cost:
    """The job ends within ``END_S``, and the study resumes from its record."""
    cost = Cost(f"worker rank killed, {family}")
    for _ in range(times):
        one = make(family, trials=12, seed=rng.randrange(1000))
        process = one.start()
        one.wait_for(lambda one=one: len(one.events("ended")) >= 3, process)
        time.sleep(rng.uniform(0.0, 0.3))
        acknowledged = one.acknowledged()
        os.kill(one.pid_of_rank(rng.randint(1, one.n_workers)), signal.SIGKILL)
        fell = time.monotonic()
        assert process.wait(END_S) != 0
        one.wait_until_gone(END_S)
        cost.add(0, time.monotonic() - fell, times=1)
        assert one.run("--resume") == 0, one.output
        cost.add(one.check_whole(acknowledged), longest_stall(one.events()))
    return cost


def kill_worker_rank_with_recovery(make: Make, family: Family, times: int, rng: random.Random) -> Cost:
    """Open MPI with ULFM: the others go on to the end."""
    cost = Cost(f"worker rank killed, {family} with {' '.join(ULFM)}")
    for _ in range(times):
        one = make(family, trials=20, seed=rng.randrange(1000), flags=ULFM)
        process = one.start()
        one.wait_for(lambda one=one: len(one.events("ended")) >= 4, process)
        time.sleep(rng.uniform(0.0, 0.3))
        acknowledged = one.acknowledged()
        os.kill(one.pid_of_rank(1), signal.SIGKILL)
        code = process.wait(LIMIT_S)
        # With a dead rank Open MPI sometimes hangs in Finalize, after the search: our watchdog then ends the rank.
        assert code == 0 or "Timeout (0:00:10)!" in one.output, one.output
        cost.add(one.check_whole(acknowledged), longest_stall(one.events()), times=1)
    return cost


def kill_evaluators(make: Make, family: Family | None, times: int, rng: random.Random, per_study: int = 5) -> Cost:
    """The trial fails with its reason; nothing else happens."""
    cost = Cost(f"evaluator killed, {family or 'without MPI'}")
    while cost.times < times:
        n_kills = min(per_study, times - cost.times)
        one = make(family, trials=6 * n_kills, seed=rng.randrange(1000))
        process = one.start()
        killed: set[int] = set()

        def victims(one: Study = one, killed: set[int] = killed) -> list[int]:
            return [pid for pid in one.evaluators() if pid not in killed and psutil.pid_exists(pid)]

        for _ in range(n_kills):
            one.wait_for(victims, process)
            time.sleep(rng.uniform(0.0, 0.4))
            victim = rng.choice(victims() or [0])
            if victim and not one.data().ended.all():
                acknowledged = one.acknowledged()
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
        assert process.wait(LIMIT_S) == 0, one.output
        data = one.data()
        assert sum(state == "failed" for state in data.state) <= len(killed)
        assert all("SIGKILL" in error for error in data.errors().values())
        cost.add(one.check_whole(acknowledged), longest_stall(one.events()), times=len(killed))
    return cost


def halt_evaluators(make: Make, family: Family | None, times: int, rng: random.Random) -> Cost:
    """Its trial is sent to another rank; when it wakes up, the second result of that trial is discarded."""
    cost = Cost(f"evaluator halted for longer than the heartbeat, {family or 'without MPI'}")
    for _ in range(times):
        one = make(family, trials=40, seconds=0.3, seed=rng.randrange(1000))
        process = one.start()
        one.wait_for(lambda one=one: len(one.events("ended")) >= 3, process)
        time.sleep(rng.uniform(0.0, 0.3))
        acknowledged = one.acknowledged()
        halted = one.evaluators()[0]
        os.kill(halted, signal.SIGSTOP)
        one.wait_for(lambda one=one: _sent_again(one), process)
        assert "is lost: silent" in one.output
        os.kill(halted, signal.SIGCONT)
        one.wait_for(lambda one=one: "is back" in one.output, process)
        assert process.wait(LIMIT_S) == 0, one.output
        assert set(one.data().state) == {"completed"}
        assert "another result of trial" in one.output
        others = [event for event in one.events() if event.get("rank") != _rank_of_lost(one)]
        cost.add(one.check_whole(acknowledged), longest_stall(others), times=1)
    return cost


def _sent_again(one: Study) -> bool:
    started = [event["number"] for event in one.events("started")]
    return len(set(started)) < len(started)


def _rank_of_lost(one: Study) -> int:
    (line,) = [line for line in one.output.splitlines() if "is lost: silent" in line]
    return int(line.partition("rank ")[2].split()[0])
