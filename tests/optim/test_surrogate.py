"""Conditioning in blocks, pending trials and sample paths against the textbook posterior."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.kernel import Kernel
from snnhpo_mpi.optim.likelihood import Hyperparameters
from snnhpo_mpi.optim.surrogate import condition, factorize, safe_cholesky

HYPER = Hyperparameters(Kernel(np.array([0.3, 0.5]), 1.5, 0.4, 0.2), 1e-4)
NOTHING = np.zeros((0, 2))


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).random((n, 2))
    return X, np.sin(5.0 * X[:, 0]) + X[:, 1]


def exact_posterior(X: np.ndarray, y: np.ndarray, Z: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance by the formulas of Rasmussen & Williams, section 2.2."""
    K = HYPER.kernel(X, X) + HYPER.noise * np.eye(len(X))
    cross = HYPER.kernel(Z, X)
    return mu + cross @ np.linalg.solve(K, y - mu), HYPER.kernel(Z, Z) - cross @ np.linalg.solve(K, cross.T)


def test_the_path_of_temperature_zero_is_the_posterior_mean() -> None:
    X, y = data(12)
    Z = np.random.default_rng(1).random((5, 2))
    posterior = condition(factorize(X, HYPER, np.random.default_rng(2)), NOTHING, y, NOTHING)
    path = posterior.draw(np.random.default_rng(3), temperature=0.0)
    assert path(Z) == pytest.approx(exact_posterior(X, y, Z, posterior.mu)[0])


def test_paths_have_the_posterior_mean_and_covariance() -> None:
    X, y = data(6)
    Z = np.random.default_rng(1).random((4, 2))
    draws = []
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        posterior = condition(factorize(X, HYPER, rng), NOTHING, y, NOTHING)
        draws.append(posterior.draw(rng)(Z))
    mean, covariance = exact_posterior(X, y, Z, posterior.mu)
    assert np.mean(draws, axis=0) == pytest.approx(mean, abs=0.05)
    assert np.cov(np.transpose(draws)) == pytest.approx(covariance, abs=0.05)


def test_conditioning_after_the_anchor_is_conditioning_on_everything() -> None:
    X, y = data(12)
    whole = condition(factorize(X, HYPER, np.random.default_rng(2)), NOTHING, y, NOTHING)
    later = condition(factorize(X[:7], HYPER, np.random.default_rng(2)), X[7:], y, NOTHING)
    assert later.factor == pytest.approx(whole.factor)
    assert later.residual == pytest.approx(whole.residual)


def test_a_pending_trial_takes_uncertainty_away_and_leaves_the_mean() -> None:
    X, y = data(12)
    fitted = factorize(X, HYPER, np.random.default_rng(2))
    z = np.array([[0.95, 0.02]])
    without, believed = condition(fitted, NOTHING, y, NOTHING), condition(fitted, NOTHING, y, z)
    mean = without.draw(np.random.default_rng(0), 0.0)(z)
    assert believed.draw(np.random.default_rng(0), 0.0)(z) == pytest.approx(mean)
    spread = [np.std([p.draw(np.random.default_rng(s))(z) for s in range(30)]) for p in (without, believed)]
    assert spread[1] < 0.2 * spread[0]


def test_the_gradient_of_a_path_agrees_with_finite_differences() -> None:
    X, y = data(12)
    path = condition(factorize(X, HYPER, np.random.default_rng(2)), NOTHING, y, NOTHING).draw(np.random.default_rng(5))
    z = np.array([0.4, 0.7])
    value, gradient = path.value_and_gradient(z)
    assert value == pytest.approx(float(path(z[None])[0]))
    for i in range(2):
        h = 1e-6 * np.eye(2)[i]
        slope = (path.value_and_gradient(z + h)[0] - path.value_and_gradient(z - h)[0]) / 2e-6
        assert gradient[i] == pytest.approx(slope, rel=1e-4)


def test_a_thousand_equal_points_have_a_factor() -> None:
    X = np.full((1000, 2), 0.5)
    factor = safe_cholesky(HYPER.kernel(X, X), Hyperparameters(HYPER.kernel, 1e-12))
    assert np.isfinite(factor).all()


def test_no_factor_is_an_error_that_the_caller_can_name() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        safe_cholesky(-10.0 * np.eye(3), HYPER)
