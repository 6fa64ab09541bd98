"""What is found out once for a table: kernels of the smooth regressor, errors and best points of all regressors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from scipy.stats import qmc, spearmanr

from snnhpo_mpi.bench.snn import MODELS, Quantities, SnnProblem, forest_of, quantities, smooth_of
from snnhpo_mpi.bench.surrogate import Kernel, Mean, Regressor, fit_kernel
from snnhpo_mpi.bench.tabulated import Table, read_table
from snnhpo_mpi.trial import Trial

N_FOLDS = 10
N_DENSE, N_ROUNDS, N_BEST, N_MOVED = 2**15, 25, 50, 2000  # of the dense search
CHUNK = 2**12
N_RANDOM = 2**10
MOST_SHIFT, N_HALVINGS = 2.0, 7  # of the log odds; in how many steps it is found


def write_fit(name: str, folder: Path) -> None:
    """``name``.json beside the table."""
    table, file = read_table(name, folder), folder / f"{name}.json"
    found, kernels = quantities(table), {}
    for group, columns in found.columns.items():
        if group != "running":
            kernels[group] = fit_kernel(table.X, found.Y[:, columns].mean(1))
            print(group, kernels[group], flush=True)
    saved: dict[str, Any] = {
        "kernels": {
            group: {
                "lengths": [float(f"{length:.4g}") for length in one.lengths],
                "variance": float(f"{one.variance:.4g}"),
            }
            for group, one in kernels.items()
        },
        "table": of_table(table),
        "shift": {},
        "errors": {},
        "random": {},
        "optimum": {},
    }
    file.write_text(json.dumps(saved, indent=1) + "\n")
    for model in MODELS:
        saved["shift"][model] = calibrated(SnnProblem(name, model, folder))
    file.write_text(json.dumps(saved, indent=1) + "\n")
    for model in MODELS:
        problem = SnnProblem(name, model, folder)
        predicted = cross_validated(table, found, _fit(model, table, found, kernels))
        saved["errors"][model] = errors(problem, found, predicted)
        saved["random"][model] = of_random_points(problem)
        saved["optimum"][model] = densely_searched(problem)
        print(model, json.dumps({key: saved[key][model] for key in ("errors", "random", "optimum")}), flush=True)
    file.write_text(json.dumps(saved, indent=1) + "\n")


def of_table(table: Table) -> dict[str, float]:
    """The best configuration that was trained with several seeds, and what the Sobol points gave."""
    feasible = table.feasible[table.designed]
    repeated = [group for group in _groups(table) if len(group) > 1 and table.feasible[group].all()]
    best = max((table.score[group] for group in repeated), key=np.mean)
    share = feasible.mean()
    return _rounded({
        "best_score": best.mean(),
        "best_score_sd": best.std(ddof=1),
        "feasible_share": share,
        "feasible_share_se": math.sqrt(share * (1.0 - share) / len(feasible)),
        "feasible_score_median": np.median(table.score[table.designed][feasible]),
        "feasible_score_best": table.score[table.designed][feasible].max(),
    })  # fmt: skip


def _groups(table: Table) -> list[np.ndarray]:
    """Rows of each configuration."""
    return [np.flatnonzero(table.configuration == number) for number in np.unique(table.configuration)]


def calibrated(problem: SnnProblem) -> float:
    """The shift of the log odds with which as many random points are feasible as of the table's design."""
    space, wanted = problem.table.space, problem.table.feasible[problem.table.designed].mean()
    X = space.snap(qmc.Sobol(space.dim, seed=2).random(2 * N_RANDOM))
    predicted, epochs = problem.predicted(X), [int(space.decode(x)["epochs"]) for x in X]
    low, high = -MOST_SHIFT, MOST_SHIFT
    for _ in range(N_HALVINGS):
        problem.shift = (low + high) / 2.0
        verdicts = [problem.is_feasible(problem.said(row), n) for row, n in zip(predicted, epochs, strict=True)]
        low, high = (problem.shift, high) if np.mean(verdicts) > wanted else (low, problem.shift)
    return round((low + high) / 2.0, 3)


def of_random_points(problem: SnnProblem) -> dict[str, float]:
    """What a search's trials are told at Sobol points of another scrambling: as ``of_table``."""
    space = problem.table.space
    points = [space.decode(x) for x in qmc.Sobol(space.dim, seed=1).random(N_RANDOM)]
    feasible = np.array([problem.train(Trial(i, one, i)).outcome.feasible for i, one in enumerate(points)])
    scores = np.array([problem.expected(one).score for one in points])[feasible]
    return _rounded({
        "feasible_share": feasible.mean(),
        "feasible_score_median": np.median(scores),
        "feasible_score_best": scores.max(),
    })  # fmt: skip


def _fit(
    model: str, table: Table, found: Quantities, kernels: dict[str, Kernel]
) -> Callable[[Sequence[int]], Regressor]:
    """Rows -> the regressor of that name on them."""

    def fitted(rows: Sequence[int]) -> Regressor:
        match model:
            case "forest":
                return forest_of(table.X, found, rows)
            case "smooth":
                return smooth_of(table.X, found, kernels, rows)
            case _:
                return Mean([forest_of(table.X, found, rows), smooth_of(table.X, found, kernels, rows)])

    return fitted


def cross_validated(table: Table, found: Quantities, fit: Callable[[Sequence[int]], Regressor]) -> np.ndarray:
    """``n x q`` predicted by regressors that have not seen that configuration, nor its repeats."""
    numbers = np.unique(table.configuration)
    folds = np.random.default_rng(0).permutation(len(numbers)) % N_FOLDS
    fold = folds[np.searchsorted(numbers, table.configuration)]
    predicted = np.zeros_like(found.Y)
    for each in range(N_FOLDS):
        predicted[fold == each] = fit(np.flatnonzero(fold != each))(table.X[fold == each])
    return predicted


def errors(problem: SnnProblem, found: Quantities, predicted: np.ndarray) -> dict[str, float]:
    """Root mean squares, rank correlations, and how often the verdict of the monitors is right."""
    table = problem.table
    score, guess, true = table.score, found.score(predicted), table.feasible
    epochs = [int(table.space.decode(x)["epochs"]) for x in table.X]
    said = np.array([problem.is_feasible(problem.said(row), n) for row, n in zip(predicted, epochs, strict=True)])
    good = true & (score >= np.quantile(score[true], 0.75))
    cost = found.columns["cost"]
    result = {
        "score_rmse": _rmse(score, guess),
        "score_r2": 1 - float(((score - guess) ** 2).mean() / score.var()),
        "score_rank_correlation": float(spearmanr(score, guess).statistic),
        "score_rmse_feasible": _rmse(score[true], guess[true]),
        "score_r2_feasible": 1 - float(((score - guess)[true] ** 2).mean() / score[true].var()),
        "score_rmse_best_quarter": _rmse(score[good], guess[good]),
        "score_excess_best_quarter": float((guess - score)[good].mean()),
        "feasible_share": float(true.mean()),
        "feasible_accuracy": float((said == true).mean()),
        "feasible_balanced_accuracy": float((said[true].mean() + (~said[~true]).mean()) / 2),
        "feasible_share_designed": float(said[table.designed].mean()),
        "running_rmse": _rmse(found.Y[:, found.columns["running"]], predicted[:, found.columns["running"]]),
        "log_seconds_rmse": _rmse(found.Y[:, cost], predicted[:, cost]),
    }
    for one in table.config.stopping:
        where = found.columns[f"silent_{one.layer}"]
        result[f"silent_{one.layer}_rmse"] = _rmse(expit(found.Y[:, where]), expit(predicted[:, where]))
    return _rounded(result)


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}


def _rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def densely_searched(problem: SnnProblem) -> dict[str, Any]:
    """The best expected score of a point that is expected to be feasible: Sobol points, then steps from the best."""
    space, rng = problem.table.space, np.random.default_rng(0)
    best = _best(problem, np.concatenate([problem.table.X, space.snap(qmc.Sobol(space.dim, seed=0).random(N_DENSE))]))
    for step in 0.2 * 0.85 ** np.arange(N_ROUNDS):
        moved = np.repeat(best, N_MOVED // len(best), axis=0)
        moves = rng.random(moved.shape) < rng.choice([0.1, 0.3, 1.0], size=(len(moved), 1))
        moved = space.snap(np.clip(moved + moves * step * rng.standard_normal(moved.shape), 0.0, 1.0))
        best = _best(problem, np.concatenate([best, moved]))
    return {"score": round(problem.said(problem.predicted(best[:1])[0]).score, 4), "params": space.decode(best[0])}


def _best(problem: SnnProblem, X: np.ndarray) -> np.ndarray:
    """The feasible points of the best expected scores, the best first."""
    predicted = np.concatenate([problem.predicted(X[start : start + CHUNK]) for start in range(0, len(X), CHUNK)])
    best: list[int] = []
    for row in np.argsort(-predicted[:, 0]):
        epochs = int(problem.table.space.decode(X[row])["epochs"])
        if problem.is_feasible(problem.said(predicted[row]), epochs):
            best.append(int(row))
        if len(best) == N_BEST:
            break
    return X[best]
