"""How well the final score of a training is predicted from its first reports, by the tables of real trainings.

    python results/reference/pruning_prediction.py --out predictions.csv

Of the feasible configurations of a table, some are finished trials; 80 others are asked about after a share of their
training. A row a table, share, number of finished trials, model and draw.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.bench.tabulated import NAMES, read_table
from snnhpo_mpi.optim.candidates import column_groups
from snnhpo_mpi.optim.gp.fit import fit, weights
from snnhpo_mpi.optim.settings import DEFAULTS
from snnhpo_mpi.optim.stopping import RIDGE, LearningCurves, PruningSettings, final_score
from snnhpo_mpi.snn.interim import FIRST as FIRST_REPORT
from snnhpo_mpi.trial import Interim, Outcome, State

Array = NDArray[np.float64]
SHARES, N_FINISHED = (0.1, 0.25, 0.5), (30, 60, 100)
RIDGE_OF_SPACE = 10.0
N_ASKED = 80


@dataclass(frozen=True)
class Trainings:
    """Feasible ones: ``n x d`` encoded hyperparameters, ``d`` their groups, final scores, lengths, and curves."""

    X: Array
    groups: NDArray[np.intp]
    final: Array
    length: Array
    positions: Array
    running: Array


def trainings(name: str) -> Trainings:
    """Of a table, one of each configuration."""
    table = read_table(name)
    _, first = np.unique(table.configuration, return_index=True)
    rows = first[table.feasible[first]]
    running, ends = table.running[rows], table.positions[1:]
    groups = column_groups(table.space)
    return Trainings(table.X[rows], groups, table.score[rows], table.n_samples[rows], ends, running)


def curves_until(found: Trainings, rows: NDArray[np.intp]) -> LearningCurves:
    """What finished trials have reported, by their rows."""
    curves = LearningCurves()
    for row in rows:
        report(curves, found, int(row), found.length[row] - 1)
        curves.add(Outcome(int(row), State.COMPLETED, {"score": float(found.final[row])}))
    return curves


def report(curves: LearningCurves, found: Trainings, row: int, until: float) -> None:
    """Reports of a trial up to a position."""
    for j in np.flatnonzero((found.positions >= FIRST_REPORT) & (found.positions <= until)):
        score = float(found.running[row, j])
        curves.add(Interim(row, int(found.positions[j]), 0.0, score, n_planned=int(found.length[row])))


@dataclass(frozen=True)
class Known:
    """Finished trials that came as far as an asked one: ``n x 4`` score, slopes and log length; ``n x d``; finals."""

    F: Array
    X: Array
    final: Array
    groups: NDArray[np.intp]


Model = Callable[[Known, Array, Array], float]


def ridge(known: Known, f: Array, x: Array) -> float:
    """Linear in score, slopes, length and hyperparameters, of the gain."""
    Z, gain = np.column_stack([known.F - f, known.X - x]), known.final - known.F[:, 0]
    Z = Z / np.where(Z.std(0) > 0, Z.std(0), 1.0)
    A = np.column_stack([np.ones(len(Z)), Z])
    G = A.T @ A
    G[np.diag_indices_from(G)] += np.r_[0.0, [RIDGE] * 4, [RIDGE_OF_SPACE] * x.shape[0]]
    beta = np.linalg.solve(G, A.T @ gain)
    return float(f[0] + beta[0])


class Process:
    """A Gaussian process; fitted anew only for other data."""

    def __init__(self, of_gain: bool, curve: bool) -> None:
        self._of_gain, self._curve = of_gain, curve
        self._mean: Callable[[Array, Array], float] = lambda f, x: 0.0
        self._data: Known | None = None

    def __call__(self, known: Known, f: Array, x: Array) -> float:
        """Mean of the final score."""
        if self._data is not known:
            self._data, self._mean = known, self._fit(known)
        return self._mean(f, x) + (float(f[0]) if self._of_gain else 0.0)

    def _fit(self, known: Known) -> Callable[[Array, Array], float]:
        low, high = known.F.min(0), known.F.max(0)
        wide, n_curve = np.where(high > low, high - low, 1.0), 4 if self._curve else 0

        def columns(F: Array, X: Array) -> Array:
            return np.column_stack([((F - low) / wide)[:, :n_curve], X])

        Z, groups = columns(known.F, known.X), np.r_[np.arange(n_curve), n_curve + known.groups].astype(np.intp)
        y = known.final - (known.F[:, 0] if self._of_gain else 0.0)
        middle, unit = float(np.median(y)), float(y.std()) or 1.0
        hyper = fit(Z, (y - middle) / unit, groups, DEFAULTS.gp)
        factor = np.asarray(np.linalg.cholesky(hyper.kernel(Z, Z) + hyper.noise * np.eye(len(Z))), dtype=np.float64)
        alpha, mu = weights(factor, (y - middle) / unit, hyper.mean_variance)
        return lambda f, x: float((mu + hyper.kernel(columns(f[None], x[None]), Z)[0] @ alpha) * unit + middle)


def models() -> dict[str, Model]:
    """By their names, without today's."""
    return {
        "ridge_space": ridge,
        "gp_gain_both": Process(True, True),
        "gp_final_both": Process(False, True),
        "gp_final_space": Process(False, False),
    }


def measure(found: Trainings, share: float, n: int, rng: np.random.Generator) -> dict[str, tuple[float, ...]]:
    """Model -> trials asked about, root mean square error, the same by the spread of the finals, correlation."""
    order = rng.permutation(len(found.final))
    finished, asked = order[:n], order[n : n + N_ASKED]
    curves = curves_until(found, finished)
    by_name = models()
    told: dict[str, list[float]] = {name: [] for name in ("today", *by_name)}
    true: list[float] = []
    cache: dict[float, Known] = {}
    positions = np.array([found.positions[found.positions <= share * found.length[row]][-1] for row in asked])
    for row, position in sorted(zip(asked, positions, strict=True), key=lambda one: one[1]):
        if position < FIRST_REPORT or not np.isfinite(found.running[row, found.positions == position][0]):
            continue
        report(curves, found, int(row), position)
        today = final_score(curves, int(row), PruningSettings())
        if position not in cache:
            rows = curves.finished_beyond(position)
            rows = rows[np.isfinite(curves.at(position, rows)[:, 0])]
            F = np.column_stack([curves.at(position, rows), np.log(curves.planned(rows))])
            cache[position] = Known(F, found.X[finished[rows]], curves.finals_of(rows)[0], found.groups)
        known = cache[position]
        if today is None or len(known.final) < 12:
            continue
        f = np.r_[curves.at(position, curves.row(int(row)))[0], np.log(found.length[row])]
        true.append(float(found.final[row]))
        told["today"].append(today.mean)
        for name, model in by_name.items():
            told[name].append(model(known, f, found.X[row]))
    Y = np.array(true)
    return {name: _errors(np.array(values), Y) for name, values in told.items()}


def _errors(means: Array, true: Array) -> tuple[float, ...]:
    error = float(np.sqrt(np.mean((true - means) ** 2)))
    return len(true), error, error / float(true.std()), float(np.corrcoef(means, true)[0, 1])


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    with args.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("table", "share", "finished", "model", "draw", "n", "error", "relative", "correlation"))
        for name in NAMES:
            found = trainings(name)
            for draw in range(args.draws):
                for share in SHARES:
                    for n in N_FINISHED:
                        rng = np.random.default_rng([draw, n, int(100 * share)])
                        for model, values in measure(found, share, n, rng).items():
                            writer.writerow((name, share, n, model, draw, *(round(v, 5) for v in values)))
                file.flush()


if __name__ == "__main__":
    main()
