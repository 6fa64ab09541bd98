"""One Gaussian process per output: fitted at an anchor, conditioned at every ask.

A fit is costly, so it is made on the first ``a`` trials told (the anchor) and kept; each ask conditions it on what was
told since and on the pending trials in one block. Both are functions of the data alone: an optimizer rebuilt from a
record repeats neither the asks nor the fits in between, and proposes the same bits.

Source: pending trials are believed to give their posterior mean (Ginsbourger et al. 2010, "kriging believer"), which
takes their neighbourhood's uncertainty away.

Notation
    n told    p pending    d columns    M random features    X  n x d    y  n of about unit spread
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from snnhpo_mpi.optim.kernel import draw_features
from snnhpo_mpi.optim.likelihood import Hyperparameters, fit, weights
from snnhpo_mpi.optim.posterior import Fitted, Posterior

Array = NDArray[np.float64]

N_FEATURES = 512
JITTERS = (0.0, 1e-8, 1e-6, 1e-4, 1e-2)  # times the signal variance


def fit_anchor(X: Array, y: Array, groups: NDArray[np.intp], rng: np.random.Generator, n_fit: int = 600) -> Fitted:
    """Fit a model to the points told up to the anchor.

    Args:
        X: ``n x d``.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        rng: of the random features and of the choice of points.
        n_fit: most points that the hyperparameters are fitted to; the factor has them all.
    """
    chosen = np.sort(rng.choice(len(X), n_fit, replace=False)) if len(X) > n_fit else np.arange(len(X))
    hyper = fit(X[chosen], y[chosen], groups)
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
    alpha, mu = weights(told, y)
    believed = fitted.hyper.kernel(X_pending, X[:n]) @ alpha
    phi = np.concatenate([fitted.phi, fitted.features(added)])
    residual = np.concatenate([y - mu, believed])
    return Posterior(
        fitted,
        X,
        factor,
        phi,
        residual,
        mu,
        cho_solve((factor, True), residual, check_finite=False),
    )


def near(posterior: Posterior, center: Array, n: int) -> Posterior:
    """The posterior given only the n told and pending points nearest to ``center`` ``d``; itself if it has no more."""
    if len(posterior.X) <= n:
        return posterior
    rows = np.sort(np.argsort(np.abs(posterior.X - center).sum(axis=1), kind="stable")[:n])
    X, residual, hyper = posterior.X[rows], posterior.residual[rows], posterior.fitted.hyper
    factor = safe_cholesky(hyper.kernel(X, X), hyper)
    alpha = cho_solve((factor, True), residual, check_finite=False)
    return Posterior(posterior.fitted, X, factor, posterior.phi[rows], residual, posterior.mu, alpha)


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
