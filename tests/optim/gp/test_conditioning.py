"""Conditioning in blocks, and pending trials."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.gp.batched import Moments
from snnhpo_mpi.optim.gp.conditioning import condition, factorize, near, safe_cholesky
from snnhpo_mpi.optim.gp.fit import Hyperparameters
from snnhpo_mpi.optim.gp.kernel import Kernel

HYPER = Hyperparameters(Kernel(np.array([0.3, 0.5]), 1.5, 0.4, 0.2), 1e-4, 100.0)
NOTHING = np.zeros((0, 2))


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).random((n, 2))
    return X, np.sin(5.0 * X[:, 0]) + X[:, 1]


def test_conditioning_after_the_anchor_is_conditioning_on_everything() -> None:
    X, y = data(12)
    whole = condition(factorize(X, HYPER, 512, np.random.default_rng(2)), NOTHING, y, NOTHING)
    later = condition(factorize(X[:7], HYPER, 512, np.random.default_rng(2)), X[7:], y, NOTHING)
    assert later.factor.inverse() == pytest.approx(whole.factor.inverse())
    assert later.residual == pytest.approx(whole.residual)


def test_what_an_earlier_ask_has_computed_changes_no_bit() -> None:
    """A resumed study repeats none of the asks, and must propose the same."""
    X, y = data(12)
    pending = np.random.default_rng(3).random((4, 2))
    fitted = factorize(X[:7], HYPER, 512, np.random.default_rng(2))
    for n in range(7, 12):
        condition(fitted, X[7:n], y[:n], pending[: n - 7])
    later = condition(fitted, X[7:], y, pending)
    fresh = condition(factorize(X[:7], HYPER, 512, np.random.default_rng(2)), X[7:], y, pending)
    assert (later.factor.inverse() == fresh.factor.inverse()).all()
    assert (later.phi == fresh.phi).all() and (later.alpha == fresh.alpha).all()


def test_a_pending_trial_takes_uncertainty_away_and_leaves_the_mean() -> None:
    X, y = data(12)
    fitted = factorize(X, HYPER, 512, np.random.default_rng(2))
    z = np.array([[0.95, 0.02]])
    without, believed = condition(fitted, NOTHING, y, NOTHING), condition(fitted, NOTHING, y, z)
    means, variances = Moments([without, believed])(z)
    assert means[0] == pytest.approx(means[1])
    assert variances[1] < 0.04 * variances[0]


def test_what_is_believed_of_pending_trials_is_the_mean_without_them() -> None:
    X, y = data(12)
    pending = np.concatenate([np.random.default_rng(3).random((3, 2)), X[8:9]])  # the last was told too
    alone = condition(factorize(X[:7], HYPER, 512, np.random.default_rng(2)), X[7:], y, NOTHING)
    together = condition(factorize(X[:7], HYPER, 512, np.random.default_rng(2)), X[7:], y, pending)
    assert together.mu == pytest.approx(alone.mu)
    assert together.residual[12:] + alone.mu == pytest.approx(Moments([alone])(pending)[0][0])
    assert together.factor.solved(together.residual) == pytest.approx(together.alpha, abs=1e-9)


def test_a_thousand_equal_points_have_a_factor() -> None:
    X = np.full((1000, 2), 0.5)
    factor = safe_cholesky(HYPER.kernel(X, X), Hyperparameters(HYPER.kernel, 1e-12, 100.0))
    assert np.isfinite(factor).all()


def test_no_factor_is_an_error_that_the_caller_can_name() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        safe_cholesky(-10.0 * np.eye(3), HYPER)


def test_the_nearest_points_suffice_near_them() -> None:
    X, y = data(60)
    whole = condition(factorize(X, HYPER, 512, np.random.default_rng(2)), NOTHING, y, NOTHING)
    center = np.array([0.3, 0.4])
    part = near(whole, center, 40)
    assert len(part.X) == 40
    assert near(whole, center, 60) is whole
    means, variances = Moments([whole, part])(center[None])
    assert means[1] == pytest.approx(means[0], abs=0.01)
    assert variances[0] <= variances[1] < 1.5 * variances[0]
