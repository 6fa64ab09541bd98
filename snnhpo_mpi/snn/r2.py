"""The score of a regression: the coefficient of determination, at once and while numbers come in.

1 is perfect, 0 as good as always answering the mean, below 0 worse: 1 - sum (t - a)^2 / sum (t - mean t)^2 of each
output, averaged over the outputs. One whose targets do not vary counts 1 if it is met exactly, else 0.

Notation: M samples, B of a batch, K outputs; t targets, a answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]


def r2(answers: Numbers, targets: Numbers) -> float:
    """Of all samples.

    Args:
        answers: ``M x K``.
        targets: ``M x K``, or ``M`` where K is 1.
    """
    wanted = np.asarray(targets, np.float64).reshape(len(targets), -1)
    missed = np.square(wanted - np.asarray(answers, np.float64).reshape(wanted.shape)).sum(0)
    return _score(missed, np.square(wanted - wanted.mean(0)).sum(0))


class RunningR2:
    """Of the samples observed so far, since it was last restarted."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was observed."""
        self._n, self._mean, self._varied, self._missed = 0, np.zeros(1), np.zeros(1), np.zeros(1)

    def observe(self, answers: Numbers, targets: Numbers) -> None:
        """Take in ``B x K`` answers and targets.

        The variances of two sets are joined as by Chan, Golub & LeVeque 1979.
        """
        targets = np.asarray(targets, np.float64)
        n, mean = len(targets), targets.mean(0)
        apart = mean - self._mean
        self._varied = self._varied + np.square(targets - mean).sum(0)
        self._varied = self._varied + np.square(apart) * (self._n * n / (self._n + n))
        self._mean = self._mean + apart * (n / (self._n + n))
        self._missed = self._missed + np.square(targets - answers).sum(0)
        self._n += n

    @property
    def value(self) -> float | None:
        """None before the first sample."""
        return _score(self._missed, self._varied) if self._n else None

    def state_dict(self) -> dict[str, Any]:
        """What was observed, for a checkpoint."""
        return {"n": self._n, "mean": self._mean, "varied": self._varied, "missed": self._missed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._n = int(state["n"])
        self._mean, self._varied, self._missed = state["mean"], state["varied"], state["missed"]


def _score(missed: Numbers, varied: Numbers) -> float:
    constant = varied == 0
    scores = np.where(constant, missed == 0, 1 - missed / np.where(constant, 1.0, varied))
    return float(scores.mean())
