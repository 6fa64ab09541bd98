"""One Gaussian process per output: fitted at an anchor, conditioned at every ask.

A fit is costly, so it is made on the first ``a`` trials told (the anchor) and kept; each ask conditions it on what was
told since and on the pending trials in one block. Both are functions of the data alone: an optimizer rebuilt from a
record repeats neither the asks nor the fits in between, and proposes the same bits.

Source: Rasmussen & Williams 2006 ("R&W"), section 2.2. Pending trials are believed to give their posterior mean
(Ginsbourger et al. 2010, "kriging believer"), which takes their neighbourhood's uncertainty away.

Notation
    n told    p pending    d columns    M random features    X  n x d    y  n of about unit spread
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky

from snnhpo_mpi.optim.gp.cholesky import Factor, divided
from snnhpo_mpi.optim.gp.fit import Hyperparameters, centred, fit
from snnhpo_mpi.optim.gp.kernel import draw_features
from snnhpo_mpi.optim.gp.posterior import Conditioned, Fitted, Posterior
from snnhpo_mpi.optim.settings import GpSettings

Array = NDArray[np.float64]

JITTERS = (0.0, 1e-8, 1e-6, 1e-4, 1e-2)  # times the signal variance


def fit_anchor(X: Array, y: Array, groups: NDArray[np.intp], rng: np.random.Generator, settings: GpSettings) -> Fitted:
    """Fit a model to the points told up to the anchor.

    Args:
        X: ``n x d``.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        rng: of the random features and of the choice of points.
        settings: of the fit.
    """
    rows = chosen_rows(len(X), settings.n_fitted, rng)
    hyper = fit(X[rows], y[rows], groups, settings)
    return factorize(X, hyper, settings.n_features, rng)


def chosen_rows(n: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Which of n points hyperparameters are fitted to: all, or ``most`` by chance."""
    return np.sort(rng.choice(n, most, replace=False)) if n > most else np.arange(n)


def factorize(X: Array, hyper: Hyperparameters, n_features: int, rng: np.random.Generator) -> Fitted:
    """A model with given hyperparameters."""
    features = draw_features(hyper.kernel, n_features, rng)
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
    factor, phi = _extended(fitted, added)
    n, p = len(y), len(X_pending)
    halves = [factor.forward(np.concatenate([side, np.zeros(p)])) for side in (y, np.ones(n))]
    for half in halves:
        half[n:] = 0.0  # what is pending has no say
    solved = np.stack([factor.backward(half) for half in halves], axis=1)  # (n + p) x 2, K^-1 y and K^-1 1
    alpha, mu = centred(solved, fitted.hyper.mean_variance)  # alpha of R&W 2.25
    # A pending trial is believed to give its mean, the product of its row of the factor: K^-1 gives it no weight.
    believed = factor.lower_rows(halves[0] - mu * halves[1])[len(X_new) :]
    X, kernel = np.concatenate([fitted.X, added]), fitted.hyper.kernel
    return Posterior(kernel, X, factor, mu, alpha, fitted, phi, np.concatenate([y - mu, believed]), p)


def near(posterior: Posterior, center: Array, n: int) -> Conditioned:
    """The posterior given only the n told and pending points nearest to ``center`` ``d``; itself if it has no more."""
    if len(posterior.X) <= n:
        return posterior
    rows = np.sort(np.argsort(np.abs(posterior.X - center).sum(axis=1), kind="stable")[:n])
    X, hyper = posterior.X[rows], posterior.fitted.hyper
    factor = Factor.whole(safe_cholesky(hyper.kernel(X, X), hyper))
    alpha = factor.solved(posterior.residual[rows])
    return Conditioned(hyper.kernel, X, factor, posterior.mu, alpha)


def _extended(fitted: Fitted, added: Array) -> tuple[Factor, Array]:
    """Factor of the anchor's points and the added ones ``q x d``, and ``q x M`` the features of these.

    Most points were there at the ask before. Each is computed by itself, so that its bits depend on no other.
    """
    rows: dict[bytes, tuple[Array, Array]] = {}
    for x in added:
        key = x.tobytes()
        rows[key] = fitted.added.get(key) or (
            divided(fitted.factor, fitted.hyper.kernel(fitted.X, x[None])[:, 0]),
            fitted.features(x[None])[0],
        )
    fitted.added.clear()
    fitted.added.update(rows)
    across, phi = np.empty((len(added), len(fitted.X))), np.empty((len(added), fitted.phi.shape[1]))  # q x a, q x M
    for i, x in enumerate(added):
        across[i], phi[i] = rows[x.tobytes()]
    if not len(added):
        return Factor.whole(fitted.factor), phi
    # The Schur complement of the anchor's block (Golub & Van Loan, section 4.2), of which R&W 2.24 is the meaning:
    # the covariance of the added points given the anchor's.
    rest = safe_cholesky(fitted.hyper.kernel(added, added) - across @ across.T, fitted.hyper)
    return Factor(fitted.factor, across, rest), phi
