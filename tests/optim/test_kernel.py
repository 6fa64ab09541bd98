"""The kernel against its formula, its features against the kernel."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.kernel import Kernel, draw_features


def test_the_kernel_of_two_points_is_the_formula() -> None:
    kernel = Kernel(np.array([0.5, 2.0]), 3.0)
    rho = np.sqrt(5.0 * (0.2**2 / 0.25 + 0.4**2 / 4.0))
    expected = 3.0 * (1 + rho + rho**2 / 3) * np.exp(-rho)
    assert kernel(np.array([[0.1, 0.2]]), np.array([[0.3, 0.6]]))[0, 0] == pytest.approx(expected)


def test_single_precision_is_close_to_double() -> None:
    rng = np.random.default_rng(0)
    A, B = rng.random((30, 5)), rng.random((40, 5))
    kernel = Kernel(np.full(5, 0.3), 1.0)
    single = kernel(A.astype(np.float32), B.astype(np.float32))
    assert single.dtype == np.float32
    assert single == pytest.approx(kernel(A, B), abs=1e-5)


def test_many_random_features_give_the_kernel() -> None:
    rng = np.random.default_rng(1)
    kernel = Kernel(np.array([0.4, 0.8]), 2.0)
    X = rng.random((6, 2))
    phi = draw_features(kernel, 40_000, rng)(X)
    assert phi @ phi.T == pytest.approx(kernel(X, X), abs=0.06)


def test_the_gradient_of_the_features_agrees_with_finite_differences() -> None:
    rng = np.random.default_rng(2)
    features = draw_features(Kernel(np.array([0.4, 0.8]), 2.0), 64, rng)
    w, x = rng.standard_normal(64), rng.random(2)
    value, gradient = features.value_and_gradient(x, w)
    assert value == pytest.approx(float(features(x[None])[0] @ w))
    for i in range(2):
        h = 1e-6 * np.eye(2)[i]
        slope = (features.value_and_gradient(x + h, w)[0] - features.value_and_gradient(x - h, w)[0]) / 2e-6
        assert gradient[i] == pytest.approx(slope, rel=1e-5)


def test_the_trend_adds_its_linear_and_quadratic_terms() -> None:
    kernel = Kernel(np.ones(2), 0.0, linear=2.0, quadratic=3.0)
    a, b = np.array([0.0, 0.5]), np.array([1.0, 0.25])  # u = (-1, 0) and (1, -1/2); q = (1, -1/2) and (1, -1/8)
    assert kernel(a[None], b[None])[0, 0] == pytest.approx(2.0 * (-1.0 + 0.0) + 3.0 * (1.0 + 1.0 / 16.0))
