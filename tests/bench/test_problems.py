"""The problems have their known optima, and ours are as hard as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from snnhpo_mpi.bench.problems import ackley, exact_problem, keane_bump, pressure_vessel, speed_reducer, welded_beam
from snnhpo_mpi.bench.silent import BETA, SPACE, band, ridge, silent_problem
from snnhpo_mpi.trial import State, Trial


def test_ackley_is_zero_at_the_origin_on_the_edge_of_one_constraint() -> None:
    value, constraints = ackley(np.zeros(10))
    assert value == pytest.approx(0.0, abs=1e-12)
    assert constraints == [0.0, -5.0]


@pytest.mark.parametrize(
    ("function", "x", "optimum"),
    [
        (speed_reducer, [3.5, 0.7, 17.0, 7.3, 7.715320, 3.350215, 5.286655], 2994.47),
        (welded_beam, [0.20573, 3.470489, 9.036624, 0.20573], 1.7249),
        (pressure_vessel, [0.8125, 0.4375, 42.0984, 176.6368], 6059.9),
    ],
)
def test_published_optima_have_their_values_and_satisfy_the_constraints(
    function: object, x: list[float], optimum: float
) -> None:
    value, constraints = function(np.array(x))  # type: ignore[operator]
    assert value == pytest.approx(optimum, rel=2e-4)
    assert max(c / max(1.0, abs(value)) for c in constraints) < 2e-2


def test_keane_in_two_dimensions_has_its_known_optimum() -> None:
    value, constraints = keane_bump(np.array([1.60086, 0.468498]))
    assert value == pytest.approx(-0.36498, abs=1e-4)
    assert constraints[0] == pytest.approx(0.0, abs=1e-4)


def test_a_minimised_value_is_told_with_the_sign_of_an_objective() -> None:
    problem = exact_problem("toy", [(0.0, 2.0)], 1, lambda x: (3.0 + float(x[0]), [float(x[0]) - 1.0]))
    outcome = problem.evaluate(Trial(0, {"x0": 0.5}, 0))
    assert (outcome.objective, outcome.constraints, problem.value({"x0": 0.5})) == (-3.5, (-0.5,), 3.5)


@pytest.mark.parametrize("network", [ridge, band])
def test_under_one_per_cent_of_the_volume_is_feasible(network: object) -> None:
    X = np.random.default_rng(0).random((4000, SPACE.dim))
    feasible = [max(network(SPACE.decode(x)).silent) <= BETA for x in X]  # type: ignore[operator]
    assert 0.001 < np.mean(feasible) < 0.01


def test_a_dead_network_is_stopped_at_chance_and_costs_a_fiftieth() -> None:
    problem = silent_problem("ridge", ridge)
    dead = {**SPACE.decode(np.full(SPACE.dim, 0.5)), "e_thresh": 0.0, "norm": 78.4}
    outcome = problem.evaluate(Trial(0, dead, 5))
    assert outcome.state is State.STOPPED and not outcome.feasible
    assert outcome.constraints == pytest.approx((1.0 - BETA, 1.0 - BETA))
    full = 3600.0 * float(dead["epochs"]) * (0.2 + float(dead["map_size"]) / 1000.0)
    assert problem.mean_seconds(dead, outcome) == pytest.approx(full / 50)


def test_the_noise_comes_from_the_seed_of_the_trial() -> None:
    problem = silent_problem("ridge", ridge)
    params = SPACE.decode(np.full(SPACE.dim, 0.5))
    assert problem.evaluate(Trial(0, params, 5)) == problem.evaluate(Trial(0, params, 5))
    assert math.isfinite(problem.value(params))
