"""Draw the curves of optimizer/*.json, as written by ``snnhpo bench optimizer ... --json``."""

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


def main() -> None:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted((HERE / "optimizer").glob("*.json")):
        result = json.loads(path.read_text())
        groups[result["problem"], result["pending"]].append(result)
    for (problem, pending), results in groups.items():
        draw(problem, pending, results)


if __name__ == "__main__":
    main()
