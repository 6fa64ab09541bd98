"""What the retraining of a search's best configurations gave: mean and spread over the seeds, confusion matrices.

Nothing here picks among test scores: the candidates were chosen by the search, and stay in its order.

Notation: K classes; a retraining's trial i is candidate i modulo their count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.analysis.score import score
from snnhpo_mpi.config.datasets import DATASETS, has_test
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import StudyData, exists, read
from snnhpo_mpi.trial import ParamValue

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeats:
    """The trainings of one candidate.

    Attributes:
        number: of its trial in the search.
        searched: its objective there.
        params: its hyperparameters.
        values: of each completed training.
        trials: numbers of these trainings.
        n_failed: trainings that failed or were lost.
    """

    number: int
    searched: float
    params: Mapping[str, ParamValue]
    values: tuple[float, ...]
    trials: tuple[int, ...]
    n_failed: int

    @property
    def mean(self) -> float | None:
        """Of the completed trainings, None before the first."""
        with np.errstate(over="ignore"):
            return float(np.mean(self.values)) if self.values else None

    @property
    def sd(self) -> float | None:
        """Standard deviation between seeds, with n - 1 in its denominator; None of fewer than two."""
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    @property
    def text(self) -> str:
        """``0.6250 ± 0.1768``, the mean and the standard deviation."""
        if self.mean is None:
            return "-"
        return score(self.mean) if self.sd is None else f"{score(self.mean)} ± {score(self.sd)}"

    @property
    def spread(self) -> str:
        """What the text has: ``mean and standard deviation of 3 repeats``."""
        n = len(self.values)
        return f"mean and standard deviation of {n} repeats" if n > 1 else "one repeat"

    @property
    def seeds(self) -> str:
        """``2 seeds``, and how many failed."""
        n = len(self.values)
        return f"{n} seed{'s' * (n != 1)}{f', {self.n_failed} failed' if self.n_failed else ''}"


def is_retraining(data: StudyData) -> bool:
    """Whether the trials are trainings of given candidates: there is no best among them."""
    return data.retraining is not None


def repeats(data: StudyData) -> list[Repeats]:
    """The trainings by candidate, the best of the search first; none if this is no retraining."""
    candidates = data.retraining.candidates if data.retraining else ()
    found = []
    for i, candidate in enumerate(candidates):
        mine = data.number % len(candidates) == i
        done = np.flatnonzero(mine & data.completed)
        n_failed = int((mine & data.ended).sum()) - len(done)
        values, trials = tuple(data.objective[done].tolist()), tuple(data.number[done].tolist())
        found.append(Repeats(candidate.number, candidate.objective, candidate.params, values, trials, n_failed))
    return found


def candidate_of(data: StudyData) -> list[int]:
    """The search's trial that each trial of a retraining repeats."""
    found = repeats(data)
    return [found[number % len(found)].number for number in data.number.tolist()]


def pooled_confusion(data: StudyData, one: Repeats) -> tuple[Floats | None, int]:
    """``K x (K + 1)`` sums over a candidate's trainings, a row a true class, the last column for no answer.

    None where the trainer gives none. Also of how many trainings it is the sum.
    """
    tables = [table for number in one.trials if (table := data.curves(number).get("confusion")) is not None]
    return (np.sum(tables, axis=0), len(tables)) if tables else (None, 0)


def n_tested(data: StudyData) -> int | None:
    """Test samples that each training of a retraining was scored on; None where nobody knows."""
    known = data.n_scored[data.completed & (data.n_scored >= 0)]
    return int(known[0]) if len(known) else None


def shares(confusion: Floats) -> Floats:
    """Rows that add up to 1; the column for no answer is left out where there is always one."""
    kept = confusion if confusion[:, -1].any() else confusion[:, :-1]
    divided: Floats = kept / np.maximum(kept.sum(axis=1, keepdims=True), 1.0)
    return divided


def retrainings(data: StudyData) -> list[StudyData]:
    """The retrainings of a search, which lie in its folder."""
    found = []
    for folder in sorted(path for path in data.folder.iterdir() if path.is_dir() and exists(path)):
        with contextlib.suppress(RecordError):
            if is_retraining(one := read(folder)):
                found.append(one)
    return found


def tested_on(data: StudyData) -> str:
    """What the objective of a retraining was measured on."""
    trainer = data.config.get("trainer") or {}
    if trainer.get("name") == "python":
        return "as the function measures it"
    dataset = trainer.get("dataset") or {}
    name = str(dataset.get("name"))
    if not has_test(dataset):
        return f"on the {DATASETS[name].samples} that the search never trained or scored on"
    return (
        f"on the official test set of {name}" if name != "python" else f"on the samples of {dataset['test_function']}"
    )
