"""Problems ``snn_stdp`` and ``snn_slayer``: searches for a real spiking network, by what regressors say of it.

The regressors are fitted on tables of real trainings (``tabulated``, ``surrogate``). What they say is the mean of many
seeds; a trial draws its own luck from its seed: silent samples one by one, which the real monitors count, a score, and
a learning curve. So a trial is stopped when a real one would be, and costs what a real one costs.

Notation
    q  quantities    L  monitored layers    J  windows of a training
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from snnhpo_mpi.bench.problems import Problem
from snnhpo_mpi.bench.surrogate import Forest, Kernel, Mean, Regressor, Smooth
from snnhpo_mpi.bench.tabulated import FIRST_POSITION, FOLDER, Table, n_train, read_table, size_of
from snnhpo_mpi.config import StdpSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.early_stopping.silence import monitor_of
from snnhpo_mpi.trial import ACCURACY, Outcome, Params, State, Trial

Array = NDArray[np.float64]
MODELS = ("mean", "forest", "smooth")
N_INITIAL = 20
N_REPEATED = 3  # trainings of a configuration from which its luck is known
MOST_ODDS = 4.0  # log odds of a silent sample beyond which a layer is as good as dead or never silent
LOOK_EVERY = 32  # samples between two looks of the monitors of STDP
HEADROOM = 0.1  # above the best score of the table, which its regressors may not promise
# What a group of standardised quantities counts for where a leaf of the forest is split.
WEIGHTS = {"score": 3.0, "running": 1.0, "silent": 1.0, "spikes": 0.3, "cost": 0.5}


@dataclass(frozen=True, slots=True)
class Quantities:
    """What is regressed, and in which column it stands.

    Attributes:
        Y: ``n x q``.
        columns: ``score``, as ``-log(1 - score / ceiling)``; ``running``, of the windows of ``known``;
            ``silent_<layer>``, log odds of a silent sample in each window; ``spikes_<layer>`` as log(1 + spikes);
            ``cost``: log of the seconds of the start, of a training sample and of scoring.
        known: ``J``, whether there is a running score at a window's end.
        ceiling: no score is above it.
    """

    Y: Array
    columns: Mapping[str, slice]
    known: NDArray[np.bool_]
    ceiling: float

    def score(self, Y: Array) -> Array:
        """Scores ``n`` of rows ``n x q``, or of one row."""
        return np.asarray(-self.ceiling * np.expm1(-np.maximum(Y[..., self.columns["score"].start], 0.0)))


def quantities(table: Table) -> Quantities:
    """Of a table."""
    known = np.asarray(np.isfinite(table.running).all(0))
    # What lifts a poor network lifts a good one less: on this scale effects add up, and never above a ceiling.
    ceiling = min(1.0, float(table.score.max()) + HEADROOM)
    parts = {"score": -np.log1p(-table.score / ceiling)[:, None], "running": table.running[:, known]}
    # Half of all networks are silent or never silent: the mean of two such shares is neither, and above any beta.
    parts |= {f"silent_{layer}": _log_odds(shares) for layer, shares in table.silent.items()}
    parts |= {f"spikes_{layer}": np.log1p(mean)[:, None] for layer, mean in table.spikes.items()}
    each = (table.train_seconds - table.start_seconds) / (table.n_samples - FIRST_POSITION)
    parts["cost"] = np.log(np.stack([table.start_seconds, each, table.score_seconds], 1))
    ends = np.cumsum([part.shape[1] for part in parts.values()])
    columns = {name: slice(end - part.shape[1], end) for (name, part), end in zip(parts.items(), ends, strict=True)}
    return Quantities(np.concatenate(list(parts.values()), 1), columns, known, ceiling)


def forest_of(X: Array, found: Quantities, rows: Sequence[int] | slice = slice(None)) -> Forest:
    """A forest on some rows of a table."""
    weights = np.zeros(found.Y.shape[1])
    for name, columns in found.columns.items():
        weights[columns] = math.sqrt(WEIGHTS[name.partition("_")[0]] / (columns.stop - columns.start))
    return Forest(X[rows], found.Y[rows], weights)


def smooth_of(
    X: Array, found: Quantities, kernels: Mapping[str, Kernel], rows: Sequence[int] | slice = slice(None)
) -> Smooth:
    """A Gaussian process on some rows of a table; the running score has the kernel of the score."""
    groups = [
        (kernels["score" if name == "running" else name], range(columns.start, columns.stop))
        for name, columns in found.columns.items()
    ]
    return Smooth(X[rows], found.Y[rows], groups)


@dataclass(frozen=True, slots=True)
class Luck:
    """How much trainings of one configuration differ by their seeds.

    Attributes:
        n_effective: the score varies as the share of hits among so many samples, in the median configuration.
        silence: standard deviation of the log odds of a silent sample, for each layer.
        seconds: standard deviation of the log of the duration.
    """

    n_effective: float
    silence: Mapping[str, float]
    seconds: float


def luck_of(table: Table) -> Luck:
    """From the repeated configurations of a table.

    Raises:
        ConfigError: it has none.
    """
    numbers, counts = np.unique(table.configuration, return_counts=True)
    groups = [np.flatnonzero(table.configuration == number) for number in numbers[counts >= N_REPEATED]]
    if not groups:
        raise ConfigError(f"{table.config.study.name}: no configuration of the table was trained {N_REPEATED} times")
    # The median: a few configurations, where one seed in five fails, have ten times the variance of all others.
    means, variances = np.array([(table.score[group].mean(), table.score[group].var(ddof=1)) for group in groups]).T
    silence = {}
    for layer, shares in table.silent.items():
        odds = _log_odds(shares[:, -1])
        silence[layer] = _within(odds, [group for group in groups if abs(odds[group].mean()) < MOST_ODDS])
    return Luck(
        n_effective=float(1.0 / np.median(variances / (means * (1.0 - means)))),
        silence=silence,
        seconds=_within(np.log(table.train_seconds), groups),
    )


def _log_odds(shares: Array) -> Array:
    """Of shares that are kept off 0 and 1 by a thousandth."""
    kept = np.clip(shares, 1e-3, 1.0 - 1e-3)
    return np.asarray(np.log(kept / (1.0 - kept)))


def _within(values: Array, groups: Sequence[NDArray[np.int64]]) -> float:
    """Standard deviation within groups, pooled; 0 without groups."""
    return math.sqrt(np.mean([values[group].var(ddof=1) for group in groups])) if groups else 0.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the regressors say of a configuration, over all seeds.

    Attributes:
        score: held out, in [0, 1].
        running: ``J`` share of right predictions at each window's end; NaN where there is none.
        silent: layer -> ``J`` share of silent samples.
        spikes: layer -> spikes a sample in the last epoch.
        start_seconds: of the start and the first 64 samples [s].
        sample_seconds: of training, for each further sample [s].
        score_seconds: of scoring [s].
    """

    score: float
    running: Array
    silent: Mapping[str, Array]
    spikes: Mapping[str, float]
    start_seconds: float
    sample_seconds: float
    score_seconds: float


@dataclass(frozen=True, slots=True)
class Training:
    """One imagined training.

    Attributes:
        outcome: what a search is told.
        seconds: until its end.
        samples, scores: what it would report: samples seen, and the running score there; after the last, its outcome.
        silent: layer -> share of silent samples between two reports.
    """

    outcome: Outcome
    seconds: float
    samples: Array
    scores: Array
    silent: Mapping[str, Array]


class SnnProblem:
    """A table's experiment, imagined.

    Attributes:
        table: of real trainings.
        luck: of a seed.
        shift: added to all log odds of a silent sample, so that as many random points are feasible as in the table.
        optimum: largest expected score of a configuration that is expected to be feasible, by a dense search.
    """

    def __init__(self, name: str, model: str = "mean", folder: Path = FOLDER) -> None:
        """Fit the regressors; seconds.

        Args:
            name: of the table.
            model: one of ``MODELS``.
            folder: where the table is.

        Raises:
            ConfigError: the table is not there.
        """
        self.name = name if model == "mean" else f"{name}_{model}"
        self.table = read_table(name, folder)
        self.luck = luck_of(self.table)
        self._known = json.loads((folder / f"{name}.json").read_text())
        self.shift: float = self._known.get("shift", {}).get(model, 0.0)
        self.optimum: float | None = self._known.get("optimum", {}).get(model, {}).get("score")
        self._quantities = quantities(self.table)
        self._regressor = self._fitted(model)
        self._expected = functools.lru_cache(maxsize=4096)(
            lambda encoded: self.said(self.predicted(np.frombuffer(encoded)[None])[0])
        )

    def _fitted(self, model: str) -> Regressor:
        X, found = self.table.X, self._quantities
        kernels = {group: Kernel(**values) for group, values in self._known["kernels"].items()}
        match model:
            case "forest":
                return forest_of(X, found)
            case "smooth":
                return smooth_of(X, found, kernels)
            case _:
                return Mean([forest_of(X, found), smooth_of(X, found, kernels)])

    def predicted(self, X: Array) -> Array:
        """Points ``r x d`` -> quantities ``r x q``, in the columns of ``quantities``."""
        return self._regressor(X)

    def expected(self, params: Params) -> Expected:
        """What the regressors say of a configuration."""
        return self._expected(self.table.space.encode(params).tobytes())

    def said(self, predicted: Array) -> Expected:
        """What a row ``q`` of ``predicted`` means."""
        at = {name: predicted[columns] for name, columns in self._quantities.columns.items()}
        running = np.full(len(self._quantities.known), np.nan)
        running[self._quantities.known] = at["running"].clip(0.0, 1.0)
        start_seconds, sample_seconds, score_seconds = (float(seconds) for seconds in np.exp(at["cost"]))
        return Expected(
            score=float(self._quantities.score(predicted)),
            running=running,
            silent={layer: np.asarray(expit(at[f"silent_{layer}"] + self.shift)) for layer in self.table.silent},
            spikes={layer: float(np.expm1(at[f"spikes_{layer}"][0]).clip(0.0)) for layer in self.table.silent},
            start_seconds=start_seconds,
            sample_seconds=sample_seconds,
            score_seconds=score_seconds,
        )

    def is_feasible(self, expected: Expected, epochs: int) -> bool:
        """Whether no monitor would stop a training with the expected silent samples, and its last epoch is feasible."""
        n, positions = n_train(self.table.config), self.table.positions
        for one in self.table.config.stopping:
            rule = monitor_of(one, n).rule
            for epoch in range(epochs):
                edges = np.clip(positions, max(epoch * n, one.warm_up), (epoch + 1) * n)
                seen, silent = np.cumsum(np.diff(edges)), np.cumsum(np.diff(edges) * expected.silent[one.layer])
                looks = [(int(k), int(seen[j]), int(seen[j - 1]) if j else 0) for j, k in enumerate(silent) if seen[j]]
                if any(rule.stops(*look) for look in looks):
                    return False
            if rule.constraint(*looks[-1][:2]) > 0:
                return False
        return True

    def train(self, trial: Trial) -> Training:
        """Imagine a training; follows from the trial's hyperparameters and seed."""
        expected, rng = self.expected(trial.params), np.random.default_rng(trial.seed)
        planned = n_train(self.table.config) * int(trial.params["epochs"])
        ends = np.unique(np.minimum(self.table.positions[1:], planned))
        silent = {layer: self._lucky(layer, shares[: len(ends)], rng) for layer, shares in expected.silent.items()}
        watched = self._watch(trial.params, silent, planned, rng)
        luck = rng.standard_normal() / math.sqrt(self.luck.n_effective)
        scores, counted = _reported(expected.running[: len(ends)], ends, luck, rng)
        score = _drawn(expected.score, luck, self.table.n_held_out)
        last = int(np.searchsorted(ends, watched.seen))
        outcome = Outcome(
            number=trial.number,
            state=State.STOPPED if watched.is_stopped else State.COMPLETED,
            objectives={ACCURACY: float(np.nan_to_num(scores[last])) if watched.is_stopped else score},
            n_scored=int(counted[last]) if watched.is_stopped else self.table.n_held_out,
            constraints=watched.constraints,
            metrics=self._metrics(trial.params, expected, watched, planned),
        )
        reports = np.minimum(ends[: last + 1], watched.seen)
        kept = {layer: shares[: last + 1] for layer, shares in silent.items()}
        return Training(outcome, self.seconds(trial.params, outcome), reports, scores[: last + 1], kept)

    def _lucky(self, layer: str, shares: Array, rng: np.random.Generator) -> Array:
        """Shares of silent samples of a layer, with the luck of a seed in their log odds."""
        odds = shares / np.maximum(1.0 - shares, 1e-12) * math.exp(self.luck.silence[layer] * rng.standard_normal())
        return np.asarray(odds / (1.0 + odds))

    def _watch(self, params: Params, silent: Mapping[str, Array], planned: int, rng: np.random.Generator) -> _Watched:
        """Show the experiment's monitors silent samples."""
        n_epoch = n_train(self.table.config)
        window = np.searchsorted(self.table.positions, np.arange(planned), side="right") - 1
        events = {layer: rng.random(planned) < shares[window] for layer, shares in silent.items()}
        monitors = {one.layer: monitor_of(one, n_epoch) for one in self.table.config.stopping}
        look, seen, is_stopped = self._look_every(params), 0, False
        while seen < planned and not is_stopped:
            if seen % n_epoch == 0:
                for monitor in monitors.values():
                    monitor.start_epoch()
            end = min(seen + look, seen - seen % n_epoch + n_epoch)
            for layer, monitor in monitors.items():
                monitor.observe(events[layer][seen:end])
            seen, is_stopped = end, any(monitor.should_stop for monitor in monitors.values())
        return _Watched(seen, tuple(float(monitor.constraint) for monitor in monitors.values()), is_stopped)

    def _look_every(self, params: Params) -> int:
        return LOOK_EVERY if isinstance(self.table.config.trainer, StdpSettings) else int(params["batch_size"])

    def _metrics(self, params: Params, expected: Expected, watched: _Watched, planned: int) -> dict[str, float]:
        spikes = {f"spikes_{layer}": mean for layer, mean in expected.spikes.items()}
        size = size_of(self.table.config, params, spikes | {"spikes_input": self.table.spikes_input})
        ending = {"stopped_at": float(watched.seen)} if watched.is_stopped else {}
        return size | spikes | ending | {"n_samples": float(watched.seen), "n_samples_planned": float(planned)}

    def seconds(self, params: Params, outcome: Outcome) -> float:
        """What it takes in the mean: training up to its end, and scoring unless it was stopped [s]."""
        expected, n_samples = self.expected(params), outcome.metrics["n_samples"]
        training = expected.start_seconds + max(n_samples - FIRST_POSITION, 0.0) * expected.sample_seconds
        return training + (expected.score_seconds if outcome.state is State.COMPLETED else 0.0)


@dataclass(frozen=True, slots=True)
class _Watched:
    """What the monitors made of a training: samples seen until its end, their constraints, whether they ended it."""

    seen: int
    constraints: tuple[float, ...]
    is_stopped: bool


def _reported(expected: Array, ends: Array, luck: float, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Running scores at the windows' ends, with the seed's luck, and of how many samples: half of those seen.

    NaN and 0 where there is no prediction yet.
    """
    known = np.isfinite(expected)
    mean = np.where(known, expected, 0.0)
    lucky = np.clip(mean + luck * np.sqrt(mean * (1.0 - mean)), 0.0, 1.0)
    counted = np.where(known, ends // 2, 0).astype(np.int64)
    return np.where(known, rng.binomial(counted, lucky) / np.maximum(counted, 1), np.nan), counted


def _drawn(expected: float, luck: float, n: int) -> float:
    """A share of ``n`` samples."""
    return round(n * min(max(expected + luck * math.sqrt(expected * (1.0 - expected)), 0.0), 1.0)) / n


def snn_problem(name: str) -> Problem:
    """``snn_stdp`` or ``snn_slayer``, with ``_forest`` or ``_smooth`` of one regressor instead of the mean of both.

    Raises:
        ConfigError: its table is not there.
    """
    model = next((model for model in MODELS if name.endswith(f"_{model}")), "mean")
    snn = SnnProblem(name.removesuffix(f"_{model}"), model)
    return Problem(
        name=name,
        space=snn.table.space,
        n_constraints=len(snn.table.config.constraint_names),
        n_initial=N_INITIAL,
        minimised=False,
        evaluate=lambda trial: snn.train(trial).outcome,
        value=lambda params: snn.expected(params).score,
        mean_seconds=snn.seconds,
        duration_sigma=snn.luck.seconds,
        optimum=snn.optimum,
    )
