"""Covariance of one output: an additive quadratic trend plus a Matern-5/2 with a lengthscale per hyperparameter.

    k(x, x') = a sum_i u_i u'_i + b sum_i q_i q'_i + s2 (1 + rho + rho^2 / 3) exp(-rho)
    u = 2 x - 1,     q = (3 u^2 - 1) / 2,     rho^2 = 5 sum_i (x_i - x'_i)^2 / ell_i^2

Many constraints are nearly additive and monotone or bowl-shaped in each hyperparameter; the trend learns that from
about 2 d trials, where a stationary kernel alone needs many more. On a one-hot block it is each choice's main effect.
The columns of a categorical share one lengthscale: any two of its choices are then equally far apart. Ints need nothing
special, because every point told or proposed lies on the centre of its cell.

Source: Rasmussen & Williams 2006, sections 2.7 and 4.2; features: Rahimi & Recht 2007, Student-t spectral density.

Notation
    n, r rows      d encoded columns      ell  d  lengthscales      s2 variance      a, b trend      M random features
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
        K: Array = self.stationary(A, B) + self.trend(A) @ self.trend(B).T
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

    def sites(self, X: Array) -> Sites:
        """The rows of X ``n x d``, ready for many evaluations against other points."""
        centre, scale = X.mean(axis=0), np.sqrt(5.0) / self.lengthscales
        scaled = (X - centre) * scale
        return Sites(X, centre, scale, scaled, (scaled * scaled).sum(axis=1), self.trend(X))

    def gradient(self, Z: Array, sites: Sites, weights: Array, rho: Array) -> Array:
        """``r x d``: derivative of each row's sum_i weights_i k(z, x_i) by the row z of Z.

        Args:
            Z: ``r x d``.
            sites: the ``n`` points x_i.
            weights: ``r x n``, or ``1 x n`` for the same ones in each row.
            rho: ``r x n`` their ``sites.distance``.
        """
        return self.matern_gradient(Z, sites, weights, rho) + self.trend_gradient(Z, weights @ sites.trend)

    def matern_gradient(self, Z: Array, sites: Sites, weights: Array, rho: Array) -> Array:
        """As ``gradient``, of the Matern part alone."""
        pull = self.variance * matern_slope(rho) * weights
        moved: Array = (pull @ sites.X - pull.sum(axis=1)[:, None] * Z) / self.lengthscales**2
        return moved

    def trend_gradient(self, Z: Array, slopes: Array) -> Array:
        """``r x d``: derivative of trend(z) . slopes by each row z of Z; slopes ``r x 2d`` or ``1 x 2d``."""
        d = Z.shape[1]
        linear: Array = 2.0 * np.sqrt(self.linear) * slopes[:, :d]
        quadratic: Array = 6.0 * (2.0 * Z - 1.0) * np.sqrt(self.quadratic) * slopes[:, d:]
        return linear + quadratic


@dataclass(frozen=True, slots=True)
class Sites:
    """Points that a kernel is evaluated against many times: what depends on them alone.

    Attributes:
        X: ``n x d``.
        centre: ``d`` their mean: small numbers lose less in the expanded square.
        scale: ``d`` sqrt(5) / ell.
        scaled: ``n x d`` (X - centre) scale.
        squared: ``n`` squared norms of ``scaled``.
        trend: ``n x 2d`` features of the trend.
    """

    X: Array
    centre: Array
    scale: Array
    scaled: Array
    squared: Array
    trend: Array

    def distance(self, Z: Array) -> Array:
        """Distances rho ``r x n`` of the rows of Z ``r x d``, as ``scaled_distance``."""
        z = (Z - self.centre) * self.scale
        squared = z @ (-2.0 * self.scaled).T
        squared += (z * z).sum(axis=1)[:, None]
        squared += self.squared
        np.maximum(squared, 0.0, out=squared)
        rho: Array = np.sqrt(squared, out=squared)
        return rho


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


def matern(rho: Array) -> Array:
    """(1 + rho + rho^2 / 3) exp(-rho)."""
    decay = np.exp(-rho)
    decay *= 1.0 + rho * (1.0 + rho * (1.0 / 3.0))
    return decay


def matern_slope(rho: Array) -> Array:
    """5/3 (1 + rho) exp(-rho), the g of  d matern / dx = -g (x - x') / ell^2."""
    slope = np.exp(-rho)
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

    def value_and_gradient(self, Z: Array, weights: Array) -> tuple[Array, Array]:
        """phi(z) . weights ``r`` and its gradient ``r x d`` at the rows of Z ``r x d``."""
        angles = Z @ self.frequencies.T
        cosine, sine = np.cos(angles), np.sin(angles)
        half = len(self.frequencies)
        value: Array = self.amplitude * (cosine @ weights[:half] + sine @ weights[half:])
        gradient: Array = self.amplitude * ((cosine * weights[half:] - sine * weights[:half]) @ self.frequencies)
        return value, gradient


def draw_features(kernel: Kernel, n_features: int, rng: np.random.Generator) -> Features:
    """Features of the Matern-5/2 spectral density: a Student t of 5 degrees of freedom, scaled by 1/ell."""
    half = n_features // 2
    normal = rng.standard_normal((half, len(kernel.lengthscales)))
    normal *= np.sqrt(5.0 / rng.chisquare(5.0, size=(half, 1)))
    return Features(normal / kernel.lengthscales, float(np.sqrt(kernel.variance / half)))
