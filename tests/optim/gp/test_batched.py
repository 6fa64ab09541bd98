"""Moments and sample paths of several outputs against the textbook posterior, gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.gp.batched import AT_ONCE, Moments, OneByOne, Paths
from snnhpo_mpi.optim.gp.conditioning import condition, factorize
from snnhpo_mpi.optim.gp.fit import Hyperparameters
from snnhpo_mpi.optim.gp.kernel import Kernel
from snnhpo_mpi.optim.gp.posterior import Posterior

HYPER = Hyperparameters(Kernel(np.array([0.3, 0.5]), 1.5, 0.4, 0.2), 1e-4, 100.0)
NOTHING = np.zeros((0, 2))


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).random((n, 2))
    return X, np.sin(5.0 * X[:, 0]) + X[:, 1]


def fitted(n: int = 12, seed: int = 2) -> Posterior:
    X, y = data(n)
    return condition(factorize(X, HYPER, 512, np.random.default_rng(seed)), NOTHING, y, NOTHING)


def exact_posterior(X: np.ndarray, y: np.ndarray, Z: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance by the formulas of Rasmussen & Williams, section 2.2."""
    K = HYPER.kernel(X, X) + HYPER.noise * np.eye(len(X))
    cross = HYPER.kernel(Z, X)
    return mu + cross @ np.linalg.solve(K, y - mu), HYPER.kernel(Z, Z) - cross @ np.linalg.solve(K, cross.T)


def other(n: int = 7) -> Posterior:
    """An output with fewer told points and another kernel."""
    X, y = data(n)
    hyper = Hyperparameters(Kernel(np.array([0.8, 0.2]), 0.5, 0.1, 0.9), 1e-3, 100.0)
    return condition(factorize(X, hyper, 512, np.random.default_rng(4)), NOTHING, y, NOTHING)


def test_the_moments_are_those_of_the_textbook() -> None:
    posterior, (X, y) = fitted(), data(12)
    Z = np.random.default_rng(1).random((5, 2))
    mean, covariance = exact_posterior(X, y, Z, posterior.mu)
    means, variances = Moments([posterior])(Z)
    assert means[0] == pytest.approx(mean)
    assert variances[0] == pytest.approx(np.diag(covariance))


def test_outputs_with_different_numbers_of_points_do_not_disturb_each_other() -> None:
    Z, rng = np.random.default_rng(1).random((5, 2)), np.random.default_rng(3)
    both, paths = [fitted(), other()], [fitted().draw(rng), other().draw(rng)]
    for together, alone in (
        (Moments(both).with_gradients(Z), [Moments([posterior]).with_gradients(Z) for posterior in both]),
        (Paths(paths).value_and_gradient(Z), [Paths([path]).value_and_gradient(Z) for path in paths]),
    ):
        for values, *parts in zip(together, *alone, strict=True):
            assert values == pytest.approx(np.concatenate(parts))


def test_many_points_are_evaluated_in_blocks() -> None:
    Z = np.random.default_rng(1).random((AT_ONCE + 3, 2))
    moments, paths = Moments([fitted()]), Paths([fitted().draw(np.random.default_rng(5))])
    assert moments(Z)[1][0, -1] == pytest.approx(moments(Z[-1:])[1][0, 0])
    assert paths(Z)[0, -1] == pytest.approx(paths(Z[-1:])[0, 0])
    assert paths(Z[:0]).shape == (1, 0)


def test_the_means_at_the_told_points_cost_no_solve() -> None:
    posterior = fitted()
    assert posterior.mean_at_told() == pytest.approx(Moments([posterior])(data(12)[0])[0][0])


def test_the_gradients_of_the_moments_agree_with_finite_differences() -> None:
    moments, Z = Moments([fitted(), other()]), np.random.default_rng(1).random((4, 2))
    mean, variance, *gradients = moments.with_gradients(Z)
    assert (mean, variance) == (pytest.approx(moments(Z)[0]), pytest.approx(moments(Z)[1]))
    for i in range(2):
        h = 1e-6 * np.eye(2)[i]
        for gradient, up, down in zip(gradients, moments(Z + h), moments(Z - h), strict=True):
            assert gradient[:, :, i] == pytest.approx((up - down) / 2e-6, rel=1e-3, abs=1e-6)


def test_the_path_of_temperature_zero_is_the_posterior_mean() -> None:
    posterior, (X, y) = fitted(), data(12)
    Z = np.random.default_rng(1).random((5, 2))
    path = posterior.draw(np.random.default_rng(3), temperature=0.0)
    assert Paths([path])(Z)[0] == pytest.approx(exact_posterior(X, y, Z, posterior.mu)[0])


def test_paths_have_the_posterior_mean_and_covariance() -> None:
    X, y = data(6)
    Z = np.random.default_rng(1).random((4, 2))
    paths = []
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        posterior = condition(factorize(X, HYPER, 512, rng), NOTHING, y, NOTHING)
        paths.append(posterior.draw(rng))
    draws = Paths(paths)(Z)
    mean, covariance = exact_posterior(X, y, Z, posterior.mu)
    assert np.mean(draws, axis=0) == pytest.approx(mean, abs=0.05)
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.05)


def test_the_gradient_of_a_path_agrees_with_finite_differences() -> None:
    paths = Paths([fitted().draw(np.random.default_rng(5)), other().draw(np.random.default_rng(6))])
    Z = np.array([[0.4, 0.7], [0.1, 0.2]])
    value, gradient = paths.value_and_gradient(Z)
    assert value == pytest.approx(paths(Z))
    for i in range(2):
        h = 1e-6 * np.eye(2)[i]
        assert gradient[:, :, i] == pytest.approx((paths(Z + h) - paths(Z - h)) / 2e-6, rel=1e-4)


def test_single_precision_one_output_after_the_other_is_close_to_double_together() -> None:
    paths = [fitted().draw(np.random.default_rng(5)), other().draw(np.random.default_rng(6))]
    Z = np.random.default_rng(1).random((30, 2))
    single = OneByOne(paths)(Z)
    assert single.dtype == np.float32
    assert single == pytest.approx(Paths(paths)(Z), abs=1e-3)
