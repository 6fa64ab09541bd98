"""Is the search of the quick start better than random search? Many seeds of both, with the demo's own configuration.

    python results/reference/measure_quickstart.py run FOLDER [--seeds 1 2 3]    searches and trains the best again
    python results/reference/measure_quickstart.py say FOLDER                    prints the comparison, writes seeds.csv

``run`` may be stopped at any time; called again, it goes on. Both searches of a seed have the same split of the data,
the same trial 0 and the same number of trials; the time limits of the demo are lifted, so that a busy machine changes
no result. The best of a search is trained again on all that the search had, and tested on what it left untouched.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from snnhpo_mpi.analysis.repeats import repeats
from snnhpo_mpi.record import StudyData, exists, read

CONFIG = Path(__file__).parents[2] / "configs" / "quickstart.yaml"
TABLE = Path(__file__).parent / "quickstart" / "seeds.csv"
OPTIMIZERS = ("scbo", "random")
REPEATS = 3
AT = (20, 40, 60, 80)  # trials, where the best so far is noted


def run(folder: Path, seeds: list[int]) -> None:
    """Search with both optimizers, seed by seed; then train each one's best again."""
    each = [(seed, optimizer, folder / optimizer / str(seed)) for seed in seeds for optimizer in OPTIMIZERS]
    for seed, optimizer, place in each:
        sets = [f"study.seed={seed}", f"optimizer.name={optimizer}", "budget.wall_time=2d", "trainer.time_limit=1h"]
        options = [part for setting in sets for part in ("--set", setting)]
        snnhpo("run", str(CONFIG), "--workers", "2", "--resume", "--results", str(place), *options)
        data = read(place / "quickstart")
        print(f"seed {seed}, {optimizer}: best {incumbents(data)[-1]:.3f}, {worker_seconds(data)} s", flush=True)
    for seed, optimizer, place in each:
        snnhpo("retrain", str(place / "quickstart"), "--repeats", str(REPEATS), "--workers", "2")
        (again,) = repeats(read(place / "quickstart" / "retrain"))
        print(f"seed {seed}, {optimizer}: trained again {again.mean:.3f}", flush=True)


def snnhpo(*arguments: str) -> None:
    """Run a command of the program.

    Raises:
        CalledProcessError: it failed.
    """
    subprocess.run([sys.executable, "-m", "snnhpo_mpi", *arguments], check=True, stdout=subprocess.DEVNULL)


def incumbents(data: StudyData) -> NDArray[np.float64]:
    """Best held-out accuracy of a feasible network after each trial, in the order asked; NaN before the first."""
    scores = np.where(data.completed & data.feasible, data.objective, -np.inf)
    best = np.maximum.accumulate(scores)
    return np.where(np.isfinite(best), best, np.nan)


def worker_seconds(data: StudyData) -> float:
    """Of all trials, by the workers' own clocks."""
    return round(float(np.nansum(data.frame()["seconds"])), 1)


def samples(data: StudyData) -> NDArray[np.float64]:
    """Presentations of each trial, the work that no busy machine changes: to learn, to fit the decoder, to score."""
    dataset = data.config["trainer"]["dataset"]
    return data.metrics["n_samples"] + np.where(data.completed, dataset["train"] + dataset["held_out"], 0)


def row(data: StudyData) -> dict[str, float]:
    """What counts of one search."""
    best = incumbents(data)
    return {f"best_at_{n}": float(best[n - 1]) for n in AT} | {
        "baseline": float(data.objective[0]),
        "completed": int(data.completed.sum()),
        "samples": float(samples(data).sum()),
        "worker_seconds": worker_seconds(data),
    }


def retrained(data: StudyData) -> dict[str, float]:
    """Mean test accuracy of its best, trained again; empty if it was not yet."""
    if not is_whole(data.folder / "retrain"):
        return {}
    (again,) = repeats(read(data.folder / "retrain"))
    return {} if again.mean is None else {"retrained": again.mean}


def is_whole(folder: Path) -> bool:
    """Whether a study is there with all the trials that it was to have."""
    return exists(folder) and int(read(folder).ended.sum()) == read(folder).config["budget"]["trials"]


def searches(folder: Path) -> dict[int, dict[str, StudyData]]:
    """The whole pairs of a folder, by seed."""
    places = {
        int(path.name): {optimizer: folder / optimizer / path.name / "quickstart" for optimizer in OPTIMIZERS}
        for path in (folder / OPTIMIZERS[0]).iterdir()
    }
    return {
        seed: {optimizer: read(place) for optimizer, place in pair.items()}
        for seed, pair in sorted(places.items())
        if all(map(is_whole, pair.values()))
    }


def say(folder: Path) -> None:
    """Print means over the seeds and paired differences; write a row a search."""
    pairs = searches(folder)
    rows = {seed: {name: row(data) | retrained(data) for name, data in pair.items()} for seed, pair in pairs.items()}
    every = [one for pair in rows.values() for one in pair.values()]
    columns = [column for column in max(every, key=len) if all(column in one for one in every)]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["seed", "optimizer", *columns], extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for seed, pair in rows.items():
            writer.writerows({"seed": seed, "optimizer": name, **one} for name, one in pair.items())
    print(f"{len(rows)} seeds: mean, standard deviation; difference of a seed's two searches with its 95 % interval")
    for column in columns:
        first, second = (np.array([pair[name][column] for pair in rows.values()]) for name in OPTIMIZERS)
        said = "  ".join(f"{one.mean():9.4f} {one.std(ddof=1):7.4f}" for one in (first, second))
        print(f"{column:16} {said}  {paired(first - second)}")
    equal = [at_equal_work(pair) for pair in pairs.values()]
    first, second = (np.array([one[name] for one in equal]) for name in OPTIMIZERS)
    print(
        f"best when both had presented as many samples: {first.mean():.4f} {second.mean():.4f} {paired(first - second)}"
    )
    quick = [trials_to_beat(pair) for pair in pairs.values()]
    print(f"trials of scbo until it was as good as random search at its end, by seed: {quick}")


def paired(differences: NDArray[np.float64]) -> str:
    """Mean difference, Student's 95 % interval, and how many are above 0."""
    n, mean = len(differences), differences.mean()
    half = student.ppf(0.975, n - 1) * differences.std(ddof=1) / n**0.5
    return f"{mean:+9.4f} ({mean - half:+.4f} to {mean + half:+.4f}), above 0 in {(differences > 0).sum()} of {n}"


def at_equal_work(pair: dict[str, StudyData]) -> dict[str, float]:
    """Best of both after as many samples as the search with fewer of them presented in all."""
    work = {name: samples(data).cumsum() for name, data in pair.items()}
    least = min(one[-1] for one in work.values())
    return {name: float(incumbents(data)[work[name] <= least][-1]) for name, data in pair.items()}


def trials_to_beat(pair: dict[str, StudyData]) -> int | None:
    """After how many trials the one was as good as the other at its end; None if it never was."""
    there = np.flatnonzero(incumbents(pair["scbo"]) >= incumbents(pair["random"])[-1])
    return int(there[0]) + 1 if len(there) else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "say"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.folder, asked.seeds)
    else:
        say(asked.folder)
