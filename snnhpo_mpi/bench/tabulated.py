"""Tables of real trainings, as arrays: what ``results/reference/curves`` holds (its README says how they were made).

Notation
    n  trainings in the table    d  encoded hyperparameters    L  monitored layers
    G  positions, in samples seen    J  windows between them, one fewer
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from snnhpo_mpi.config import SlayerSettings, StdpSettings, StudyConfig, load_config
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Params

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDER = Path(__file__).parent / "tables"
NAMES = ("snn_stdp", "snn_slayer")
FIRST_POSITION, POSITIONS_PER_OCTAVE = 64, 2
N_PIXELS, K = 784, 10


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        config: the experiment that was tabulated.
        space: of its hyperparameters.
        X: ``n x d``, where each training was.
        configuration: ``n``, the same number for trainings of the same hyperparameters.
        designed: ``n``, whether it is a point of the Sobol design.
        positions: ``G``, from 0.
        score: ``n`` held-out scores.
        feasible: ``n``, whether a search with the experiment's monitors would have been told so.
        running: ``n x J`` share of right predictions over the second half of the samples seen at a window's end; NaN
            before the first prediction. Behind a training's end, its last value; so is ``silent``.
        silent: layer -> ``n x J`` share of silent samples in a window.
        spikes: layer -> ``n`` spikes a sample in the last epoch.
        start_seconds, train_seconds, score_seconds: ``n``, of the processor [s]: of building the network and of its
            first 64 samples; of the whole training; of scoring.
        n_samples: ``n``, of the whole training.
        spikes_input: spikes that a sample is encoded to.
        n_held_out: samples that a score is measured on.
    """

    config: StudyConfig
    space: Space
    X: Array
    configuration: Ints
    designed: NDArray[np.bool_]
    positions: Array
    score: Array
    feasible: NDArray[np.bool_]
    running: Array
    silent: dict[str, Array]
    spikes: dict[str, Array]
    start_seconds: Array
    train_seconds: Array
    score_seconds: Array
    n_samples: Array
    spikes_input: float
    n_held_out: int


def read_table(name: str, folder: Path = FOLDER) -> Table:
    """The table of that name; trainings that failed are left out.

    Raises:
        ConfigError: it is not there.
    """
    files = [folder / f"{name}{ending}" for ending in (".yaml", ".csv.gz", "_curves.csv.gz")]
    if missing := [file for file in files if not file.exists()]:
        raise ConfigError(f"problem {name}: its table {missing[0].name} is not in {folder.name}/ of the package")
    config = load_config(files[0])
    rows, points = (pd.read_csv(file) for file in files[1:])
    rows = rows[rows["state"] == "completed"].reset_index(drop=True)
    space, layers = Space(config.searched), [one.layer for one in config.stopping]
    X = np.stack([space.encode({name: row[name] for name in space.names}) for row in rows.to_dict("records")])
    grid = _grid(n_train(config) * int(rows["epochs"].max()))
    curves = [_Curve(group) for _, group in points.groupby("trial", sort=False)]
    by_trial = {curve.trial: curve for curve in curves}
    ordered = [by_trial[trial] for trial in rows["trial"]]
    return Table(
        config=config,
        space=space,
        X=X,
        configuration=rows["repeats"].fillna(rows["trial"]).to_numpy(np.int64),
        designed=(rows["source"] == "sobol").to_numpy(),
        positions=grid,
        score=rows["score"].to_numpy(float),
        feasible=(rows[[f"constraint_{name}" for name in config.constraint_names]] <= 0.0).all(axis=1).to_numpy(),
        running=np.stack([curve.running(grid) for curve in ordered]),
        silent={layer: np.stack([curve.share(f"silent_{layer}", grid) for curve in ordered]) for layer in layers},
        spikes={layer: rows[f"spikes_{layer}"].to_numpy(float) for layer in layers},
        start_seconds=np.array([curve.start_seconds for curve in ordered]),
        train_seconds=rows["train_seconds"].to_numpy(float),
        score_seconds=(rows["seconds"] - rows["train_seconds"]).to_numpy(float),
        n_samples=n_train(config) * rows["epochs"].to_numpy(float),
        spikes_input=float(rows["spikes_input"].iloc[0]),
        n_held_out=int(rows["n"].iloc[0]),
    )


def n_train(config: StudyConfig) -> int:
    """Training samples of an epoch."""
    assert isinstance(config.trainer, StdpSettings | SlayerSettings)
    assert config.trainer.dataset.train is not None
    return config.trainer.dataset.train


def size_of(config: StudyConfig, params: Params, spikes: Mapping[str, float]) -> dict[str, float]:
    """Learnt values of a network, and its synaptic operations a sample.

    An operation is a spike that arrives at a synapse: spikes of a layer times the synapses that each of them goes to,
    summed over the layers, the input among them.

    Args:
        config: the experiment.
        params: the hyperparameters.
        spikes: ``spikes_input`` and ``spikes_<layer>``, spikes a sample.
    """
    if isinstance(config.trainer, StdpSettings):
        n = int(params["map_size"])  # each inhibitory neuron goes to all excitatory ones but its own
        lateral = spikes["spikes_excitatory"] + spikes["spikes_inhibitory"] * (n - 1)
        return {"parameters": float((N_PIXELS + 1) * n), "synops": spikes["spikes_input"] * n + lateral}
    n = int(params["hidden"])
    synops = spikes["spikes_input"] * n + spikes["spikes_hidden"] * K
    return {"parameters": float(N_PIXELS * n + n + n * K), "synops": synops}


def _grid(n_samples: int) -> Array:
    """0, then positions in geometric steps, the last of them ``n_samples``."""
    n_octaves = np.log2(n_samples / FIRST_POSITION)
    steps = np.arange(np.floor(n_octaves * POSITIONS_PER_OCTAVE - 0.25) + 1) / POSITIONS_PER_OCTAVE
    return np.concatenate([[0.0], np.round(FIRST_POSITION * 2.0**steps), [float(n_samples)]])


class _Curve:
    """Counts of one training since its start."""

    def __init__(self, points: pd.DataFrame) -> None:
        self.trial = int(points["trial"].iloc[0])
        self._samples = np.concatenate([[0.0], points["samples"].to_numpy(float)])
        self._points: Any = points
        self.start_seconds = float(points["seconds"].iloc[0])

    def _at(self, column: str, positions: Array) -> Array:
        counts = np.concatenate([[0.0], self._points[column].to_numpy(float)])
        return np.asarray(np.interp(positions, self._samples, counts))

    def share(self, column: str, grid: Array) -> Array:
        """Share of a window's samples that are counted in a column, ``J``."""
        inside = np.minimum(grid, self._samples[-1])
        counted, shown = np.diff(self._at(column, inside)), np.diff(inside)
        return _filled(counted / np.where(shown > 0, shown, np.nan))

    def running(self, grid: Array) -> Array:
        """See ``Table``, ``J``."""
        ends = np.minimum(grid[1:], self._samples[-1])
        right, predicted = (self._at(name, ends) - self._at(name, ends / 2) for name in ("right", "predicted"))
        return np.where(predicted > 0, right / np.maximum(predicted, 1.0), np.nan)


def _filled(values: Array) -> Array:
    """With the last finite value in the place of those behind it."""
    last = np.flatnonzero(np.isfinite(values))[-1]
    return np.where(np.arange(len(values)) > last, values[last], values)
