"""The gradient is that of the value, and a fit finds what made the data."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.gp.fit import dimension_prior, fit, loss, weights
from snnhpo_mpi.optim.gp.kernel import Kernel
from snnhpo_mpi.optim.settings import DEFAULTS

GP, MEAN_VARIANCE = DEFAULTS.gp, DEFAULTS.gp.mean_variance


def test_the_gradient_agrees_with_finite_differences() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.random((25, 4)), rng.standard_normal(25)
    groups = np.array([0, 1, 1, 2])
    theta = np.array([-0.3, 0.4, 0.1, 0.2, -0.5, -1.0, -2.0])
    prior = dimension_prior(3, GP)
    gradient = loss(theta, X, y, groups, prior, GP)[1]
    for i in range(7):
        h = 1e-6 * np.eye(7)[i]
        above, below = (loss(theta + s * h, X, y, groups, prior, GP)[0] for s in (1, -1))
        assert gradient[i] == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-6)


def test_an_irrelevant_column_gets_the_longer_lengthscale() -> None:
    rng = np.random.default_rng(1)
    X = rng.random((60, 2))
    lengthscales = fit(X, np.sin(6.0 * X[:, 0]), np.array([0, 1]), GP).kernel.lengthscales
    assert lengthscales[1] > 5.0 * lengthscales[0]


def test_noise_is_found() -> None:
    rng = np.random.default_rng(2)
    X = rng.random((200, 1))
    noisy = np.sin(6.0 * X[:, 0]) + 0.3 * rng.standard_normal(200)
    assert fit(X, noisy, np.array([0]), GP).noise == pytest.approx(0.09, rel=0.3)


def test_a_rough_function_is_not_taken_for_noise() -> None:
    rng = np.random.default_rng(4)
    X = rng.random((100, 2))
    assert fit(X, np.sin(30.0 * X).sum(axis=1), np.array([0, 1]), GP).noise < 1e-2


def test_columns_of_a_group_share_their_lengthscale() -> None:
    rng = np.random.default_rng(3)
    X = rng.random((20, 3))
    lengthscales = fit(X, X[:, 0], np.array([0, 0, 1]), GP).kernel.lengthscales
    assert lengthscales[0] == lengthscales[1] != lengthscales[2]


@pytest.mark.parametrize("y", [np.zeros(1), np.ones(5), np.array([0.0, 0.0, 1e3, 0.0, -1e3])])
def test_degenerate_data_is_fitted(y: np.ndarray) -> None:
    hyper = fit(np.full((len(y), 2), 0.5), y, np.array([0, 1]), GP)
    assert np.isfinite(hyper.kernel.lengthscales).all() and hyper.noise > 0


def test_the_mean_of_one_observation_is_shrunk_towards_zero() -> None:
    K = Kernel(np.ones(1), 1.0)(np.zeros((1, 1)), np.zeros((1, 1)))
    alpha, mu = weights(np.linalg.cholesky(K), np.array([2.0]), MEAN_VARIANCE)
    assert mu == pytest.approx(2.0 * MEAN_VARIANCE / (1.0 + MEAN_VARIANCE))
    assert alpha == pytest.approx([2.0 / (1.0 + MEAN_VARIANCE)])
