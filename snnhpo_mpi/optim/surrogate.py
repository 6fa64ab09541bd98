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
from scipy.linalg import cho_solve, cholesky, lapack

from snnhpo_mpi.optim.kernel import draw_features
from snnhpo_mpi.optim.likelihood import Hyperparameters, centred, fit
from snnhpo_mpi.optim.posterior import Fitted, Posterior

Array = NDArray[np.float64]

N_FEATURES = 512
N_FITTED = 250  # points that hyperparameters are fitted to, at most: a fit is cubic in their number
JITTERS = (0.0, 1e-8, 1e-6, 1e-4, 1e-2)  # times the signal variance


def fit_anchor(X: Array, y: Array, groups: NDArray[np.intp], rng: np.random.Generator) -> Fitted:
    """Fit a model to the points told up to the anchor.

    Args:
        X: ``n x d``.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        rng: of the random features and of the choice of points.
    """
    chosen = np.sort(rng.choice(len(X), N_FITTED, replace=False)) if len(X) > N_FITTED else np.arange(len(X))
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
        noisy = K.copy(order="F")
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
    cross, phi = _seen_from(fitted, added)
    factor = _extended(fitted, added, cross)
    n = len(y)
    # All products are with the whole factor: a block of it would be copied. Pending rows get no say in the first.
    sides = np.zeros((len(factor), 2))
    sides[:n] = np.stack([y, np.ones(n)], axis=1)
    solved = _divided(factor, sides)
    solved[n:] = 0.0
    solved = _divided(factor, solved, transposed=True)[:n]
    alpha, mu = centred(solved)
    X = np.concatenate([fitted.X, added])
    believed = fitted.hyper.kernel(X_pending, X[:n]) @ alpha
    residual = np.concatenate([y - mu, believed])
    alpha = cho_solve((factor, True), residual, check_finite=False)
    return Posterior(fitted, X, factor, np.concatenate([fitted.phi, phi]), residual, mu, alpha)


def near(posterior: Posterior, center: Array, n: int) -> Posterior:
    """The posterior given only the n told and pending points nearest to ``center`` ``d``; itself if it has no more."""
    if len(posterior.X) <= n:
        return posterior
    rows = np.sort(np.argsort(np.abs(posterior.X - center).sum(axis=1), kind="stable")[:n])
    X, residual, hyper = posterior.X[rows], posterior.residual[rows], posterior.fitted.hyper
    factor = safe_cholesky(hyper.kernel(X, X), hyper)
    alpha = cho_solve((factor, True), residual, check_finite=False)
    return Posterior(posterior.fitted, X, factor, posterior.phi[rows], residual, posterior.mu, alpha)


def _seen_from(fitted: Fitted, added: Array) -> tuple[Array, Array]:
    """``a x q`` covariances of added points with the anchor's, divided by its factor, and ``q x M`` their features.

    Most points were there at the ask before. Each is computed by itself, so that its bits depend on no other.
    """
    columns: dict[bytes, tuple[Array, Array]] = {}
    for x in added:
        key = x.tobytes()
        columns[key] = fitted.added.get(key) or (
            _divided(fitted.factor, fitted.hyper.kernel(fitted.X, x[None]))[:, 0],
            fitted.features(x[None])[0],
        )
    fitted.added.clear()
    fitted.added.update(columns)
    cross, phi = np.empty((len(fitted.X), len(added))), np.empty((len(added), fitted.phi.shape[1]))
    for i, x in enumerate(added):
        cross[:, i], phi[i] = columns[x.tobytes()]
    return cross, phi


def _extended(fitted: Fitted, added: Array, cross: Array) -> Array:
    """Factor of the anchor's points and the added ones, by blocks; in Fortran's order, which LAPACK does not copy."""
    if not len(added):
        return fitted.factor
    a, q = cross.shape
    factor = np.zeros((a + q, a + q), order="F")
    factor[:a, :a] = fitted.factor
    factor[a:, :a] = cross.T
    factor[a:, a:] = safe_cholesky(fitted.hyper.kernel(added, added) - cross.T @ cross, fitted.hyper)
    return factor


def _divided(factor: Array, sides: Array, *, transposed: bool = False) -> Array:
    """L^-1 or L^-T times the right sides ``n x r``."""
    solved: Array = lapack.dtrtrs(factor, sides, lower=1, trans=int(transposed))[0]
    return solved
