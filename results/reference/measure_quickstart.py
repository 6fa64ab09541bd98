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


def row(data: StudyData) -> dict[str, float | None]:
    """What counts of one search and of the retraining of its best."""
    best = incumbents(data)
    (again,) = repeats(read(data.folder / "retrain"))
    said: dict[str, float | None] = {f"best_at_{n}": float(best[n - 1]) for n in AT if n <= len(best)}
    return said | {
        "best": float(best[-1]),
        "baseline": float(data.objective[0]),
        "retrained": again.mean,
        "retrained_sd": again.sd,
        "trials": len(best),
        "completed": int(data.completed.sum()),
        "worker_seconds": worker_seconds(data),
    }


def searches(folder: Path) -> dict[int, dict[str, StudyData]]:
    """The whole pairs of a folder, by seed."""
    found = {}
    for seed in sorted(int(path.name) for path in (folder / OPTIMIZERS[0]).iterdir()):
        places = {optimizer: folder / optimizer / str(seed) / "quickstart" for optimizer in OPTIMIZERS}
        if all(exists(place / "retrain") and len(read(place / "retrain").objective) for place in places.values()):
            found[seed] = {optimizer: read(place) for optimizer, place in places.items()}
    return found


def say(folder: Path) -> None:
    """Print means over the seeds and paired differences; write a row a search."""
    pairs = searches(folder)
    rows = {seed: {name: row(data) for name, data in pair.items()} for seed, pair in pairs.items()}
    columns = [*next(iter(rows.values()))[OPTIMIZERS[0]]]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["seed", "optimizer", *columns])
        writer.writeheader()
        for seed, pair in rows.items():
            writer.writerows({"seed": seed, "optimizer": name, **one} for name, one in pair.items())
    print(f"{len(rows)} seeds: mean, standard deviation; difference of a seed's two searches with its 95 % interval")
    for column in columns:
        first, second = (np.array([pair[name][column] for pair in rows.values()]) for name in OPTIMIZERS)
        said = "  ".join(f"{one.mean():9.4f} {one.std(ddof=1):7.4f}" for one in (first, second))
        print(f"{column:16} {said}  {paired(first - second)}")
    quick = [trials_to_beat(pair) for pair in pairs.values()]
    print(f"trials of scbo until it was as good as random search at its end, by seed: {quick}")


def paired(differences: NDArray[np.float64]) -> str:
    """Mean difference, Student's 95 % interval, and how many are above 0."""
    n, mean = len(differences), differences.mean()
    half = student.ppf(0.975, n - 1) * differences.std(ddof=1) / n**0.5
    return f"{mean:+9.4f} ({mean - half:+.4f} to {mean + half:+.4f}), above 0 in {(differences > 0).sum()} of {n}"


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
