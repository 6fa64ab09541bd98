"""Fit of one output's hyperparameters: the maximum of likelihood times prior, with its gradient in closed form.

    J = 1/2 r' K^-1 r + 1/2 log|K| + mu^2 / 2 v + priors,      K = s2 R(ell) + noise I,      r = y - mu

Source: Rasmussen & Williams 2006, section 5.4; lengthscale prior that grows with the dimension: Hvarfner et al., ICML
2024. The closed form costs one Cholesky factorisation and one inverse a step, all d derivatives together one product.

Notation
    n trials    d columns    g lengthscales (one a hyperparameter)    theta = log(ell_1 .. ell_g, s2, a, b, noise)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack
from scipy.optimize import OptimizeResult, minimize

from snnhpo_mpi.optim.gp.kernel import Kernel, matern, matern_slope, scaled_distance

Array = NDArray[np.float64]

LOG_ELL_BOUNDS = (np.log(0.01), np.log(100.0))
LOG_VARIANCE_BOUNDS = (np.log(1e-3), np.log(1e3))
LOG_NOISE_BOUNDS = (np.log(1e-7), np.log(1.0))
VARIANCE_PRIOR = (0.0, 1.5)  # mean and s.d. of log s2, for values of unit spread
TREND_PRIOR_DEVIATION = 2.0  # of log a and log b; their mean is -log g: the trend's variance does not grow with g
MEAN_VARIANCE = 100.0  # v, of the constant mean: a violation may be many spreads above 0 everywhere
N_SCALARS = 4  # s2, a, b, noise
LOG_TREND_BOUNDS = (np.log(1e-6), np.log(1e2))
NOISE_PRIOR = (-7.0, 3.0)  # of log noise: wide, from exact functions to scores on few samples
# Starts of a fit: log ell, log s2, log a and b, noise; the first three beside what g suggests. Where all is noise the
# likelihood has a maximum too, however many data there are, and a start too smooth for them ends in it.
STARTS = ((0.0, 0.0, 0.0, 1e-2), (-1.2, 0.0, -3.0, 1e-4), (-2.4, -1.0, -1.0, 1e-4))
N_THOROUGH = 150  # with more data only the best start is followed to its end
N_TRIED = 10  # steps from the others
TOLERANCE = 1e-6  # relative gain of J at which a fit ends
INFEASIBLE = 1e25  # J where K has no factor


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a fit gives: the kernel and the noise variance, for values of unit spread."""

    kernel: Kernel
    noise: float


@dataclass(frozen=True, slots=True)
class Prior:
    """Normal prior of theta, each ``g + 4``."""

    mean: Array
    deviation: Array

    def penalty(self, theta: Array) -> tuple[float, Array]:
        """-log density but for a constant, and its gradient."""
        z = (theta - self.mean) / self.deviation
        return 0.5 * float(z @ z), z / self.deviation


def dimension_prior(g: int) -> Prior:
    """Prior for g lengthscales; they grow with sqrt(g), so that the function's complexity does not grow with it."""
    scalars = np.array(
        [VARIANCE_PRIOR, (-np.log(g), TREND_PRIOR_DEVIATION), (-np.log(g), TREND_PRIOR_DEVIATION), NOISE_PRIOR]
    )
    mean = np.concatenate([np.full(g, np.sqrt(2.0) + 0.5 * np.log(g)), scalars[:, 0]])
    return Prior(mean, np.concatenate([np.full(g, np.sqrt(3.0)), scalars[:, 1]]))


def fit(X: Array, y: Array, groups: NDArray[np.intp], max_steps: int = 40) -> Hyperparameters:
    """Most probable hyperparameters, from fixed starts: the fit depends on the data alone.

    Args:
        X: ``n x d`` told points.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        max_steps: of the optimizer, for a start.
    """
    g = int(groups.max()) + 1
    prior = dimension_prior(g)
    bounds = [LOG_ELL_BOUNDS] * g + [LOG_VARIANCE_BOUNDS, LOG_TREND_BOUNDS, LOG_TREND_BOUNDS, LOG_NOISE_BOUNDS]
    if len(y) < 2:
        return unpack(np.clip(prior.mean, *np.transpose(bounds)), groups)

    def improved(theta: Array, steps: int) -> OptimizeResult:
        options = {"maxiter": steps, "ftol": TOLERANCE}
        return minimize(loss, theta, (X, y, groups, prior), "L-BFGS-B", True, bounds=bounds, options=options)

    tried = max_steps if len(y) <= N_THOROUGH else min(N_TRIED, max_steps)
    found = [improved(start_at(g, *choice), tried) for choice in STARTS]
    best = min(found, key=lambda result: float(result.fun))
    if tried < max_steps:
        best = improved(best.x, max_steps - tried)
    return unpack(best.x, groups)


def start_at(g: int, log_ell: float, log_variance: float, log_trend: float, noise: float) -> Array:
    """Theta ``g + 4``: lengthscales and trend relative to what the number of hyperparameters suggests."""
    trend = log_trend - np.log(g)
    return np.concatenate([np.full(g, 0.5 * np.log(g) + log_ell), [log_variance, trend, trend, np.log(noise)]])


def unpack(theta: Array, groups: NDArray[np.intp]) -> Hyperparameters:
    """Theta -> hyperparameters with one lengthscale a column."""
    variance, linear, quadratic, noise = (float(v) for v in np.exp(theta[-N_SCALARS:]))
    return Hyperparameters(Kernel(np.exp(theta[:-N_SCALARS])[groups], variance, linear, quadratic), noise)


def loss(theta: Array, X: Array, y: Array, groups: NDArray[np.intp], prior: Prior) -> tuple[float, Array]:
    """J and its gradient ``g + 4``."""
    hyper = unpack(theta, groups)
    rho = scaled_distance(X, X, hyper.kernel.lengthscales)
    R = matern(rho)
    T = hyper.kernel.trend(X)
    K = hyper.kernel.variance * R + T @ T.T
    K[np.diag_indices_from(K)] += hyper.noise
    factor, info = lapack.dpotrf(K, lower=1)
    if info != 0:
        return INFEASIBLE, np.zeros_like(theta)
    alpha, mu = weights(factor, y)
    penalty, penalty_gradient = prior.penalty(theta)
    J = 0.5 * float((y - mu) @ alpha) + float(np.log(np.diag(factor)).sum()) + 0.5 * mu * mu / MEAN_VARIANCE + penalty
    G = _inverse(factor)
    G -= np.outer(alpha, alpha)
    gradient = penalty_gradient
    gradient[-1] += 0.5 * hyper.noise * float(np.trace(G))
    per_feature = 0.5 * np.einsum("nd,nd->d", T, G @ T)
    gradient[-3:-1] += per_feature.reshape(2, -1).sum(axis=1)
    gradient[-4] += 0.5 * hyper.kernel.variance * float(np.vdot(G, R))
    G *= matern_slope(rho)
    per_column = (G.sum(axis=0) @ X**2 - np.einsum("nd,nd->d", X, G @ X)) / hyper.kernel.lengthscales**2
    gradient[:-N_SCALARS] += hyper.kernel.variance * np.bincount(groups, per_column, minlength=len(theta) - N_SCALARS)
    return J, gradient


def weights(factor: Array, y: Array) -> tuple[Array, float]:
    """K^-1 (y - mu) and the constant mean mu."""
    return centred(cho_solve((factor, True), np.stack([y, np.ones_like(y)], axis=1), check_finite=False))


def centred(solved: Array) -> tuple[Array, float]:
    """K^-1 (y - mu) and mu, which has a normal prior around 0, from K^-1 y and K^-1 1, ``n x 2``."""
    mu = float(solved[:, 0].sum() / (solved[:, 1].sum() + 1.0 / MEAN_VARIANCE))
    return solved[:, 0] - mu * solved[:, 1], mu


def _inverse(factor: Array) -> Array:
    """Symmetric inverse from a lower factor."""
    lower, _ = lapack.dpotri(factor, lower=1)
    inverse: Array = np.tril(lower) + np.tril(lower, -1).T
    return inverse
