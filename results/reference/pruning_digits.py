"""Searches of an STDP network for real digits, with and without pruning; the rows are in ``pruning/digits.csv``.

    python results/reference/pruning_digits.py run FOLDER [--seeds 1 2 3]    may be stopped; called again, it goes on
    python results/reference/pruning_digits.py say FOLDER                    writes the rows, prints a table

The quick start's configuration with other digits: 2,000 of MNIST to learn and 1,000 held out, 100 trials, one worker.
The best three are trained three times more, with other seeds and splits, and the winner by posterior mean counts.
``$SNNHPO_DATA`` must hold MNIST.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from measure_quickstart import CONFIG, samples, snnhpo, worker_seconds

from snnhpo_mpi.analysis.finalists import finalists
from snnhpo_mpi.record import StudyData, read

TABLE = Path(__file__).parent / "pruning" / "digits.csv"
SETS = [
    *("study.name=digits", "budget.trials=100", "budget.wall_time=2d", "trainer.time_limit=1h"),
    *("trainer.dataset.name=mnist", "trainer.dataset.path=$SNNHPO_DATA", "finalists.count=3", "finalists.repeats=3"),
]
SEARCHES = {
    "none": ["pruning.rule=none"],
    "gain": ["pruning.rule=gain"],
    "asha": ["pruning.rule=asha"],
    "tpe, asha": ["pruning.rule=asha", "optimizer.name=optuna_tpe"],
}


def run(folder: Path, seeds: list[int]) -> None:
    """All searches, seed by seed."""
    for seed in seeds:
        for search, own in SEARCHES.items():
            options = [part for setting in (*SETS, *own, f"study.seed={seed}") for part in ("--set", setting)]
            place = str(folder / search / str(seed))
            snnhpo("run", str(CONFIG), "--workers", "1", "--resume", "--results", place, *options)
            print(seed, search, row(read(folder / search / str(seed) / "digits")), flush=True)


def row(data: StudyData) -> dict[str, float]:
    """What counts of one search; seconds and samples are those of the search, without the finalists."""
    winner = finalists(data)[0]
    return {
        "score": round(winner.repeats.mean or np.nan, 4),
        "in_search": round(float(data.objective[data.feasible].max()), 4),
        "seconds": worker_seconds(data),
        "samples": float(np.nansum(samples(data))),
        "pruned": int((data.state == "pruned").sum()),
        "finished": int(data.feasible.sum()),
    }


def say(folder: Path) -> None:
    """A line a search: means over the seeds, paired with ``none``."""
    places = {
        (search, int(path.name)): path / "digits" for search in SEARCHES for path in sorted((folder / search).iterdir())
    }
    rows = pd.DataFrame([{"search": s, "seed": seed} | row(read(place)) for (s, seed), place in places.items()])
    rows.to_csv(TABLE, index=False, lineterminator="\n")
    of = {search: mine.set_index("seed").drop(columns="search") for search, mine in rows.groupby("search")}
    for search, mine in of.items():
        seeds = mine.index.intersection(of["none"].index)
        mine, without = mine.loc[seeds], of["none"].loc[seeds]
        lost, means = mine["score"] - without["score"], mine.mean()
        error = f" +- {lost.std(ddof=1) / len(seeds) ** 0.5:.3f}" if len(seeds) > 1 else ""
        shares = [f"{mine[what].sum() / without[what].sum():.2f}" for what in ("seconds", "samples")]
        counts = [f"{means[what]:.0f}" for what in ("pruned", "finished")]
        cells = [search, str(len(seeds)), f"{means['score']:.3f}", f"{lost.mean():+.3f}{error}", *shares, *counts]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "say"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    arguments = parser.parse_args()
    if arguments.what == "run":
        run(arguments.folder, arguments.seeds)
    else:
        say(arguments.folder)


if __name__ == "__main__":
    main()
