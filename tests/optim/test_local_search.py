"""Climbing in a box."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from snnhpo_mpi.optim import local_search
from snnhpo_mpi.optim.settings import DEFAULTS


def climb(merit: local_search.Merit, X: np.ndarray, lower: np.ndarray, upper: np.ndarray, n: int = 40) -> np.ndarray:
    return local_search.climb(merit, X, lower, upper, n, DEFAULTS.local_search)


class Peak:
    """-|x - (0.8, 0.5)|^2."""

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = Z - np.array([0.8, 0.5])
        return -(away**2).sum(axis=1), -2.0 * away


class Broken:
    """Knows no number."""

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(Z), np.nan), np.full(Z.shape, np.nan)


def test_every_start_reaches_the_peak_or_the_edge_of_its_own_box() -> None:
    lower, upper = np.array([[0.0, 0.0], [0.1, 0.4]]), np.array([[1.0, 1.0], [0.6, 0.4]])
    found = climb(Peak(), np.array([[0.1, 0.9], [0.2, 0.4]]), lower, upper)
    assert found == pytest.approx(np.array([[0.8, 0.5], [0.6, 0.4]]), abs=1e-4)


def test_a_coupled_and_badly_scaled_merit_is_climbed_as_high_as_by_scipy_and_never_down() -> None:
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((10, 10)))[0]
    A, top = turned @ np.diag(np.logspace(0, 3, 10)) @ turned.T, rng.random(10)

    class Ridge:
        def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            away = Z - top
            return -0.5 * np.vecdot(away @ A, away), -away @ A

    X, lower, upper = rng.random((6, 10)) * 0.6, np.zeros(10), np.full(10, 0.6)
    found = Ridge().value_and_gradient(climb(Ridge(), X, lower, upper, 40))[0]
    cost = minimize(lambda x: 0.5 * (x - top) @ A @ (x - top), X[0], bounds=[(0.0, 0.6)] * 10, tol=1e-12).fun
    assert found == pytest.approx(-cost, abs=0.02 * cost)
    assert (Ridge().value_and_gradient(climb(Ridge(), X, lower, upper, 3))[0] >= Ridge().value_and_gradient(X)[0]).all()


def test_a_start_outside_the_box_is_not_thrown_back() -> None:
    assert climb(Peak(), np.array([[0.9, 0.5]]), np.zeros(2), np.full(2, 0.7))[0] == pytest.approx([0.8, 0.5], abs=1e-4)


def test_where_the_merit_has_no_number_the_starts_stay() -> None:
    X = np.array([[0.3, 0.3]])
    assert (climb(Broken(), X, np.zeros(2), np.ones(2)) == X).all()
