"""Synthetic learning curves of searches, and the table of results/reference/pruning.md made with them.

Three kinds of search, three sets each, whose figures are near those of published searches of SLAYER networks: rank
correlations of early and final scores, share of time of silent networks, of an oracle, and of two rules (pruning.md).

    python results/reference/pruning_curves.py --seeds 31 32            prints the table
    python results/reference/pruning_curves.py --seeds 31 --out curves  writes the CSV files too, for bench stopping
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from snnhpo_mpi.bench import stopping as bench
from snnhpo_mpi.bench.curve_table import Curve
from snnhpo_mpi.optim.stopping import LearningCurves, PruningSettings, is_spare
from snnhpo_mpi.trial import Interim

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Search:
    """How the curves of a search are drawn; errors are 1 - score, times are in epochs.

    Attributes:
        n: trials that learn.
        epochs: shortest and longest training.
        shapes: of the curves, one drawn for each trial.
        best, start: error of the best network there is, and of the first trials in the median.
        spread: of the logarithm of the final error, which the optimizer narrows by ``narrows``.
        half_life: share of the search in which the optimizer halves the logarithmic distance to the best.
        tau, tau_spread: median and log spread of the time constant.
        noise: of the error from epoch to epoch, relative.
        first: further seconds of the first epoch, as a multiple of an epoch.
        falls, jumps, wild: shares of trials that get worse again, whose error jumps at times, that explore.
        silent: share of all time that silent networks take.
    """

    n: int
    epochs: tuple[int, int]
    shapes: tuple[str, ...]
    best: float
    start: float
    spread: float
    narrows: float
    half_life: float
    tau: float
    tau_spread: float
    noise: float
    first: float
    falls: float
    jumps: float
    wild: float
    silent: float


MIXED = ("power", "exponential", "late", "crossing")
SEARCHES = {
    "A1": Search(1500, (10, 10), MIXED, 0.04, 0.4, 0.57, 0.1, 0.16, 0.91, 0.72, 0.019, 2.0, 0.3, 0.15, 0.2, 0.023),
    "A2": Search(1500, (2, 15), MIXED, 0.04, 0.4, 1.18, 1.0, 0.37, 1.03, 0.23, 0.055, 2.0, 0.0, 0.05, 0.1, 0.023),
    "A3": Search(1500, (10, 10), MIXED, 0.04, 0.2, 0.57, 0.1, 0.1, 2.85, 0.72, 0.019, 2.0, 0.3, 0.15, 0.1, 0.023),
    "B1": Search(
        1500, (12, 12), ("exponential",), 0.04, 0.6, 0.66, 0.1, 0.36, 2.96, 0.65, 0.053, 0.0, 0.1, 0.15, 0.2, 0.006
    ),
    "B2": Search(1500, (2, 25), ("power",), 0.015, 0.6, 0.51, 0.7, 0.29, 0.46, 0.33, 0.031, 0.0, 0.1, 0.0, 0.1, 0.006),
    "B3": Search(
        1500, (12, 12), ("exponential",), 0.04, 0.4, 0.97, 0.4, 0.12, 0.24, 0.65, 0.042, 0.0, 0.3, 0.0, 0.05, 0.006
    ),
    "C1": Search(
        800, (2, 15), ("exponential",), 0.02, 0.2, 0.55, 0.7, 0.29, 0.88, 0.33, 0.022, 0.0, 0.0, 0.0, 0.1, 0.6
    ),
    "C2": Search(800, (2, 15), ("exponential",), 0.02, 0.6, 0.85, 0.2, 0.29, 0.88, 0.57, 0.06, 0.0, 0.0, 0.0, 0.1, 0.6),
    "C3": Search(800, (12, 25), MIXED, 0.01, 0.4, 0.91, 0.7, 0.7, 0.26, 0.43, 0.04, 2.0, 0.0, 0.0, 0.2, 0.6),
}
CHANCE_ERROR, N_HELD_OUT, EPOCH_S = 0.9, 10_000, 60.0


def draw(search: Search, seed: int) -> list[Curve]:
    """All trials in the order in which they are proposed."""
    rng = np.random.default_rng(seed)
    curves: list[Curve] = []
    seconds = silent_seconds = 0.0
    for number in range(search.n):
        curves.append(_learning(search, number / search.n, str(len(curves)), rng))
        seconds += sum(curves[-1].seconds)
        while silent_seconds < search.silent * (seconds + silent_seconds):
            curves.append(_silent(search, str(len(curves)), rng))
            silent_seconds += sum(curves[-1].seconds)
    return curves


def _learning(search: Search, progress: float, name: str, rng: np.random.Generator) -> Curve:
    low, high = np.log(search.best), np.log(search.start)
    left = 0.5 ** (progress / search.half_life)
    width = search.spread * (2.0 if rng.random() < search.wild else search.narrows + (1.0 - search.narrows) * left)
    z = abs(rng.normal()) if rng.random() < 0.2 else rng.normal()
    centre = low + search.spread * search.narrows
    log_error = centre + (high - centre) * left + width * z
    log_error = low + np.logaddexp(0.0, 3.0 * (log_error - low)) / 3.0  # not below the best there is
    error = min(float(np.exp(log_error)), 0.88)
    epochs = np.arange(1, rng.integers(search.epochs[0], search.epochs[1] + 1) + 1)
    shape = str(rng.choice(search.shapes))
    badness = (np.log(error) - low) / (high - low)
    pace = 0.6 - 1.2 * badness if shape == "crossing" else 0.6 * badness  # crossing: the fast ones end worse
    tau = search.tau * np.exp(rng.normal(0.0, search.tau_spread) + pace)
    errors = error + (CHANCE_ERROR - error) * _remaining(shape, epochs, tau, rng)
    errors = errors * np.exp(rng.normal(0.0, search.noise * np.exp(rng.normal(0.0, 0.5)), len(epochs)))
    if rng.random() < search.falls:
        errors *= 1 + rng.uniform(0.1, 0.6) * np.maximum(0.0, epochs / len(epochs) - rng.uniform(0.2, 0.7))
    if rng.random() < search.jumps:
        errors *= np.where(rng.random(len(epochs)) < 0.1, 1 + rng.exponential(1.0, len(epochs)), 1.0)
    scores = rng.binomial(N_HELD_OUT, 1 - np.clip(errors, 0.0, 0.97)) / N_HELD_OUT
    seconds = EPOCH_S * np.exp(rng.normal(0.0, 0.5)) * np.exp(rng.normal(0.0, 0.03, len(epochs)))
    seconds[0] *= 1 + search.first
    return Curve(name, True, epochs.tolist(), scores.tolist(), seconds.tolist())


def _remaining(shape: str, epochs: Array, tau: float, rng: np.random.Generator) -> Array:
    """Share of what there is to learn that is not learnt yet."""
    match shape:
        case "power":
            return (1 + epochs / tau) ** -np.exp(rng.normal(0.3, 0.3))
        case "exponential":
            return np.exp(-epochs / tau)
        case "late":
            return 1 / (1 + (epochs / (tau * np.exp(rng.normal(1.0, 0.5)))) ** np.exp(rng.normal(1.0, 0.3)))
        case _:
            return (1 + epochs / tau) ** -1.2


def _silent(search: Search, name: str, rng: np.random.Generator) -> Curve:
    n = int(rng.integers(1, 3 if search.silent < 0.3 else search.epochs[1]))
    seconds = EPOCH_S * float(np.exp(rng.normal(0.0, 0.5)))
    return Curve(name, False, list(range(1, n + 1)), rng.uniform(0.1, 0.15, n).tolist(), [seconds] * n)


def plain(curves: LearningCurves, report: Interim, settings: PruningSettings) -> bool:
    """The rule to beat: the largest gain of the ten finished trials nearest in score does not reach the best."""
    if settings.rule == "none" or report.number < settings.first or is_spare(report.number, settings.spare):
        return False
    rows = curves.finished_beyond(report.position)
    if len(rows) < settings.first:
        return False
    then = curves.at(report.position, rows)[:, 0]
    gains = curves.finals_of(rows)[0] - then
    nearest = np.argsort(np.abs(then - report.score), kind="stable")[:10]
    return bool(report.score + gains[nearest].max() < curves.finals.max())


def figures(curves: Sequence[Curve]) -> str:
    """What the search is like: rank correlations after epochs 1, 2, 5, 10, silent time, oracle, ten best."""
    learning = [curve for curve in curves if curve.feasible]
    correlations = []
    for epoch in (1, 2, 5, 10):
        long = [curve for curve in learning if len(curve.scores) >= epoch]
        pairs = [curve.scores[epoch - 1] for curve in long], [curve.final for curve in long]
        correlations.append(f"{spearmanr(*pairs)[0]:.2f}")
    whole, spent, best = sum(sum(curve.seconds) for curve in learning), 0.0, -1.0
    for curve in learning:
        spent += sum(curve.seconds) if curve.final > best else curve.seconds[0]
        best = max(best, curve.final)
    silent = 1 - whole / sum(sum(curve.seconds) for curve in curves)
    ten = sorted((curve.final for curve in learning), reverse=True)[:10]
    return f"{' '.join(correlations)} | {silent:.3f} | {spent / whole:.2f} | {ten[0] - ten[-1]:.4f}"


def lost_of_ten(curves: Sequence[Curve], settings: PruningSettings) -> tuple[int, int]:
    """How many of the ten best were stopped, and how many of those would not have beaten the best of that moment.

    That is: not by more than 0.001, what counts as the same.
    """
    run = bench.replay(curves, settings, 15)
    finals = np.array([curve.final for curve in curves])
    finished, ended_at = np.array(run.finished), np.array(run.ended_at)
    ten = np.argsort(-np.nan_to_num(finals, nan=-np.inf), kind="stable")[:10]
    lost = [number for number in ten if not finished[number]]
    known = finished & np.isfinite(finals)
    then = [finals[known & (ended_at <= ended_at[number])].max() for number in lost]
    return len(lost), sum(finals[number] <= best + bench.NEAR_BEST for number, best in zip(lost, then, strict=True))


def write(path: Path, curves: Sequence[Curve]) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["trial", "epoch", "score", "seconds", "feasible"])
        for curve in curves:
            for row in zip(curve.epochs, curve.scores, curve.seconds, strict=True):
                rows.writerow([curve.name, row[0], row[1], f"{row[2]:.3f}", int(curve.feasible)])


def rule_row(curves: Sequence[Curve], rule: str) -> str:
    chosen: Callable[..., bool] = plain if rule == "plain" else bench.stops
    settings = PruningSettings(rule="gain" if rule == "plain" else rule)
    with mock.patch.object(bench, "stops", chosen):
        result = bench.measure(curves, settings)
        n_lost, n_near = lost_of_ten(curves, settings)
    ratio = result["time_to_best_ratio"]
    loss = result["best_full"] - result["best_kept"]
    cells = f"{result['share_of_time']:.3f} | {loss:.4f} | {result['top10_kept']} | {n_near} of {n_lost}"
    return f"{rule} | {cells} | {'-' if ratio is None else f'{ratio:.2f}'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[31, 32])
    parser.add_argument("--searches", nargs="+", choices=list(SEARCHES), default=list(SEARCHES))
    parser.add_argument("--rules", nargs="+", default=["plain", "gain", "asha", "median"])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    for name in args.searches:
        for seed in args.seeds:
            curves = draw(SEARCHES[name], seed)
            if args.out is not None:
                args.out.mkdir(parents=True, exist_ok=True)
                write(args.out / f"{name}_{seed}.csv", curves)
            print(f"{name} {seed} | {figures(curves)}")
            for rule in args.rules:
                print(f"{name} {seed} | {rule_row(curves, rule)}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
