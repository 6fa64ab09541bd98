"""The kernel against its formula, its features against the kernel."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.gp.kernel import Kernel, draw_features


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


def test_the_trend_adds_its_linear_and_quadratic_terms() -> None:
    kernel = Kernel(np.ones(2), 0.0, linear=2.0, quadratic=3.0)
    a, b = np.array([0.0, 0.5]), np.array([1.0, 0.25])  # u = (-1, 0) and (1, -1/2); q = (1, -1/2) and (1, -1/8)
    assert kernel(a[None], b[None])[0, 0] == pytest.approx(2.0 * (-1.0 + 0.0) + 3.0 * (1.0 + 1.0 / 16.0))


def test_the_trend_is_a_polynomial() -> None:
    rng = np.random.default_rng(2)
    kernel = Kernel(np.ones(2), 1.0, linear=0.7, quadratic=0.3)
    X, slopes = rng.random((5, 2)), rng.standard_normal(4)
    constant, linear, square = kernel.trend_polynomial(slopes)
    assert constant + X @ linear + X**2 @ square == pytest.approx(kernel.trend(X) @ slopes)
