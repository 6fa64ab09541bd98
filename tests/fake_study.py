"""A study as the real program would record it, made up: a Diehl & Cook search where much of the space is silent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.record import StudyRecord, writer
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Asked, Ended, Event, Outcome, Progress, Started, State, Trial, trial_seed

PARAMETERS: dict[str, Any] = {
    "map_size": IntParameter(type="int", low=20, high=400),
    "nu_pre": FloatParameter(type="float", low=1e-4, high=1e-2, scale="log"),
    "nu_post": FloatParameter(type="float", low=1e-4, high=1e-2, scale="reverse_log"),
    "strength_exc": FloatParameter(type="float", low=1, high=500),
    "e_thresh": FloatParameter(type="float", low=-59, high=0),
    "norm": FloatParameter(type="float", low=78.4, high=784, scale="log"),
    "epochs": IntParameter(type="int", low=1, high=3),
    "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram", 3)),
}
SPACE = Space(PARAMETERS)
CONSTRAINTS = ("silent_excitatory", "silent_inhibitory")
CONFIG: dict[str, Any] = {
    "study": {"name": "fake", "seed": 1},
    "budget": {"trials": 60, "wall_time": None, "stop_before_end": 600.0},
    "objectives": ["accuracy"],
    "optimizer": {"name": "scbo", "engine": "fast", "initial": 12, "study": None},
    "pruning": {"rule": "none", "spare": 0.05},
    "trainer": {
        "name": "stdp",
        "dataset": {"name": "digits5000", "train": 1000, "held_out": 500},
        "readout": "latest",
        "readout_samples": 1000,
    },
    "stopping": [
        {"layer": "excitatory", "alpha": 5, "beta": 0.1, "rule": "sequential", "check_every": None},
        {"layer": "inhibitory", "alpha": 1, "beta": 0.1, "rule": "sequential", "check_every": None},
    ],
    "record": {"flush_every": 30.0},
    "space": {name: parameter.model_dump() for name, parameter in PARAMETERS.items()},
    "baseline": None,
}
CONFIG_TEXT = "study: {name: fake, seed: 1}\n# and so on\n"
PROVENANCE = {"version_torch": "2.14.1", "host": "node01", "git_commit": "0123abc", "python": "3.11.7"}
T0 = 1_760_000_000.0


def config(**changes: Any) -> dict[str, Any]:
    return CONFIG | changes


def create(folder: Path, configuration: dict[str, Any] = CONFIG, **options: Any) -> StudyRecord:
    return StudyRecord.create(folder, CONFIG_TEXT, configuration, SPACE, CONSTRAINTS, PROVENANCE, **options)


def resume(folder: Path, configuration: dict[str, Any] = CONFIG, **options: Any) -> StudyRecord:
    return StudyRecord.open(folder, CONFIG_TEXT, configuration, SPACE, CONSTRAINTS, PROVENANCE, **options)


def trial(number: int) -> Trial:
    rng = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(number,)))
    x = rng.random(SPACE.dim)
    if number >= 12:  # the optimizer learns: later trials come closer to a good region
        pull = 0.75 * (1 - np.exp(-(number - 12) / 25))
        x = (1 - pull) * x + pull * GOOD
    return Trial(number, SPACE.decode(x), trial_seed(1, number))


GOOD = np.array([0.8, 0.6, 0.4, 0.55, 0.3, 0.5, 0.7, 0.2, 0.9, 0.1, 0.3])


def outcome(of: Trial, *, state: State | None = None, n_checks: int = 20) -> Outcome:
    """What the made-up network gives: silent where the threshold is high and the drive weak."""
    rng = np.random.default_rng(of.seed)
    x = SPACE.encode(of.params)
    silence = float(np.clip(0.9 * x[4] - 0.5 * x[3] - 0.3 * x[5] + 0.15 + 0.05 * rng.normal(), 0, 1))
    epochs = int(of.params["epochs"])
    planned = 1000 * epochs
    if state is None:
        state = State.STOPPED if silence > 0.1 else State.COMPLETED
        if rng.random() < 0.04:
            state = State.FAILED
    accuracy = float(np.clip(0.85 - 1.5 * np.mean((x[:6] - GOOD[:6]) ** 2) - 0.2 * silence + 0.02 * rng.normal(), 0, 1))
    if state in (State.FAILED, State.LOST):
        reasons = (
            "RuntimeError: CUDA out of memory",
            "killed: over the time limit of 6 h",
            "ValueError: <b>NaN</b> & co",
        )
        error = f"Traceback (most recent call last):\n  File 'stdp.py', line 3\n{reasons[of.number % 3]}"
        return Outcome(of.number, state, error=error)
    stopped = state is State.STOPPED
    seen = int(rng.integers(40, 400)) if stopped else planned
    seconds = seen * 0.02 * (0.5 + x[0])
    metrics = {
        "train_accuracy": accuracy * 0.9,
        "train_seconds": seconds,
        "score_seconds": 0.0 if stopped else 4.0,
        "n_samples": float(seen),
        "n_samples_planned": float(planned),
        "peak_memory_mb": 500 + 900 * float(x[0]),
    }
    metrics |= {"stopped_at": float(seen)} if stopped else {"accuracy": accuracy}
    checks = np.linspace(0, 1, n_checks)
    curves: dict[str, Any] = {
        "train_accuracy": [accuracy * 0.9 * (1 - 0.5**epoch) for epoch in range(1, epochs + 1)],
        "silent_rate_excitatory": (silence * (1 + 0.3 * np.exp(-5 * checks))).tolist(),
        "silent_rate_inhibitory": (0.6 * silence * (1 + 0.3 * np.exp(-5 * checks))).tolist(),
        "spikes_excitatory": (30 * (1 - silence) * (1 + 0.3 * rng.random(10))).tolist(),
        "spikes_inhibitory": (25 * (1 - silence) * (1 + 0.3 * rng.random(10))).tolist(),
    }
    constraints = (silence - 0.1, 0.6 * silence - 0.1)
    n_scored = seen if stopped else 500
    return Outcome(of.number, state, {"accuracy": accuracy}, constraints, metrics, curves, n_scored=n_scored)


def events(
    n: int, n_workers: int = 4, *, state: State | None = None, first: int = 0, t0: float = T0, n_checks: int = 20
) -> Iterator[Event]:
    """The life of trials ``first .. n - 1`` on some workers, in the order of time; the last few are still out."""
    free = [(t0 + 2.0 * rank, rank) for rank in range(1, n_workers + 1)]
    pending: list[tuple[float, int, Event]] = []
    for number in range(first, n):
        at, rank = min(free)
        free.remove((at, rank))
        for due in sorted((event for event in pending if event[0] <= at), key=lambda event: event[:2]):
            pending.remove(due)
            yield due[2]
        asked = trial(number)
        result = outcome(asked, state=state, n_checks=n_checks)
        seconds = float(result.metrics.get("train_seconds", 5.0) + result.metrics.get("score_seconds", 0.0))
        lengths = [0.5 + 0.1 * j for j in range(SPACE.dim)]
        yield Asked(
            asked, at - 0.5, {"length": 0.8 * 0.5 ** (number // 30), "lengthscales": lengths, "ask_seconds": 0.2}
        )
        yield Started(number, rank, at)
        pending.append((at + seconds, rank, Ended(result, rank, at + seconds, seconds)))
        free.append((at + seconds + 0.3, rank))
    for due in sorted(pending, key=lambda event: event[:2])[: max(0, len(pending) - n_workers)]:
        yield due[2]


class Clock:
    """The time of the made-up study, for the record's writer."""

    def __init__(self, at: float) -> None:
        self.at = at

    def time(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@contextmanager
def at(clock: Clock) -> Iterator[None]:
    """Lets the record's writer live in another time."""
    with mock.patch.object(writer, "time", clock):
        yield


def written(
    folder: Path,
    n: int = 30,
    *,
    close: str | None = "complete",
    configuration: dict[str, Any] = CONFIG,
    n_workers: int = 4,
    live: bool = False,
    **options: Any,
) -> Path:
    """A folder with such a study, ended in a state, left as by a crash (``close=None``), or going on (``live``)."""
    t0 = time.time() - 3600 if live else T0
    happened = list(events(n, n_workers, t0=t0, **options))
    last = max((event.at for event in happened), default=t0)
    if live:  # the latest event was a moment ago
        happened = [replace(event, at=event.at + time.time() - last - 2) for event in happened]
    clock = Clock(happened[0].at - 1 if happened else t0)
    with at(clock):
        record = create(folder, configuration)
        for rank in range(1, n_workers + 1):
            record.worker(rank, f"node{(rank - 1) // 4:02d}", f"GPU {(rank - 1) % 4}")
        record.append(*happened)
        clock.at = (happened[-1].at if happened else t0) + 1
        if live:
            for rank, row in {int(record.read().rank[row]): row for row in running(record)}.items():
                number = int(record.read().number[row])
                seen = int(np.random.default_rng(number).integers(100, 1900))
                silent = {"excitatory": 0.04, "inhibitory": 0.01}
                record.progress(
                    rank,
                    Progress(number, 1 + seen // 1000, seen, 2000, 0.3 + seen / 5000, silent, {"excitatory": 21.4}),
                )
            clock.at += 10
            record.maintain()
            record._saver.wait()
            LIVE.append(record)
        elif close is not None:
            record.close(close)
        else:
            record._saver.wait()
            record._lock.release()
    return folder


LIVE: list[StudyRecord] = []  # kept from being collected


def running(record: StudyRecord) -> list[int]:
    return [int(row) for row in np.flatnonzero(record.read().state == "running")]
