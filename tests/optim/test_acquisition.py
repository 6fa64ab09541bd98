"""The choice among candidates, with functions whose best point is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from snnhpo_mpi.optim.acquisition import Draw, climb, order, screen


@dataclass(frozen=True)
class Quadratic:
    """offset - sum (x - at)^2 when ``sign`` is -1: a sample path that can be computed by hand."""

    at: np.ndarray
    sign: float = -1.0
    offset: float = 0.0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self.offset + self.sign * ((X - self.at) ** 2).sum(axis=1)

    def value_and_gradient(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        return float(self(z[None])[0]), 2.0 * self.sign * (z - self.at)


PEAK = Quadratic(np.array([0.8, 0.5]))
DISC = Quadratic(np.array([0.3, 0.5]), sign=1.0, offset=-0.04)  # feasible within 0.2 of (0.3, 0.5)
UNIT = (np.zeros(2), np.ones(2))


def test_feasible_rows_come_first_by_objective_and_the_rest_by_clipped_violation() -> None:
    F = np.array([9.0, 1.0, 2.0, 5.0])
    G = np.array([[0.1, -5.0], [-1.0, -1.0], [-0.1, 0.0], [0.2, -99.0]])
    assert order(F, G).tolist() == [2, 1, 0, 3]


def test_without_constraints_the_largest_objective_wins() -> None:
    assert order(np.array([1.0, 3.0, 2.0]), np.zeros((3, 0)))[0] == 1


def test_screening_puts_the_constrained_optimum_first() -> None:
    X = np.random.default_rng(0).random((3000, 2))
    best = screen(Draw(PEAK, [DISC]), X)[0]
    assert best == pytest.approx([0.5, 0.5], abs=0.05)
    assert DISC(best[None])[0] <= 0


def test_climbing_inside_ends_on_the_boundary_of_the_constraint() -> None:
    found = climb(Draw(PEAK, [DISC]), np.array([0.3, 0.45]), *UNIT, inside=True)
    assert found == pytest.approx([0.5, 0.5], abs=1e-3)


def test_climbing_without_a_feasible_start_goes_to_the_deepest_point() -> None:
    found = climb(Draw(None, [DISC]), np.array([0.9, 0.9]), *UNIT, inside=False)
    assert found == pytest.approx([0.3, 0.5], abs=1e-3)


def test_climbing_stays_in_the_box_and_keeps_fixed_columns() -> None:
    x = np.array([0.2, 0.4])
    found = climb(Draw(PEAK, []), x, np.array([0.1, 0.4]), np.array([0.6, 0.4]), inside=True)
    assert found == pytest.approx([0.6, 0.4])


def test_without_a_scored_trial_the_objective_is_the_depth() -> None:
    F, G = Draw(None, [DISC]).values(np.array([[0.3, 0.5], [0.9, 0.5]]))
    assert pytest.approx(-G[:, 0]) == F
    assert F[0] > F[1]
