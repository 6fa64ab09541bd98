"""What a conditioned Gaussian process says of any point: mean, variance, whole sample paths, and their gradients.

    mean          m(z) = mu + k(z, X) alpha,                    alpha = K^-1 (y - mu)
    variance      s^2(z) = k(z, z) - k(z, X) K^-1 k(X, z)
    sample path   f(z) = mu + phi(z) . w + k(z, X) v,           v = K^-1 (y - mu - phi(X) w - e)

(K with noise; phi: random features of the Matern part, and the trend's own, which are exact.)

Source: Rasmussen & Williams 2006, section 2.2; Wilson et al., JMLR 2021 (pathwise conditioning, "Matheron's rule").

Notation
    n told    p pending    d columns    M random features    r points asked for    Z  r x d    X  (n + p) x d
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from snnhpo_mpi.optim.kernel import Features, Kernel, Sites, matern
from snnhpo_mpi.optim.likelihood import Hyperparameters

Array = NDArray[np.float64]
LEAST_VARIANCE = 1e-12  # of the prior's: where rounding leaves less, or a negative one


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model at its anchor: hyperparameters, Cholesky factor ``n x n`` and features ``n x M`` of the points X."""

    X: Array
    hyper: Hyperparameters
    factor: Array
    features: Features
    phi: Array


@dataclass(frozen=True, slots=True)
class Path:
    """A function of ``d`` columns drawn from a posterior: cheap to evaluate anywhere, with its gradient.

    Attributes:
        sites: the rows of X.
        w: ``M`` weights of the random features.
        v: ``n + p`` weights of the kernel at the sites.
        slopes: ``2d`` weights of the trend's features, those of the kernel included.
    """

    kernel: Kernel
    features: Features
    sites: Sites
    mu: float
    w: Array
    v: Array
    slopes: Array

    def __call__(self, Z: Array) -> Array:
        """Values ``r`` at the rows of Z, computed in the precision of Z."""
        kind = Z.dtype
        values: Array = self.kernel.stationary(Z, self.sites.X.astype(kind)) @ self.v.astype(kind)
        values += self.features(Z) @ self.w.astype(kind)
        values += self.kernel.trend(Z) @ self.slopes.astype(kind)
        return values + kind.type(self.mu)

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d`` at the rows of Z."""
        rho = self.sites.distance(Z)
        value, gradient = self.features.value_and_gradient(Z, self.w)
        value += self.mu + self.kernel.variance * (matern(rho) @ self.v) + self.kernel.trend(Z) @ self.slopes
        gradient += self.kernel.matern_gradient(Z, self.sites, self.v[None], rho)
        return value, gradient + self.kernel.trend_gradient(Z, self.slopes[None])


@dataclass(frozen=True, slots=True)
class Posterior:
    """A model given everything told and pending.

    Attributes:
        fitted: the model at its anchor.
        sites: ``n + p`` told, then pending points.
        factor: ``(n + p) x (n + p)`` Cholesky factor of their covariance with noise.
        phi: ``(n + p) x M`` their features.
        residual: ``n + p`` values less the mean ``mu``; the pending ones' are believed.
        mu: constant mean.
        alpha: ``n + p`` K^-1 residual.
    """

    fitted: Fitted
    sites: Sites
    factor: Array
    phi: Array
    residual: Array
    mu: float
    alpha: Array

    @property
    def kernel(self) -> Kernel:
        """Covariance without noise."""
        return self.fitted.hyper.kernel

    def mean_at_told(self, n: int) -> Array:
        """``n`` posterior means at the first n sites."""
        mean: Array = self.mu + self.residual[:n] - self.fitted.hyper.noise * self.alpha[:n]
        return mean

    def moments(self, Z: Array) -> tuple[Array, Array]:
        """Mean and variance, each ``r``, at the rows of Z."""
        trend = self.kernel.trend(Z)
        k = self._covariance(trend, self.sites.distance(Z))
        solved = solve_triangular(self.factor, k.T, lower=True, check_finite=False)
        return self.mu + k @ self.alpha, self._variance(trend, solved)

    def moments_and_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Mean ``r``, variance ``r``, and their gradients, each ``r x d``, at the rows of Z."""
        kernel, trend = self.kernel, self.kernel.trend(Z)
        rho = self.sites.distance(Z)
        k = self._covariance(trend, rho)
        solved = solve_triangular(self.factor, k.T, lower=True, check_finite=False)
        weights = solve_triangular(self.factor, solved, lower=True, trans="T", check_finite=False).T
        mean_gradient = kernel.gradient(Z, self.sites, self.alpha[None], rho)
        variance_gradient = 2.0 * (kernel.trend_gradient(Z, trend) - kernel.gradient(Z, self.sites, weights, rho))
        return self.mu + k @ self.alpha, self._variance(trend, solved), mean_gradient, variance_gradient

    def _covariance(self, trend: Array, rho: Array) -> Array:
        """With the sites, ``r x (n + p)``, from the trend's features ``r x 2d`` and distances."""
        k: Array = matern(rho)
        k *= self.kernel.variance
        k += trend @ self.sites.trend.T
        return k

    def _variance(self, trend: Array, solved: Array) -> Array:
        prior = self.kernel.variance + (trend * trend).sum(axis=1)
        variance: Array = np.maximum(prior - (solved * solved).sum(axis=0), LEAST_VARIANCE * prior)
        return variance

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Path:
        """Sample path; its deviation from the posterior mean is multiplied by ``temperature`` (0 gives the mean)."""
        trend = self.sites.trend
        w = temperature * rng.standard_normal((self.phi.shape[1],))
        slopes = temperature * rng.standard_normal((trend.shape[1],))
        noise = temperature * np.sqrt(self.fitted.hyper.noise) * rng.standard_normal(len(self.residual))
        v: Array = cho_solve(
            (self.factor, True), self.residual - self.phi @ w - trend @ slopes - noise, check_finite=False
        )
        return Path(self.kernel, self.fitted.features, self.sites, self.mu, w, v, slopes + trend.T @ v)
