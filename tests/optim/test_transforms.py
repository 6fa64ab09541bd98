"""Transforms keep order and sign."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhpo_mpi.optim.transforms import bilog, copula, scale_constraint, total_violation

values = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=30).map(np.array)


def test_the_copula_of_three_values_is_their_normal_quantiles() -> None:
    assert copula(np.array([5.0, -1e9, 7.0])) == pytest.approx([0.0, -0.967422, 0.967422], abs=1e-6)


def test_the_copula_of_a_constant_is_zero() -> None:
    assert copula(np.full(4, 3.0)).tolist() == [0.0] * 4


def test_bilog_is_odd_and_logarithmic() -> None:
    assert bilog(np.array([np.e - 1, 0.0, 1 - np.e])) == pytest.approx([1.0, 0.0, -1.0])


def test_slack_in_one_constraint_pays_for_no_other() -> None:
    assert total_violation(np.array([[-100.0, 1.0], [-1.0, 1.0]])) == pytest.approx([np.log(2.0)] * 2)


@given(values)
def test_scaled_constraints_keep_sign_and_order(c: np.ndarray) -> None:
    z = scale_constraint(c)
    assert np.isfinite(z).all()
    assert ((z > 0) <= (c > 0)).all() and ((z < 0) <= (c < 0)).all()
    assert (np.diff(z[np.argsort(c, kind="stable")]) >= 0).all()


def test_scaled_constraints_do_not_depend_on_the_unit() -> None:
    c = np.array([-0.1, 0.2, 0.9, 0.5])
    assert scale_constraint(1e8 * c) == pytest.approx(scale_constraint(c))
