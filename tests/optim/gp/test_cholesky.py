"""A factor in blocks against NumPy's of the whole covariance."""

from __future__ import annotations

import numpy as np
import pytest

from snnhpo_mpi.optim.gp.cholesky import Factor

A = np.random.default_rng(0).random((9, 9))
K = A @ A.T + np.eye(9)
L = np.linalg.cholesky(K)


@pytest.mark.parametrize("a", [9, 6, 1])
@pytest.mark.parametrize("shape", [(9,), (9, 4)])
def test_solves_are_those_of_the_whole_factor(a: int, shape: tuple[int, ...]) -> None:
    factor = Factor(L[:a, :a], L[a:, :a], L[a:, a:])
    sides = np.random.default_rng(1).random(shape)
    assert len(factor) == 9
    assert factor.forward(sides) == pytest.approx(np.linalg.solve(L, sides))
    assert factor.backward(sides) == pytest.approx(np.linalg.solve(L.T, sides))
    assert factor.solved(sides) == pytest.approx(np.linalg.solve(K, sides))
    assert factor.lower_rows(sides) == pytest.approx((L @ sides)[a:])
    assert factor.inverse() == pytest.approx(np.linalg.inv(L))


def test_a_factor_of_one_block_has_no_rows_after_it() -> None:
    factor = Factor.whole(L)
    assert len(factor) == 9
    assert factor.lower_rows(np.ones(9)).shape == (0,)
    assert factor.solved(np.ones(9)) == pytest.approx(np.linalg.solve(K, np.ones(9)))
