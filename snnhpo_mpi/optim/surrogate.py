"""One Gaussian process per output: fitted at an anchor, conditioned at every ask, sampled as whole functions.

A fit is costly, so it is made on the first ``a`` trials told (the anchor) and kept; each ask conditions it on what was
told since and on the pending trials in one block. Both are functions of the data alone: an optimizer rebuilt from a
record repeats neither the asks nor the fits in between, and proposes the same bits.

    sample path   f(x) = mu + phi(x) . w + k(x, X) v,     v = K^-1 (y - mu - phi(X) w - e)

(phi: random features of the Matern part, and the trend's own, which are exact.)

Source: Wilson et al., JMLR 2021 (pathwise conditioning, "Matheron's rule"); pending trials are believed to give their
posterior mean (Ginsbourger et al. 2010, "kriging believer"), which takes their neighbourhood's uncertainty away.

Notation
    n told    p pending    d columns    M random features    r points asked for    X  n x d    y  n of about unit spread
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from snnhpo_mpi.optim.kernel import Features, Kernel, draw_features, matern, matern_slope, scaled_distance
from snnhpo_mpi.optim.likelihood import Hyperparameters, fit

Array = NDArray[np.float64]

N_FEATURES = 512
JITTERS = (0.0, 1e-8, 1e-6, 1e-4, 1e-2)  # times the signal variance


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
        w: ``M`` weights of the random features.
        v: ``n + p`` weights of the Matern kernel at the rows of X.
        slopes: ``2d`` weights of the trend's features.
    """

    kernel: Kernel
    features: Features
    X: Array
    mu: float
    w: Array
    v: Array
    slopes: Array

    def __call__(self, Z: Array) -> Array:
        """Values ``r`` at the rows of Z ``r x d``, computed in the precision of Z."""
        kind = Z.dtype
        values: Array = self.kernel.stationary(Z, self.X.astype(kind)) @ self.v.astype(kind)
        values += self.features(Z) @ self.w.astype(kind)
        values += self.kernel.trend(Z) @ self.slopes.astype(kind)
        return values + kind.type(self.mu)

    def value_and_gradient(self, z: Array) -> tuple[float, Array]:
        """Value and gradient ``d`` at the point z ``d``, in double precision."""
        rho = scaled_distance(z[None], self.X, self.kernel.lengthscales)[0]
        value = self.kernel.variance * float(matern(rho) @ self.v) + float(self.kernel.trend(z[None])[0] @ self.slopes)
        slope = self.kernel.variance * matern_slope(rho) * self.v
        pull = (slope @ self.X - slope.sum() * z) / self.kernel.lengthscales**2
        prior, prior_gradient = self.features.value_and_gradient(z, self.w)
        return self.mu + value + prior, pull + prior_gradient + self.kernel.trend_slope(z, self.slopes)


@dataclass(frozen=True, slots=True)
class Posterior:
    """A model given everything told and pending.

    Attributes:
        fitted: the model at its anchor.
        X: ``(n + p) x d`` told, then pending points.
        factor: ``(n + p) x (n + p)`` Cholesky factor of their covariance with noise.
        phi: ``(n + p) x M`` their features.
        residual: ``n + p`` values less the mean ``mu``; the pending ones' are believed.
        mu: constant mean.
    """

    fitted: Fitted
    X: Array
    factor: Array
    phi: Array
    residual: Array
    mu: float

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Path:
        """Sample path; its deviation from the posterior mean is multiplied by ``temperature`` (0 gives the mean)."""
        kernel = self.fitted.hyper.kernel
        trend = kernel.trend(self.X)
        w = temperature * rng.standard_normal((self.phi.shape[1],))
        slopes = temperature * rng.standard_normal((trend.shape[1],))
        noise = temperature * np.sqrt(self.fitted.hyper.noise) * rng.standard_normal(len(self.X))
        v: Array = cho_solve(
            (self.factor, True), self.residual - self.phi @ w - trend @ slopes - noise, check_finite=False
        )
        return Path(kernel, self.fitted.features, self.X, self.mu, w, v, slopes + trend.T @ v)


def fit_anchor(
    X: Array, y: Array, groups: NDArray[np.intp], rng: np.random.Generator, trended: bool, n_fit: int = 600
) -> Fitted:
    """Fit a model to the points told up to the anchor.

    Args:
        X: ``n x d``.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        rng: of the random features and of the choice of points.
        trended: whether the covariance has the additive trend.
        n_fit: most points that the hyperparameters are fitted to; the factor has them all.
    """
    chosen = np.sort(rng.choice(len(X), n_fit, replace=False)) if len(X) > n_fit else np.arange(len(X))
    hyper = fit(X[chosen], y[chosen], groups, trended)
    return factorize(X, hyper, rng)


def factorize(X: Array, hyper: Hyperparameters, rng: np.random.Generator) -> Fitted:
    """A model with given hyperparameters."""
    features = draw_features(hyper.kernel, N_FEATURES, rng)
    factor = safe_cholesky(hyper.kernel(X, X), hyper)
    return Fitted(X, hyper, factor, features, features(X))


def safe_cholesky(K: Array, hyper: Hyperparameters) -> Array:
    """Lower factor of K + noise I with the least jitter that gives one.

    Raises:
        numpy.linalg.LinAlgError: even the largest jitter does not help.
    """
    diagonal = np.diag_indices_from(K)
    for jitter in JITTERS:
        noisy = K.copy()
        noisy[diagonal] += hyper.noise + jitter * hyper.kernel.variance
        try:
            factor: Array = cholesky(noisy, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        if np.isfinite(factor[-1]).all():
            return factor
    raise np.linalg.LinAlgError("covariance has no Cholesky factor")


def condition(fitted: Fitted, X_new: Array, y: Array, X_pending: Array) -> Posterior:
    """Posterior given what was told after the anchor and what is pending.

    Args:
        fitted: model of the first trials told.
        X_new: ``(n - a) x d`` told after the anchor's a.
        y: ``n`` values of all told.
        X_pending: ``p x d``.
    """
    added = np.concatenate([X_new, X_pending])
    X = np.concatenate([fitted.X, added])
    factor = _extended(fitted, added)
    n = len(y)
    told = factor[:n, :n]
    solved = cho_solve((told, True), np.stack([y, np.ones(n)], axis=1), check_finite=False)
    mu = float(solved[:, 0].sum() / (solved[:, 1].sum() + 1.0))
    alpha = solved[:, 0] - mu * solved[:, 1]
    believed = fitted.hyper.kernel(X_pending, X[:n]) @ alpha
    phi = np.concatenate([fitted.phi, fitted.features(added)])
    return Posterior(fitted, X, factor, phi, np.concatenate([y - mu, believed]), mu)


def _extended(fitted: Fitted, added: Array) -> Array:
    """Factor of the anchor's points and the added ones, by blocks."""
    if not len(added):
        return fitted.factor
    a, q = len(fitted.X), len(added)
    kernel = fitted.hyper.kernel
    cross = solve_triangular(fitted.factor, kernel(fitted.X, added), lower=True, check_finite=False)
    factor = np.zeros((a + q, a + q))
    factor[:a, :a] = fitted.factor
    factor[a:, :a] = cross.T
    factor[a:, a:] = safe_cholesky(kernel(added, added) - cross.T @ cross, fitted.hyper)
    return factor
