"""What the retraining of a search's best configurations gave: mean and spread over the seeds, confusion matrix.

Notation: K classes; a retraining's trial i is candidate i modulo their count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report.summary import best_trials
from snnhpo_mpi.report.words import duration

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Repeats:
    """The trainings of one candidate.

    Attributes:
        number: of its trial in the search.
        searched: its objective there.
        values: of each completed training.
        n_failed: trainings that failed or were lost.
        confusion: ``K x (K + 1)`` sums over the trainings, a row a true class, the last column for no answer; None
            where the trainer tells none.
    """

    number: int
    searched: float
    values: tuple[float, ...]
    n_failed: int
    confusion: Floats | None

    @property
    def mean(self) -> float | None:
        """Of the completed trainings, None before the first."""
        return float(np.mean(self.values)) if self.values else None

    @property
    def sd(self) -> float | None:
        """Standard deviation between seeds, with n - 1 in its denominator; None of fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


def repeats(data: StudyData) -> list[Repeats]:
    """The trainings by candidate, the best of the search first; none if this is no retraining."""
    candidates: Sequence[Mapping[str, Any]] = (data.config.get("retrain") or {}).get("candidates", ())
    found = []
    for i, candidate in enumerate(candidates):
        mine = data.number % len(candidates) == i
        done = np.flatnonzero(mine & data.completed)
        n_failed = int((mine & data.ended).sum()) - len(done)
        tables = [table for row in done if (table := data.curves(int(data.number[row])).get("confusion")) is not None]
        confusion = np.sum(tables, axis=0) if tables else None
        values = tuple(data.objective[done].tolist())
        found.append(Repeats(int(candidate["number"]), float(candidate["objective"]), values, n_failed, confusion))
    return found


def retrainings(data: StudyData) -> list[StudyData]:
    """The retrainings of a search, which lie in its folder."""
    found = []
    for path in sorted(data.folder.glob("*/journal.jsonl")):
        with contextlib.suppress(RecordError):
            if (one := read(path.parent)).config.get("retrain"):
                found.append(one)
    return found


def best_confusion(data: StudyData) -> tuple[Floats | None, str]:
    """The confusion matrix to show for a study, and what it is of: of its retraining, else of its best network."""
    for one in [data, *retrainings(data)]:
        told = repeats(one)
        if told and told[0].confusion is not None:
            n = len(told[0].values)
            return told[0].confusion, f"trial {told[0].number} retrained, {n} seed{'s' * (n > 1)}, test data [%]"
    best = best_trials(data, 1)
    table = data.curves(best[0].number).get("confusion") if best else None
    return table, f"trial {best[0].number}, held-out data [%]" if best else ""


def tested_on(data: StudyData) -> str:
    """What the objective of a retraining was measured on."""
    trainer = data.config.get("trainer") or {}
    if trainer.get("name") == "python":
        return "as the function measures it"
    name = (trainer.get("dataset") or {}).get("name")
    if name == "digits5000":  # has no official test set
        return "on the digits that the search never trained or scored on"
    return f"on the official test set of {name}"


def conclusion(data: StudyData) -> str:
    """Mean and standard deviation of each candidate, and the confusion matrix of the first."""
    found = repeats(data)
    what = "objective" if (data.config.get("trainer") or {}).get("name") == "python" else "test accuracy"
    lines = [f"{what}, {tested_on(data)}; mean and standard deviation over seeds"]
    lines.append(f"{'trial':>7}{'search':>10}{'mean':>10}{'s.d.':>9}{'min':>9}{'max':>9}{'n':>5}{'failed':>8}")
    for one in found:
        spread = [one.mean, one.sd, min(one.values, default=None), max(one.values, default=None)]
        cells = [_cell(value) for value in spread]
        lines.append(
            f"{one.number:>7}{one.searched:>10.4f}{cells[0]:>10}{cells[1]:>9}{cells[2]:>9}{cells[3]:>9}"
            f"{len(one.values):>5}{one.n_failed:>8}"
        )
    if found and found[0].confusion is not None and len(found[0].confusion) <= 20:
        lines += ["", f"trial {found[0].number}: of each true class (row), the share read as each class (column) [%]"]
        lines += confusion_lines(found[0].confusion)
    if networks := (data.config.get("retrain") or {}).get("networks"):
        lines.append(f"networks {data.folder / networks}")
    lines.append(f"record   {data.folder / 'study.h5'}, {duration(float(np.nansum(data.seconds)))} of training")
    return "\n".join(lines)


def confusion_lines(confusion: Floats) -> list[str]:
    """A confusion matrix as text: rows of whole percents."""
    share = shares(confusion)
    classes = [str(j) for j in range(len(confusion))] + (["none"] if share.shape[1] > len(confusion) else [])
    lines = [" " * 4 + "".join(f"{name:>5}" for name in classes)]
    for i, row in enumerate(share):
        lines.append(f"{i:>4}" + "".join(f"{'.' if value < 0.005 else f'{100 * value:.0f}':>5}" for value in row))
    return lines


def shares(confusion: Floats) -> Floats:
    """Rows that add up to 1; the column for no answer is left out where there is always one."""
    kept = confusion if confusion[:, -1].any() else confusion[:, :-1]
    divided: Floats = kept / np.maximum(kept.sum(axis=1, keepdims=True), 1.0)
    return divided


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
