"""Searches on the problems made of real trainings: run them, draw their curves, print the table of benchmark.md.

OMP_NUM_THREADS=1 python results/reference/benchmark.py run     # stops at any moment, goes on where it was
python results/reference/benchmark.py draw

With ``--long``: 400 evaluations of ten other seeds, with rivals that have 15 trials out too, for optimizer.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from snnhpo_mpi.bench.baselines import BotorchScbo
from snnhpo_mpi.bench.optimizer import PROBLEMS, Asker, make_method, make_problem, simulate
from snnhpo_mpi.bench.problems import Problem

HERE = Path(__file__).parent
N_BATCH, N_TUTORIAL = 16, 100  # of BoTorch's tutorial: proposals at a time, random points before the first model
# Name in table and figure -> method of ``snnhpo bench optimizer``, trials out at any time.
SEARCHES = {
    "scbo": ("scbo", 1),
    "scbo, 15 pending": ("scbo", 15),
    "botorch_scbo, batches of 16": ("botorch_scbo", 1),
    "optuna_tpe": ("optuna_tpe", 1),
    "random": ("random", 1),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and where its curves are; the table shows the accuracy after ``shown`` evaluations."""

    folder: Path
    budget: int
    seeds: range
    shown: tuple[int, ...]
    searches: Mapping[str, tuple[str, int]]


FIRST = Plan(HERE / "benchmark", 200, range(5), (50, 100, 200), SEARCHES)
LONG = Plan(
    HERE / "optimizer", 400, range(200, 210), (100, 200, 400), SEARCHES | {"optuna_tpe, 15 pending": ("optuna_tpe", 15)}
)


def asker(plan: Plan, search: str, problem: Problem, seed: int) -> tuple[Asker, int]:
    """A search and how many trials it has out."""
    method, pending = plan.searches[search]
    if method == "botorch_scbo":  # it proposes 16 more when all 16 are told
        return BotorchScbo(problem.space, problem.n_constraints, seed, N_TUTORIAL, N_BATCH, noisy=True), pending
    return make_method(method, problem, seed, pending), pending


def run(plan: Plan, problems: list[str], searches: list[str]) -> None:
    """Seed after seed, so that what was cut off has all searches; a run is on the disk before the next begins."""
    made = {name: make_problem(name) for name in problems}
    for seed in plan.seeds:
        for name, problem in made.items():
            file = plan.folder / f"{name}.csv"
            done = pd.read_csv(file)[["search", "seed"]].drop_duplicates().to_numpy().tolist() if file.exists() else []
            for search in searches:
                if [search, seed] in done:
                    continue
                began = time.process_time()
                it, pending = asker(plan, search, problem, seed)
                found = simulate(problem, it, plan.budget, pending, seed)
                rows = pd.DataFrame({
                    "search": search, "seed": seed, "evaluation": range(1, plan.budget + 1),
                    "value": np.round(found.curve, 4), "feasible": np.array(found.feasible, int),
                    "hours": np.round(np.array(found.seconds) / 3600.0, 4),
                })  # fmt: skip
                rows.to_csv(file, mode="a", header=not file.exists(), index=False, lineterminator="\n")
                print(name, search, seed, rows["value"].iloc[-1], f"{time.process_time() - began:.0f} s", flush=True)


def draw(plan: Plan) -> None:
    """A figure and rows of the table for each problem."""
    for file in sorted(plan.folder.glob("snn_*.csv")):
        name, of_problem = file.stem, pd.read_csv(file)
        optimum = make_problem(name).optimum
        figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
        for colour, search in enumerate(plan.searches):
            found = of_problem[of_problem["search"] == search]
            if len(found):
                curves = found.pivot(index="seed", columns="evaluation", values="value").to_numpy()
                _curve(axes, curves, f"{search} ({len(curves)} seeds)", f"C{colour}")
                print(_row(plan, name, search, curves, found))
        axes.axhline(optimum, color="0.6", lw=1, ls="--", label="best of the surface")
        axes.set(xlabel="evaluations", ylabel="accuracy of the incumbent, without its luck", title=name)
        axes.legend(fontsize="small")
        figure.savefig(plan.folder / f"{name}.png", dpi=110)
        plt.close(figure)


def _curve(axes: plt.Axes, curves: np.ndarray, label: str, colour: str) -> None:
    """Mean and standard error over the seeds, as far as all of them have a feasible trial."""
    known = np.isfinite(curves).all(0)
    x = np.arange(1, curves.shape[1] + 1)[known]
    mean = curves[:, known].mean(0)
    error = curves[:, known].std(0, ddof=1) / np.sqrt(len(curves)) if len(curves) > 1 else 0.0 * mean
    axes.plot(x, mean, color=colour, label=label)
    axes.fill_between(x, mean - error, mean + error, color=colour, alpha=0.2, lw=0)


def _row(plan: Plan, name: str, search: str, curves: np.ndarray, found: pd.DataFrame) -> str:
    """A line of the table."""
    after = [_mean(curves[:, n - 1]) for n in plan.shown]
    feasible = found.pivot(index="seed", columns="evaluation", values="feasible").to_numpy()
    first = [f"{1 + row.argmax()}" if row.any() else f"> {plan.budget}" for row in feasible]
    worst = f"{np.nanmin(curves[:, -1]):.3f}"
    cells = [name, search, str(len(curves)), *after, worst, ", ".join(first), f"{feasible.mean():.2f}"]
    return f"| {' | '.join(cells)} | {found.groupby('seed')['hours'].max().mean():.2f} |"


def _mean(values: np.ndarray) -> str:
    """Mean and standard error of the seeds that have found something."""
    found = values[np.isfinite(values)]
    if not len(found):
        return "none"
    error = f" +- {found.std(ddof=1) / np.sqrt(len(found)):.3f}" if len(found) > 1 else ""
    return f"{found.mean():.3f}{error}" + (f" ({len(found)} of {len(values)})" if len(found) < len(values) else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "draw"))
    known = [name for name in PROBLEMS if name.startswith("snn_") and name.count("_") == 1]
    parser.add_argument("--problem", nargs="+", choices=known, default=known)
    parser.add_argument("--search", nargs="+", choices=LONG.searches)
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    plan = LONG if arguments.long else FIRST
    if arguments.what == "run":
        run(plan, arguments.problem, arguments.search or list(plan.searches))
    else:
        draw(plan)


if __name__ == "__main__":
    main()
