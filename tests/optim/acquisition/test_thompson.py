"""Thompson sampling, with draws whose best point is known."""

from __future__ import annotations

import numpy as np
import pytest
from known_functions import DISC, PEAK, UNIT, Functions, Quadratic, assert_gradients

from snnhpo_mpi.optim.acquisition.thompson import Draw, order, temperature
from snnhpo_mpi.optim.local_search import climb
from snnhpo_mpi.optim.settings import DEFAULTS


def draw(objective: Quadratic | None, *constraints: Quadratic) -> Draw:
    outputs = Functions(constraints if objective is None else (objective, *constraints))
    return Draw(outputs, outputs, objective is not None, DEFAULTS.thompson)


def test_feasible_rows_come_first_by_objective_and_the_rest_by_clipped_violation() -> None:
    F = np.array([9.0, 1.0, 2.0, 5.0])
    G = np.array([[0.1, -5.0], [-1.0, -1.0], [-0.1, 0.0], [0.2, -99.0]])
    assert order(F, G).tolist() == [2, 1, 0, 3]


def test_without_constraints_the_largest_objective_wins() -> None:
    assert order(np.array([1.0, 3.0, 2.0]), np.zeros((3, 0)))[0] == 1


def test_climbing_a_draw_ends_inside_at_the_boundary_of_the_constraint() -> None:
    joint = draw(PEAK, DISC)
    found = np.array([[0.3, 0.45], [0.9, 0.9]])
    for merit in joint.merits():
        found = climb(merit, found, *UNIT, 40, DEFAULTS.local_search)
    assert found == pytest.approx(np.array([[0.5, 0.5]] * 2), abs=5e-3)
    assert (joint.values(found)[1] <= 0).all()


def test_a_draw_without_an_objective_climbs_to_the_deepest_point() -> None:
    (depth,) = draw(None, DISC, DISC).merits()
    found = climb(depth, np.array([[0.9, 0.9]]), *UNIT, 40, DEFAULTS.local_search)
    assert found[0] == pytest.approx([0.3, 0.5], abs=1e-3)


def test_without_a_scored_trial_the_objective_is_the_depth() -> None:
    F, G = draw(None, DISC).values(np.array([[0.3, 0.5], [0.9, 0.5]]))
    assert pytest.approx(-G[:, 0]) == F
    assert F[0] > F[1]


def test_the_gradients_agree_with_finite_differences() -> None:
    for merit in [*draw(PEAK, DISC, PEAK).merits(), *draw(None, DISC, PEAK).merits()]:
        assert_gradients(merit, np.array([[0.4, 0.6], [0.9, 0.1]]))


def test_draws_keep_their_spread_alone_and_lose_half_of_it_among_many() -> None:
    assert temperature(0, DEFAULTS.thompson) == 1.0
    assert temperature(5, DEFAULTS.thompson) == pytest.approx(0.5**0.5)
    assert temperature(15, DEFAULTS.thompson) == temperature(4000, DEFAULTS.thompson) == 0.5
