"""Regressors from hyperparameters to everything that a table knows of a training: a forest, a smooth one, their mean.

A benchmark that is one regressor favours the optimizer whose model is of its class. A forest is constant between steps
and takes no part of a slope beyond its data; a Gaussian process has slopes and no steps. What is good for both is good
in the table.

Sources: Geurts, Ernst & Wehenkel, Mach. Learn. 63 (2006) (extremely randomised trees); Rasmussen & Williams, Gaussian
Processes for Machine Learning, 2006, chapters 2, 4 and 5 (Matern kernel, one length a column).

Notation
    n  trainings    d  encoded hyperparameters    q  quantities    r  points
    X, Z  n x d, r x d  in [0, 1]^d      Y  n x q
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.ensemble import ExtraTreesRegressor

Array = NDArray[np.float64]
N_TREES, TRIED_SHARE = 100, 1.0


class Regressor(Protocol):
    """Points ``r x d`` -> quantities ``r x q``."""

    def __call__(self, Z: Array) -> Array:
        """Predict."""
        ...


class Forest:
    """Extremely randomised trees, whose leaves hold all quantities."""

    def __init__(self, X: Array, Y: Array, weights: Array) -> None:
        """Grow them; ``weights`` ``q``: what a standardised quantity counts for where a leaf is split."""
        scale = weights / np.maximum(Y.std(0), 1e-9)
        self._mean, self._scale = Y.mean(0), scale
        forest = ExtraTreesRegressor(N_TREES, max_features=TRIED_SHARE, random_state=0)
        self._trees = [tree.tree_ for tree in forest.fit(X, (Y - self._mean) * scale).estimators_]

    def __call__(self, Z: Array) -> Array:
        """See ``Regressor``."""
        points = np.ascontiguousarray(Z, np.float32)
        found = np.zeros((len(Z), len(self._scale)))
        for tree in self._trees:  # what a forest's own ``predict`` does, without its threads
            found += tree.predict(points).reshape(found.shape)
        return np.asarray(self._mean + found / len(self._trees) / self._scale)


@dataclass(frozen=True, slots=True)
class Kernel:
    """Matern covariance of order 3/2 and variance 1, and noise.

    Attributes:
        lengths: ``d``, one a column.
        variance: of the noise.
    """

    lengths: Sequence[float]
    variance: float

    def __call__(self, A: Array, B: Array) -> Array:
        """Covariances ``len(A) x len(B)`` without noise."""
        a, b = (points / np.array(self.lengths) for points in (A, B))
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T
        distances = np.sqrt(3.0 * np.maximum(squares, 0.0))
        return np.asarray((1.0 + distances) * np.exp(-distances))


class Smooth:
    """A Gaussian process's mean, with one kernel for each group of quantities."""

    def __init__(self, X: Array, Y: Array, groups: Sequence[tuple[Kernel, Sequence[int]]]) -> None:
        """Solve for the weights; ``groups``: a kernel and the quantities that have it."""
        self._X, self._mean, self._groups = X, Y.mean(0), []
        for kernel, which in groups:
            factor = cho_factor(kernel(X, X) + kernel.variance * np.eye(len(X)), lower=True)
            self._groups.append((kernel, list(which), cho_solve(factor, (Y - self._mean)[:, which])))

    def __call__(self, Z: Array) -> Array:
        """See ``Regressor``."""
        found = np.tile(self._mean, (len(Z), 1))
        for kernel, which, weights in self._groups:
            found[:, which] += kernel(Z, self._X) @ weights
        return found


@dataclass(frozen=True, slots=True)
class Mean:
    """Of several regressors."""

    parts: Sequence[Regressor]

    def __call__(self, Z: Array) -> Array:
        """See ``Regressor``."""
        return np.asarray(np.mean([part(Z) for part in self.parts], axis=0))


def fit_kernel(X: Array, y: Array, n_most: int = 500) -> Kernel:
    """The kernel of the largest marginal likelihood of one quantity ``n``; takes minutes, so it is done once a table.

    Args:
        X: ``n x d``.
        y: ``n``.
        n_most: trainings to look at, chosen at random if there are more.
    """
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    some = np.random.default_rng(0).permutation(len(X))[:n_most]
    lengths = Matern(np.full(X.shape[1], 2.0), (0.1, 100.0), nu=1.5)
    kernel = ConstantKernel(1.0, (0.1, 100.0)) * lengths + WhiteKernel(0.1, (1e-4, 1.0))
    found = GaussianProcessRegressor(kernel, normalize_y=True).fit(X[some], y[some]).kernel_
    signal = found.k1.k1.constant_value
    return Kernel([float(length) for length in found.k1.k2.length_scale], float(found.k2.noise_level / signal))
