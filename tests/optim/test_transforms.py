"""Transforms keep order and sign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhpo_mpi.optim.transforms import saturate, scale_constraint, scale_objective, total_violation

S = 10.0  # medians towards which violations saturate
ROUNDING = 1e-14 * S  # two values a last bit apart may be mapped in the other order, by as little
values = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30).map(np.array)


def test_the_better_half_keeps_its_distances_and_the_worse_is_logarithmic() -> None:
    z = scale_objective(np.array([-1e9, -1.0, 0.0, 1.0, 3.0]), 1e6)  # median 0, unit 2
    steps = np.diff(z)
    assert steps[3] == pytest.approx(2.0 * steps[2])
    assert steps[1] == pytest.approx(2.0 * np.log(1.5) * steps[2])
    assert steps[0] < 50.0 * steps[2]


def test_a_constant_objective_becomes_zero() -> None:
    assert scale_objective(np.full(4, 3.0), 1e6).tolist() == [0.0] * 4


@given(values)
def test_scaled_objectives_are_finite_and_keep_their_order(y: np.ndarray) -> None:
    z = scale_objective(y, 1e6)
    assert np.isfinite(z).all() and (np.diff(z[np.argsort(y, kind="stable")]) >= -ROUNDING).all()


def test_saturation_is_odd_linear_near_zero_and_bounded() -> None:
    z = saturate(np.array([-10.0, 0.0, 10.0, 1e-3, 1e300]), 1.0, S)
    assert z == pytest.approx([-10.0 / 2.0**0.5, 0.0, 10.0 / 2.0**0.5, 1e-3, 10.0], rel=1e-3)


def test_violations_of_about_the_same_size_stay_linear() -> None:
    c = np.array([0.5, 1.0, 1.5])
    assert saturate(c, 1.0, S) == pytest.approx(c, rel=0.02)


def test_slack_in_one_constraint_pays_for_no_other() -> None:
    violation = total_violation(np.array([[-100.0, 1.0], [-1.0, 1.0]]), S)
    assert violation[0] == violation[1] > 0


def test_a_violation_does_not_count_more_for_its_unit() -> None:
    C = np.array([[0.2, -1.0], [-0.5, 0.2], [0.4, 0.4]])
    assert total_violation(C * [1.0, 1e6], S) == pytest.approx(total_violation(C, S))


@given(values)
def test_scaled_constraints_keep_sign_and_order(c: np.ndarray) -> None:
    z = scale_constraint(c, S)
    assert np.isfinite(z).all()
    assert ((z > 0) <= (c > 0)).all() and ((z < 0) <= (c < 0)).all()
    assert (np.diff(z[np.argsort(c, kind="stable")]) >= -ROUNDING).all()


@pytest.mark.parametrize("n_ulp", [1, 2])
def test_neighbouring_values_keep_their_order_up_to_rounding(n_ulp: int) -> None:
    c = np.array([1000.0, 590612296388.4038, 679809192763.0, 1.0, 1.0 + n_ulp * np.finfo(float).eps])
    for z in (scale_constraint(c, S), scale_objective(c, 1e6)):
        assert (np.diff(z[np.argsort(c, kind="stable")]) >= -ROUNDING).all()


def test_scaled_constraints_do_not_depend_on_the_unit() -> None:
    c = np.array([-0.1, 0.2, 0.9, 0.5])
    assert scale_constraint(1e8 * c, S) == pytest.approx(scale_constraint(c, S))
