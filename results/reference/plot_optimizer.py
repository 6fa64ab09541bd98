"""Draw the curves of optimizer/*.json (``snnhpo bench optimizer ... --json``) and print the table of the page."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
COLOURS = {"scbo": "C0", "botorch_scbo": "C1", "optuna_tpe": "C2", "sobol": "C3", "random": "0.5"}


def draw(problem: str, pending: int, results: list[dict[str, Any]]) -> None:
    """Mean and standard error over the seeds that have found a feasible trial by then, from when half of them have."""
    figure, axes = plt.subplots(figsize=(5.2, 3.4), layout="constrained")
    for result in sorted(results, key=lambda r: list(COLOURS).index(r["method"])):
        curves = np.array(result["curves"], dtype=float)
        found = np.isfinite(curves)
        from_here = np.flatnonzero(found.sum(axis=0) * 2 >= len(curves))
        if not len(from_here):
            continue
        x = np.arange(from_here[0], curves.shape[1])
        mean = np.nanmean(curves[:, x], axis=0)
        error = np.nanstd(curves[:, x], axis=0) / np.sqrt(found[:, x].sum(axis=0))
        axes.plot(x + 1, mean, color=COLOURS[result["method"]], label=f"{result['method']} ({len(curves)} seeds)")
        axes.fill_between(x + 1, mean - error, mean + error, color=COLOURS[result["method"]], alpha=0.2, lw=0)
    axes.set(xlabel="evaluations", ylabel="best feasible value", title=f"{problem}, {pending} pending")
    if problem == "ackley10":
        axes.set_yscale("log")
    if axes.lines:
        axes.legend(fontsize="small")
    figure.savefig(HERE / "optimizer" / f"{problem}_p{pending}.png", dpi=120)
    plt.close(figure)


def numbers(counts: list[int | None], budget: int) -> str:
    """Mean over the seeds; one that did not get there within the budget makes it a lower bound."""
    mean = np.mean([budget if count is None else count for count in counts])
    return f"{'> ' if None in counts else ''}{mean:.0f}"


def row(result: dict[str, Any]) -> str:
    """A line of the table."""
    found = [value for value in result["best"]["per_seed"] if value is not None]
    best = "none found" if not found else f"{np.mean(found):.4g}"
    if len(found) > 1:
        best += f" +- {np.std(found, ddof=1) / np.sqrt(len(found)):.2g}"
    if 0 < len(found) < len(result["curves"]):
        best += f" ({len(found)} of {len(result['curves'])})"
    counts = (numbers(result[key], result["budget"]) for key in ("first_feasible", "fiftieth_feasible"))
    keys = (str(result[key]) for key in ("problem", "method", "pending", "budget"))
    return f"| {' | '.join([*keys, str(len(result['curves'])), best, *counts])} |"


def main() -> None:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((HERE / "optimizer").glob("*.json")):
        result = json.loads(path.read_text())
        groups[result["problem"], result["pending"]].append(result)
    for (problem, pending), results in groups.items():
        draw(problem, pending, results)
        print(*(row(r) for r in sorted(results, key=lambda r: list(COLOURS).index(r["method"]))), sep="\n")


if __name__ == "__main__":
    main()
