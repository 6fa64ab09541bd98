"""Studies side by side: how the best feasible network came about over time, and what it cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhpo_mpi.analysis import curves, points
from snnhpo_mpi.analysis.points import Floats
from snnhpo_mpi.analysis.repeats import is_retraining
from snnhpo_mpi.analysis.summary import Summary, is_own_function, objective_name, summarise
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.record import StudyData

_OF_A_REPETITION = ("study", "workers", "record")  # sections that may differ between repetitions
SHARES = (0.5, 0.8, 0.9, 1.0)  # of the best that every study reached: the levels to time without others given


@dataclass(frozen=True, slots=True)
class Reached:
    """When, and after how many trials, a study first had a feasible network of some objective; None if it never had."""

    level: float
    seconds: float | None
    worker_seconds: float | None
    trials: int | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One study of a comparison.

    Attributes:
        label: its name, with the folder where two share one.
        objective: what it is, for people.
        measured_on: what it is a score on: the held-out samples, or the user's function.
        samples: how many train and score.
        constraints: what a feasible trial has to satisfy.
        reached: when it first had each level.
        seed: of the study.
        configuration: as JSON, without what may differ between repetitions: name, seed, and how it is run.
    """

    label: str
    objective: str
    measured_on: str
    samples: str
    constraints: str
    summary: Summary
    incumbent: curves.Incumbent
    reached: tuple[Reached, ...]
    configuration: str
    seed: int | None


def compare(studies: Sequence[StudyData], levels: Sequence[float] = ()) -> list[Compared]:
    """The studies in the order given.

    Args:
        studies: at least one.
        levels: objectives to time; by default shares of the best that all of them reached, if their objectives are
            the same thing.

    Raises:
        ConfigError: a retraining is among them, which has no best.
    """
    for data in studies:
        if is_retraining(data):
            raise ConfigError(
                f"{data.folder} is a retraining, in which nothing is searched: `snnhpo report {data.folder}` has the "
                "mean and standard deviation of its candidates"
            )
    told = [curves.incumbent(data) for data in studies]
    if not levels and len({_measured_on(data) for data in studies}) == 1:
        finals = [one.best[-1] for one in told if len(one.best) and not np.isnan(one.best[-1])]
        levels = [share * min(finals) for share in SHARES] if finals and min(finals) > 0 else finals[:1]
    return [
        Compared(
            label,
            objective_name(data),
            _measured_on(data),
            _samples(data),
            _constraints(data),
            summarise(data),
            one,
            tuple(_reached(one, level) for level in levels),
            _configuration(data),
            (data.config.get("study") or {}).get("seed"),
        )
        for label, data, one in zip(_labels(studies), studies, told, strict=True)
    ]


def _configuration(data: StudyData) -> str:
    return json.dumps({key: value for key, value in data.config.items() if key not in _OF_A_REPETITION}, sort_keys=True)


def _measured_on(data: StudyData) -> str:
    trainer = data.config.get("trainer") or {}
    if is_own_function(data):
        return str(trainer.get("function", "a function"))
    return str((trainer.get("dataset") or {}).get("name", "-"))


def _constraints(data: StudyData) -> str:
    """Names, and for monitors the limits."""
    limits = {}
    for monitor in data.config.get("stopping") or ():
        limits[f"silent_{monitor['layer']}"] = f"(alpha {monitor['alpha']}, beta {monitor['beta']:g})"
    for monitor in data.config.get("saturation") or ():
        parts = [f"{key} {monitor[key]:g}" for key in ("limit", "share", "beta") if key in monitor]
        limits[f"saturated_{monitor['layer']}"] = f"({', '.join(parts)})"
    return ", ".join(" ".join([name, limits.get(name, "")]).strip() for name in data.constraint_names) or "none"


def notes(compared: Sequence[Compared]) -> list[str]:
    """Why these studies' numbers may not be set against each other."""
    found = []
    if len({(one.objective, one.measured_on) for one in compared}) > 1:
        each = "; ".join(f"{one.label}: {one.objective} of {one.measured_on}" for one in compared)
        found.append(f"the objectives are not the same thing, so their values cannot be compared ({each})")
    elif len({one.samples for one in compared}) > 1:
        found.append("the numbers of training or held-out samples differ, and accuracies depend on them")
    if len({one.constraints for one in compared}) > 1:
        each = "; ".join(f"{one.label}: {one.constraints}" for one in compared)
        found.append(f"the constraints differ, so a feasible trial is not the same thing ({each})")
    return found


def _samples(data: StudyData) -> str:
    dataset = (data.config.get("trainer") or {}).get("dataset") or {}
    return f"{dataset['train']}, {dataset['held_out']}" if {"train", "held_out"} <= dataset.keys() else "-"


def _labels(studies: Sequence[StudyData]) -> list[str]:
    """Names, with the folder where two studies share one."""
    counts = Counter(data.name for data in studies)
    return [data.name if counts[data.name] == 1 else str(data.folder) for data in studies]


def _reached(told: curves.Incumbent, level: float) -> Reached:
    there = np.flatnonzero(told.best >= level)
    if not len(there):
        return Reached(level, None, None, None)
    first = int(there[0])
    return Reached(level, float(told.seconds[first]), float(told.worker_seconds[first]), first + 1)


@dataclass(frozen=True, slots=True)
class Pool:
    """Studies of one configuration, which differ by seed: repetitions of the same search.

    Attributes:
        label: of the one study, or what the names have in common and how many there are.
    """

    label: str
    members: tuple[Compared, ...]


def pools(compared: Sequence[Compared]) -> list[Pool]:
    """The studies by configuration, in the order in which each first comes; of one seed only one is in a pool."""
    found: list[list[Compared]] = []
    for one in compared:
        same = (pool for pool in found if pool[0].configuration == one.configuration)
        other_seeds = (pool for pool in same if one.seed not in [member.seed for member in pool])
        pool = next(other_seeds, None)
        if pool is None:
            found.append([one])
        else:
            pool.append(one)
    return [Pool(_pool_label([one.label for one in members]), tuple(members)) for members in found]


def _pool_label(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return labels[0]
    n_same = next((i for i, letters in enumerate(zip(*labels, strict=False)) if len(set(letters)) > 1), None)
    shared = labels[0][:n_same].rstrip("-_. /0123456789")
    return f"{shared} ({len(labels)} seeds)" if len(shared) > 2 else f"{labels[0]} and {len(labels) - 1} more"


def spread(values: Sequence[float]) -> tuple[float | None, float | None, int]:
    """Mean, standard deviation with n - 1 in its denominator, and n; None where there are too few values."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.mean(values)) if values else None
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return mean, sd, len(values)


def mean_reached(pool: Pool, level: int, part: str) -> float | None:
    """Mean seconds or trials until a level, None unless every study of the pool reached it."""
    values = [getattr(one.reached[level], part) for one in pool.members]
    return None if None in values else float(np.mean(values))


@dataclass(frozen=True, slots=True)
class Band:
    """The best feasible objective of a pool along a measure of the search's length.

    Attributes:
        at: g, places where it changes for any of the studies, from where all have a feasible trial to the end of the
            shortest. A study that never has one is left out.
        mean, low, high: g, over the studies.
    """

    at: Floats
    mean: Floats
    low: Floats
    high: Floats


def band(pool: Pool, along: str) -> Band:
    """Mean, lowest and highest best of a pool.

    Args:
        pool: of one study or more.
        along: ``trials`` (that ended), ``seconds`` or ``worker_seconds``.
    """
    lines = [(at, best) for at, best in (_line(one, along) for one in pool.members) if len(at)]
    if not lines:
        empty = np.empty(0)
        return Band(empty, empty, empty, empty)
    begin, end = max(at[0] for at, _ in lines), min(at[-1] for at, _ in lines)
    places = np.unique(np.concatenate([*(at for at, _ in lines), [begin, end]]))
    places = places[(places >= begin) & (places <= end)]
    values = np.array([best[np.searchsorted(at, places, side="right") - 1] for at, best in lines])
    with np.errstate(over="ignore", invalid="ignore"):
        return Band(places, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def _line(one: Compared, along: str) -> tuple[Floats, Floats]:
    """Where the best of a study changes and what it is there, and the end."""
    told = one.incumbent
    at = np.arange(1.0, len(told.best) + 1) if along == "trials" else getattr(told, along)
    best = points.shown(told.best)
    change = np.diff(best, prepend=np.nan) != 0
    change[-1:] = True
    keep = change & ~np.isnan(best)
    return at[keep], best[keep]


def as_dict(compared: Sequence[Compared]) -> dict[str, Any]:
    """What ``compare --json`` prints."""
    return {
        "notes": notes(compared),
        "studies": [
            {
                "study": one.label,
                "objective": one.objective,
                "measured_on": one.measured_on,
                "state": one.summary.state,
                "ended": one.summary.ended,
                "feasible": one.summary.feasible,
                "silent_share": one.summary.silent_share,
                "busy_share": one.summary.busy_share,
                "seconds": one.summary.seconds,
                "worker_seconds": one.summary.evaluation_seconds,
                "best": one.summary.best.objective if one.summary.best else None,
                "standard_error": one.summary.best.standard_error if one.summary.best else None,
                "n": one.summary.best.n if one.summary.best else None,
                "reached": [
                    {"objective": r.level, "seconds": r.seconds, "worker_seconds": r.worker_seconds, "trials": r.trials}
                    for r in one.reached
                ],
            }
            for one in compared
        ],
        "pools": [_pool_dict(pool) for pool in pools(compared)],
    }


def _pool_dict(pool: Pool) -> dict[str, Any]:
    levels = [reached.level for reached in pool.members[0].reached]
    bests = [one.summary.best.objective for one in pool.members if one.summary.best]
    return {
        "name": pool.label,
        "studies": [one.label for one in pool.members],
        "best": dict(zip(("mean", "sd", "n"), spread(bests), strict=True)),
        "reached": [
            {"objective": level,
             "n": sum(one.reached[i].seconds is not None for one in pool.members),
             "seconds": mean_reached(pool, i, "seconds"), "trials": mean_reached(pool, i, "trials")}
            for i, level in enumerate(levels)
        ],
    }  # fmt: skip
