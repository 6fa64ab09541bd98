"""Fit of one output's hyperparameters: the maximum of likelihood times prior, with its gradient in closed form.

    J = 1/2 r' K^-1 r + 1/2 log|K| + mu^2 / 2 v + priors,      K = s2 R(ell) + T T' + noise I,      r = y - mu
    dJ/dtheta = 1/2 tr(G dK/dtheta) + priors,                  G = K^-1 - alpha alpha',             alpha = K^-1 r

Source: Rasmussen & Williams 2006 ("R&W"), equations 2.30 (likelihood), 5.9 (its gradient) and 2.41 (the mean's prior);
lengthscale prior that grows with the dimension: Hvarfner et al., ICML 2024. The closed form costs one Cholesky
factorisation and one inverse a step, all d derivatives together one product.

Notation
    n trials    d columns    g lengthscales (one a hyperparameter)    theta = log(ell_1 .. ell_g, s2, a, b, noise)
    T  n x 2d  features of the trend
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack
from scipy.optimize import minimize

from snnhpo_mpi.optim.gp.kernel import Kernel, matern, matern_slope, scaled_distance
from snnhpo_mpi.optim.settings import GpSettings

Array = NDArray[np.float64]

N_SCALARS = 4  # s2, a, b, noise
INFEASIBLE = 1e25  # J where K has no factor


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a fit gives, for values of unit spread.

    Attributes:
        kernel: covariance without noise.
        noise: its variance.
        mean_variance: v, prior variance of the constant mean.
    """

    kernel: Kernel
    noise: float
    mean_variance: float


@dataclass(frozen=True, slots=True)
class Prior:
    """Normal prior of theta, each ``g + 4``."""

    mean: Array
    deviation: Array

    def penalty(self, theta: Array) -> tuple[float, Array]:
        """-log density but for a constant, and its gradient."""
        z = (theta - self.mean) / self.deviation
        return 0.5 * float(z @ z), z / self.deviation


def dimension_prior(g: int, settings: GpSettings) -> Prior:
    """Prior for g lengthscales; they grow with sqrt(g), so that the function's complexity does not grow with it."""
    trend = (-np.log(g), settings.trend_deviation)
    scalars = np.array([settings.variance_prior, trend, trend, settings.noise_prior])
    mean = np.concatenate([np.full(g, np.sqrt(2.0) + 0.5 * np.log(g)), scalars[:, 0]])
    return Prior(mean, np.concatenate([np.full(g, np.sqrt(3.0)), scalars[:, 1]]))


def fit(X: Array, y: Array, groups: NDArray[np.intp], settings: GpSettings) -> Hyperparameters:
    """Most probable hyperparameters, from fixed starts: the fit depends on the data alone.

    Args:
        X: ``n x d`` told points.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        settings: priors, bounds and starts.
    """
    g = int(groups.max()) + 1
    prior, bounds = dimension_prior(g, settings), np.transpose(log_bounds(g, settings))

    def improved(theta: Array, steps: int) -> tuple[float, Array]:
        options = {"maxiter": steps, "ftol": settings.tolerance}
        found = minimize(loss, theta, (X, y, groups, prior, settings), "L-BFGS-B", True, bounds=bounds, options=options)
        return float(found.fun), found.x

    return unpack(best_theta(improved, len(y), g, settings), groups, settings)


def best_theta(
    improved: Callable[[Array, int], tuple[float, Array]], n_points: int, g: int, settings: GpSettings
) -> Array:
    """The best theta ``g + 4`` from all starts; with many points only some steps from each, and the rest from the best.

    Args:
        improved: theta and a number of steps -> the loss after these steps, and theta there.
        n_points: that are fitted; of fewer than two the prior's mean is taken.
        g: number of lengthscales.
        settings: starts, bounds and numbers of steps.
    """
    if n_points < 2:
        return np.clip(dimension_prior(g, settings).mean, *log_bounds(g, settings))
    max_steps = settings.max_steps
    tried = max_steps if n_points <= settings.n_thorough else min(settings.n_tried, max_steps)
    best = min((improved(start_at(g, *start), tried) for start in settings.starts), key=lambda found: found[0])
    if tried < max_steps:
        best = improved(best[1], max_steps - tried)
    return best[1]


def log_bounds(g: int, settings: GpSettings) -> tuple[Array, Array]:
    """Least and largest theta, each ``g + 4``."""
    trend = settings.trend_bounds
    scalars = [settings.variance_bounds, trend, trend, settings.noise_bounds]
    lower, upper = np.log([settings.lengthscale_bounds] * g + scalars).T
    return lower, upper


def start_at(g: int, log_ell: float, log_variance: float, log_trend: float, noise: float) -> Array:
    """Theta ``g + 4``: lengthscales and trend relative to what the number of hyperparameters suggests."""
    trend = log_trend - np.log(g)
    return np.concatenate([np.full(g, 0.5 * np.log(g) + log_ell), [log_variance, trend, trend, np.log(noise)]])


def unpack(theta: Array, groups: NDArray[np.intp], settings: GpSettings) -> Hyperparameters:
    """Theta -> hyperparameters with one lengthscale a column."""
    variance, linear, quadratic, noise = (float(v) for v in np.exp(theta[-N_SCALARS:]))
    kernel = Kernel(np.exp(theta[:-N_SCALARS])[groups], variance, linear, quadratic)
    return Hyperparameters(kernel, noise, settings.mean_variance)


def loss(
    theta: Array, X: Array, y: Array, groups: NDArray[np.intp], prior: Prior, settings: GpSettings
) -> tuple[float, Array]:
    """J and its gradient ``g + 4``, by the logarithms: each derivative has its hyperparameter as a factor."""
    hyper = unpack(theta, groups, settings)
    rho = scaled_distance(X, X, hyper.kernel.lengthscales)  # n x n
    R = matern(rho)
    T = hyper.kernel.trend(X)  # n x 2d
    K = hyper.kernel.variance * R + T @ T.T
    K[np.diag_indices_from(K)] += hyper.noise
    factor, info = lapack.dpotrf(K, lower=1)
    if info != 0:
        return INFEASIBLE, np.zeros_like(theta)
    alpha, mu = weights(factor, y, settings.mean_variance)
    penalty, penalty_gradient = prior.penalty(theta)
    J = 0.5 * float((y - mu) @ alpha) + float(np.log(np.diag(factor)).sum())  # R&W 2.30; log|K| = 2 sum log L_ii
    J = J + 0.5 * mu * mu / settings.mean_variance + penalty
    G = _inverse(factor)
    G -= np.outer(alpha, alpha)  # R&W 5.9; mu is at its optimum, so that its own derivative adds nothing
    gradient = penalty_gradient
    gradient[-1] += 0.5 * hyper.noise * float(np.trace(G))
    per_feature = 0.5 * np.einsum("nd,nd->d", T, G @ T)  # 2d
    gradient[-3:-1] += per_feature.reshape(2, -1).sum(axis=1)
    gradient[-4] += 0.5 * hyper.kernel.variance * float(np.vdot(G, R))
    # dR/dlog ell_i = slope(rho) (x_i - x'_i)^2 / ell_i^2; the square expanded, all columns are one product.
    G *= matern_slope(rho)
    per_column = (G.sum(axis=0) @ X**2 - np.einsum("nd,nd->d", X, G @ X)) / hyper.kernel.lengthscales**2  # d
    gradient[:-N_SCALARS] += hyper.kernel.variance * np.bincount(groups, per_column, minlength=len(theta) - N_SCALARS)
    return J, gradient


def weights(factor: Array, y: Array, mean_variance: float) -> tuple[Array, float]:
    """K^-1 (y - mu) and the constant mean mu."""
    solved = cho_solve((factor, True), np.stack([y, np.ones_like(y)], axis=1), check_finite=False)
    return centred(solved, mean_variance)


def centred(solved: Array, mean_variance: float) -> tuple[Array, float]:
    """K^-1 (y - mu) and mu, which has a normal prior around 0, from K^-1 y and K^-1 1, ``n x 2`` (R&W 2.41)."""
    mu = float(solved[:, 0].sum() / (solved[:, 1].sum() + 1.0 / mean_variance))
    return solved[:, 0] - mu * solved[:, 1], mu


def _inverse(factor: Array) -> Array:
    """Symmetric inverse from a lower factor."""
    lower, _ = lapack.dpotri(factor, lower=1)
    inverse: Array = np.tril(lower) + np.tril(lower, -1).T
    return inverse
