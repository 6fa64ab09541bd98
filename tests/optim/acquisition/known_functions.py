"""Functions and posteriors whose best point is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from snnhpo_mpi.optim.local_search import Merit


@dataclass(frozen=True)
class Quadratic:
    """offset + sign sum (x - at)^2: a sample path that can be computed by hand."""

    at: np.ndarray
    sign: float = -1.0
    offset: float = 0.0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self.offset + self.sign * ((X - self.at) ** 2).sum(axis=1)

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self(Z), 2.0 * self.sign * (Z - self.at)


@dataclass(frozen=True)
class Functions:
    """Several of them, as the paths of a draw."""

    outputs: tuple[Quadratic, ...]

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        return np.stack([output(Z) for output in self.outputs])

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [output.value_and_gradient(Z) for output in self.outputs]
        return np.stack([value for value, _ in pairs]), np.stack([gradient for _, gradient in pairs])


@dataclass(frozen=True)
class Normals:
    """Posteriors whose means are functions and whose variances are linear in the first column."""

    means: Functions
    variances: tuple[float, ...]
    slopes: tuple[float, ...]

    def __call__(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        variances = [v + slope * Z[:, 0] for v, slope in zip(self.variances, self.slopes, strict=True)]
        return self.means(Z), np.stack(variances)

    def with_gradients(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        by_variance = np.stack([np.tile([slope, 0.0], (len(Z), 1)) for slope in self.slopes])
        return *self(Z), self.means.value_and_gradient(Z)[1], by_variance


PEAK = Quadratic(np.array([0.8, 0.5]))
DISC = Quadratic(np.array([0.3, 0.5]), sign=1.0, offset=-0.04)  # feasible within 0.2 of (0.3, 0.5)
UNIT = (np.zeros(2), np.ones(2))


def assert_gradients(merit: Merit, Z: np.ndarray) -> None:
    """They agree with central differences of the values."""
    gradient = merit.value_and_gradient(Z)[1]
    for i in range(Z.shape[1]):
        h = 1e-6 * np.eye(Z.shape[1])[i]
        slope = (merit.value_and_gradient(Z + h)[0] - merit.value_and_gradient(Z - h)[0]) / 2e-6
        assert gradient[:, i] == pytest.approx(slope, rel=1e-4)
