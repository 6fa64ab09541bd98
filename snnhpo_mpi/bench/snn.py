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

from snnhpo_mpi.bench.problems import Problem
from snnhpo_mpi.bench.surrogate import Forest, Kernel, Mean, Regressor, Smooth
from snnhpo_mpi.bench.tabulated import FIRST_POSITION, FOLDER, Table, n_train, read_table, size_of
from snnhpo_mpi.config import StdpSettings
from snnhpo_mpi.snn.early_stopping.silence import monitor_of
from snnhpo_mpi.trial import ACCURACY, Outcome, Params, State, Trial

Array = NDArray[np.float64]
MODELS = ("mean", "forest", "smooth")
N_INITIAL = 20
LOOK_EVERY = 32  # samples between two looks of the monitors of STDP
# What a group of standardised quantities counts for where a leaf of the forest is split.
WEIGHTS = {"score": 3.0, "running": 1.0, "silent": 1.0, "spikes": 0.3, "cost": 0.5}


@dataclass(frozen=True, slots=True)
class Quantities:
    """What is regressed, and in which column it stands.

    Attributes:
        Y: ``n x q``.
        columns: ``score``; ``running``, of the windows of ``known``; ``silent_<layer>``, of all windows;
            ``spikes_<layer>`` as log(1 + spikes); ``cost``: log of the seconds of the start, of
            a training sample and of scoring.
        known: ``J``, whether there is a running score at a window's end.
    """

    Y: Array
    columns: Mapping[str, slice]
    known: NDArray[np.bool_]


def quantities(table: Table) -> Quantities:
    """Of a table."""
    known = np.asarray(np.isfinite(table.running).all(0))
    parts = {"score": table.score[:, None], "running": table.running[:, known]}
    parts |= {f"silent_{layer}": shares for layer, shares in table.silent.items()}
    parts |= {f"spikes_{layer}": np.log1p(mean)[:, None] for layer, mean in table.spikes.items()}
    each = (table.train_seconds - table.start_seconds) / (table.n_samples - FIRST_POSITION)
    parts["cost"] = np.log(np.stack([table.start_seconds, each, table.score_seconds], 1))
    ends = np.cumsum([part.shape[1] for part in parts.values()])
    columns = {name: slice(end - part.shape[1], end) for (name, part), end in zip(parts.items(), ends, strict=True)}
    return Quantities(np.concatenate(list(parts.values()), 1), columns, known)


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
        n_effective: the score varies as the share of hits among so many samples.
        silence: standard deviation of the log odds of a silent sample, for each layer.
        seconds: standard deviation of the log of the duration.
    """

    n_effective: float
    silence: Mapping[str, float]
    seconds: float


def luck_of(table: Table) -> Luck:
    """From the repeated configurations of a table."""
    numbers, counts = np.unique(table.configuration, return_counts=True)
    groups = [np.flatnonzero(table.configuration == number) for number in numbers[counts >= 3]]

    def within(values: Array, which: Sequence[NDArray[np.int64]]) -> float:
        return math.sqrt(np.mean([values[group].var(ddof=1) for group in which])) if which else 0.0

    expected = [table.score[group].mean() * (1.0 - table.score[group].mean()) for group in groups]
    share = np.mean([table.score[group].var(ddof=1) / max(e, 1e-9) for group, e in zip(groups, expected, strict=True)])
    silence = {}
    for layer, shares in table.silent.items():
        last = shares[:, -1]
        between = [group for group in groups if 0.02 < last[group].mean() < 0.98]
        clipped = np.clip(last, 1e-3, 1.0 - 1e-3)
        silence[layer] = within(np.log(clipped / (1.0 - clipped)), between)
    return Luck(1.0 / max(float(share), 1e-6), silence, within(np.log(table.train_seconds), groups))


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
        self.optimum: float | None = self._known.get("optimum", {}).get(model, {}).get("score")
        self._quantities = quantities(self.table)
        self._regressor = self._fitted(model)
        self._expected = functools.lru_cache(maxsize=4096)(self._at)

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

    def _at(self, encoded: bytes) -> Expected:
        found = self._regressor(np.frombuffer(encoded)[None])[0]
        at = {name: found[columns] for name, columns in self._quantities.columns.items()}
        running = np.full(len(self._quantities.known), np.nan)
        running[self._quantities.known] = at["running"].clip(0.0, 1.0)
        start_seconds, sample_seconds, score_seconds = (float(seconds) for seconds in np.exp(at["cost"]))
        return Expected(
            score=float(at["score"][0].clip(0.0, 1.0)),
            running=running,
            silent={layer: at[f"silent_{layer}"].clip(0.0, 1.0) for layer in self.table.silent},
            spikes={layer: float(np.expm1(at[f"spikes_{layer}"][0]).clip(0.0)) for layer in self.table.silent},
            start_seconds=start_seconds,
            sample_seconds=sample_seconds,
            score_seconds=score_seconds,
        )

    def train(self, trial: Trial) -> Training:
        """Imagine a training; follows from the trial's hyperparameters and seed."""
        expected, config = self.expected(trial.params), self.table.config
        rng = np.random.default_rng(trial.seed)
        planned = n_train(config) * int(trial.params["epochs"])
        n_windows = int(np.searchsorted(self.table.positions, planned))
        silent = {layer: self._lucky(layer, shares[:n_windows], rng) for layer, shares in expected.silent.items()}
        seen, constraints, is_stopped = self._watch(trial.params, silent, planned, rng)
        ends = np.minimum(self.table.positions[1 : 1 + n_windows], planned)
        luck = rng.standard_normal() / math.sqrt(self.luck.n_effective)
        scores = _reported(expected.running[:n_windows], ends, luck, rng)
        n_kept = int(np.searchsorted(ends, seen)) + 1
        score = _drawn(expected.score, luck, self.table.n_held_out)
        running = np.nan_to_num(scores[:n_kept])[-1]
        outcome = Outcome(
            number=trial.number,
            state=State.STOPPED if is_stopped else State.COMPLETED,
            objectives={ACCURACY: float(running if is_stopped else score)},
            constraints=constraints,
            metrics=self._metrics(trial.params, expected, seen, planned, is_stopped),
        )
        reports = np.minimum(ends[:n_kept], seen)
        kept = {layer: shares[:n_kept] for layer, shares in silent.items()}
        return Training(outcome, self.seconds(trial.params, outcome), reports, scores[:n_kept], kept)

    def _lucky(self, layer: str, shares: Array, rng: np.random.Generator) -> Array:
        """Shares of silent samples of a layer, with the luck of a seed in their log odds."""
        odds = shares / np.maximum(1.0 - shares, 1e-12) * math.exp(self.luck.silence[layer] * rng.standard_normal())
        return np.asarray(odds / (1.0 + odds))

    def _watch(
        self, params: Params, silent: Mapping[str, Array], planned: int, rng: np.random.Generator
    ) -> tuple[int, tuple[float, ...], bool]:
        """Show the experiment's monitors silent samples: samples seen, constraints, whether they stopped it."""
        n_epoch = n_train(self.table.config)
        window = np.searchsorted(self.table.positions, np.arange(planned), side="right") - 1
        events = {layer: rng.random(planned) < shares[window] for layer, shares in silent.items()}
        monitors = {one.layer: monitor_of(one, n_epoch) for one in self.table.config.stopping}
        look, seen = self._look_every(params), 0
        while seen < planned:
            if seen % n_epoch == 0:
                for monitor in monitors.values():
                    monitor.start_epoch()
            end = min(seen + look, seen - seen % n_epoch + n_epoch)
            for layer, monitor in monitors.items():
                monitor.observe(events[layer][seen:end])
            seen = end
            if any(monitor.should_stop for monitor in monitors.values()):
                break
        is_stopped = any(monitor.should_stop for monitor in monitors.values())
        return seen, tuple(float(monitor.constraint) for monitor in monitors.values()), is_stopped

    def _look_every(self, params: Params) -> int:
        return LOOK_EVERY if isinstance(self.table.config.trainer, StdpSettings) else int(params["batch_size"])

    def _metrics(
        self, params: Params, expected: Expected, seen: int, planned: int, is_stopped: bool
    ) -> dict[str, float]:
        spikes = {f"spikes_{layer}": mean for layer, mean in expected.spikes.items()}
        size = size_of(self.table.config, params, spikes | {"spikes_input": self.table.spikes_input})
        ending = {"stopped_at": float(seen)} if is_stopped else {}
        return size | spikes | ending | {"n_samples": float(seen), "n_samples_planned": float(planned)}

    def seconds(self, params: Params, outcome: Outcome) -> float:
        """What it takes in the mean: training up to its end, and scoring unless it was stopped [s]."""
        expected, n_samples = self.expected(params), outcome.metrics["n_samples"]
        training = expected.start_seconds + max(n_samples - FIRST_POSITION, 0.0) * expected.sample_seconds
        return training + (expected.score_seconds if outcome.state is State.COMPLETED else 0.0)

    def feasible(self, predicted: Array, epochs: Array) -> NDArray[np.bool_]:
        """Whether the mean of many seeds has few silent samples in its last epoch: ``r x q``, ``r`` -> ``r``."""
        ends = np.minimum(self.table.positions[None], n_train(self.table.config) * epochs[:, None])  # r x (J + 1)
        last = np.maximum(ends, ends[:, -1:] - n_train(self.table.config))
        weights = np.diff(last) / n_train(self.table.config)
        allowed = np.ones(len(predicted), dtype=bool)
        for one in self.table.config.stopping:
            shares = predicted[:, self._quantities.columns[f"silent_{one.layer}"]].clip(0.0, 1.0)
            allowed &= (shares * weights).sum(1) <= one.beta
        return allowed


def _reported(expected: Array, ends: Array, luck: float, rng: np.random.Generator) -> Array:
    """Running scores at the windows' ends: the seed's luck, and that of the samples counted, half of those seen."""
    known = np.isfinite(expected)
    lucky = np.clip(np.nan_to_num(expected) + luck * np.sqrt(np.nan_to_num(expected * (1 - expected))), 0.0, 1.0)
    counted = np.maximum(ends // 2, 1).astype(int)
    return np.where(known, rng.binomial(counted, lucky) / counted, np.nan)


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
