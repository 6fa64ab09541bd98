"""Climbing in a box."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.climb import climb


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


def test_a_start_outside_the_box_is_not_thrown_back() -> None:
    assert climb(Peak(), np.array([[0.9, 0.5]]), np.zeros(2), np.full(2, 0.7))[0] == pytest.approx([0.8, 0.5], abs=1e-4)


def test_where_the_merit_has_no_number_the_starts_stay() -> None:
    X = np.array([[0.3, 0.3]])
    assert (climb(Broken(), X, np.zeros(2), np.ones(2)) == X).all()
