"""How much too good the best of a simulated search is, before and after its finalists were trained again."""

from __future__ import annotations

import sys

import numpy as np

from snnhpo_mpi.analysis.finalists import posterior_means

N_SEARCHES, N_TRIALS, N_FINALISTS, N_REPEATS = 4000, 80, 5, 3
SPREAD, NOISE = 0.02, 0.01


def main() -> None:
    """Print means over all searches, of which each draws true values, scores and repeats."""
    draw = np.random.default_rng(0)
    names = ("search's best score", "mean of the winner's repeats", "its posterior mean")
    off, gained, with_search = np.zeros((N_SEARCHES, 3)), np.zeros(N_SEARCHES), np.zeros(N_SEARCHES)
    for i in range(N_SEARCHES):
        worth = 0.9 - draw.exponential(SPREAD, N_TRIALS)
        scores = worth + draw.normal(0.0, NOISE, N_TRIALS)
        top = np.argsort(-scores)[:N_FINALISTS]
        repeats = worth[top, None] + draw.normal(0.0, NOISE, (N_FINALISTS, N_REPEATS))
        means, posterior = repeats.mean(axis=1), np.array(posterior_means(repeats.tolist()))
        won = int(np.lexsort((-means, -posterior))[0])
        off[i] = scores[top[0]] - worth[top[0]], means[won] - worth[top[won]], posterior[won] - worth[top[won]]
        gained[i] = worth[top[won]] - worth[top[0]]
        also = np.argmax(N_REPEATS * means + scores[top])
        with_search[i] = worth[top[also]] - worth[top[0]]
    for name, bias in zip(names, off.mean(axis=0), strict=True):
        sys.stdout.write(f"{name}: too good by {bias:.4f}\n")
    sys.stdout.write(f"the winner is better than the search's best by {gained.mean():.5f}\n")
    sys.stdout.write(f"with the search's score as one repeat more: {with_search.mean():.5f}\n")


if __name__ == "__main__":
    main()
