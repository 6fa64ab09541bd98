"""Covariance of one output: an additive quadratic trend plus a Matern-5/2 with a lengthscale per hyperparameter.

    k(x, x') = a sum_i u_i u'_i + b sum_i q_i q'_i + s2 (1 + rho + rho^2 / 3) exp(-rho)
    u = 2 x - 1,     q = (3 u^2 - 1) / 2,     rho^2 = 5 sum_i (x_i - x'_i)^2 / ell_i^2

Many constraints are nearly additive and monotone or bowl-shaped in each hyperparameter; the trend learns that from
about 2 d trials, where a stationary kernel alone needs many more. On a one-hot block it is each choice's main effect.
The columns of a categorical share one lengthscale: any two of its choices are then equally far apart. Ints need nothing
special, because every point told or proposed lies on the centre of its cell.

Source: Rasmussen & Williams 2006, equation 4.17 (Matern-5/2) and section 2.7 (trends); features: Rahimi & Recht 2007,
of the spectral density 4.15, a Student t.

Notation
    n, r rows      d encoded columns      ell  d  lengthscales      s2 variance      a, b trend      M random features
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kernel:
    """Hyperparameters of one output's covariance: ``lengthscales`` ``d``, variances s2, a and b."""

    lengthscales: Array
    variance: float
    linear: float = 0.0
    quadratic: float = 0.0

    def __call__(self, A: Array, B: Array) -> Array:
        """Covariance ``n x r`` of the rows of A ``n x d`` and B ``r x d``."""
        K = self.stationary(A, B)
        K += self.trend(A) @ self.trend(B).T
        return K

    def stationary(self, A: Array, B: Array) -> Array:
        """The Matern part ``n x r``, in the precision of A."""
        K = matern(scaled_distance(A, B, self.lengthscales))
        K *= A.dtype.type(self.variance)
        return K

    def trend(self, X: Array) -> Array:
        """``n x d`` -> ``n x 2d`` features of the trend: their products sum to its covariance."""
        u = X * X.dtype.type(2.0) - X.dtype.type(1.0)
        q = (u * u * X.dtype.type(3.0) - X.dtype.type(1.0)) * X.dtype.type(0.5)
        scaled: Array = np.concatenate(
            [u * X.dtype.type(np.sqrt(self.linear)), q * X.dtype.type(np.sqrt(self.quadratic))], axis=1
        )
        return scaled

    def trend_polynomial(self, slopes: Array) -> tuple[float, Array, Array]:
        """Constant, ``d`` linear and ``d`` quadratic coefficients of trend(x) . slopes as a polynomial of x."""
        linear, quadratic = np.split(slopes, 2)
        linear, quadratic = np.sqrt(self.linear) * linear, np.sqrt(self.quadratic) * quadratic
        return float((quadratic - linear).sum()), 2.0 * linear - 6.0 * quadratic, 6.0 * quadratic


def scaled_distance(A: Array, B: Array, lengthscales: Array) -> Array:
    """Distances rho ``n x r``, in the precision of A."""
    scale = (np.sqrt(5.0) / lengthscales).astype(A.dtype)
    centre = B.mean(axis=0) if len(B) else np.zeros_like(scale)  # small numbers lose less in the expanded square
    a, b = (A - centre) * scale, (B - centre) * scale
    squared = -2.0 * (a @ b.T)
    squared += (a * a).sum(axis=1)[:, None]
    squared += (b * b).sum(axis=1)
    np.maximum(squared, 0.0, out=squared)
    rho: Array = np.sqrt(squared, out=squared)
    return rho


def exponential(x: Array) -> Array:
    """Exponential of x, in the place of x; PyTorch's is several times faster than NumPy's in double precision."""
    torch.from_numpy(x).exp_()
    return x


def matern(rho: Array) -> Array:
    """(1 + rho + rho^2 / 3) exp(-rho)."""
    decay = exponential(-rho)
    polynomial = rho * (1.0 / 3.0)
    polynomial += 1.0
    polynomial *= rho
    polynomial += 1.0
    decay *= polynomial
    return decay


def matern_slope(rho: Array) -> Array:
    """5/3 (1 + rho) exp(-rho), the g of  d matern / dx = -g (x - x') / ell^2."""
    slope = exponential(-rho)
    slope *= (5.0 / 3.0) * (1.0 + rho)
    return slope


@dataclass(frozen=True, slots=True)
class Features:
    """Random features phi of a kernel: phi(a) . phi(b) -> k(a, b) as M grows.

    Attributes:
        frequencies: ``M/2 x d``.
        amplitude: of each cosine and sine.
    """

    frequencies: Array
    amplitude: float

    def __call__(self, X: Array) -> Array:
        """``n x d`` -> ``n x M``, in the precision of X."""
        angles = X @ self.frequencies.T.astype(X.dtype)
        phi: Array = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        phi *= X.dtype.type(self.amplitude)
        return phi


def draw_features(kernel: Kernel, n_features: int, rng: np.random.Generator) -> Features:
    """Features of the Matern-5/2 spectral density: a Student t of 5 degrees of freedom, scaled by 1/ell."""
    half = n_features // 2
    normal = rng.standard_normal((half, len(kernel.lengthscales)))
    normal *= np.sqrt(5.0 / rng.chisquare(5.0, size=(half, 1)))
    return Features(normal / kernel.lengthscales, float(np.sqrt(kernel.variance / half)))
