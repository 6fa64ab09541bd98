"""Metrics that an evaluation returned of its own accord: a user's, and spikes; not what every trainer records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snnhpo_mpi.analysis.points import Floats, drawable
from snnhpo_mpi.record import StudyData

# What the program's own trainers record of every training: figures and tiles of their own show it.
OF_TRAINING = frozenset(
    {"accuracy", "train_accuracy", "train_seconds", "score_seconds", "n_samples", "n_samples_planned"}
    | {"stopped_at", "peak_memory_mb", "resumed_after_epoch", "curves_cut", "metrics_cut"}
)


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric over the trials.

    Attributes:
        values: n, NaN where a trial has none.
        low, high: of the values that are finite.
        n: how many of these there are.
    """

    name: str
    values: Floats
    low: float
    high: float
    n: int


def own_metrics(data: StudyData) -> list[Metric]:
    """Those of a study; ones without a finite value are left out.

    A function of the user's may use any name, so that all of its metrics are its own.
    """
    ours = OF_TRAINING if (data.config.get("trainer") or {}).get("name") != "python" else frozenset()
    found = []
    for name, values in data.metrics.items():
        known = values[drawable(values)]
        if name not in ours and len(known):
            found.append(Metric(name, values, float(np.min(known)), float(np.max(known)), len(known)))
    return found
