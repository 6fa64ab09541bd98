"""Constrained expected improvement, with posteriors whose best point is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from known_functions import DISC, PEAK, UNIT, Functions, Normals, assert_gradients
from scipy.integrate import quad
from scipy.stats import norm

from snnhpo_mpi.optim.acquisition.log_cei import log_cei, log_cei_slopes, log_h
from snnhpo_mpi.optim.acquisition.of_moments import FEASIBILITY, OfMoments, by_autograd
from snnhpo_mpi.optim.acquisition.table import ACQUISITIONS
from snnhpo_mpi.optim.local_search import climb
from snnhpo_mpi.optim.settings import DEFAULTS


def test_the_logarithm_of_the_gain_is_that_of_its_integral_and_has_no_step() -> None:
    for u in (-4.0, -1.01, -0.99, 0.0, 2.5):
        gain = quad(lambda z, u=u: max(u + z, 0.0) * norm.pdf(z), -u, 40.0)[0]
        assert log_h(np.array([u]))[0] == pytest.approx(np.log(gain), rel=1e-6)
    edge = log_h(np.array([-30.0 - 1e-9, -30.0 + 1e-9]))  # where the series begins
    assert edge[0] - edge[1] == pytest.approx(-2e-9 * 30.07, abs=1e-8)
    u = np.linspace(-40.0, 3.0, 20_001)
    assert np.abs(np.diff(log_h(u), 2)).max() < 1e-4
    assert np.isfinite(log_h(np.array([-1e8, -1e150]))).all()


def test_improvement_is_the_product_of_the_gain_and_the_probabilities() -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.0, 0.0))
    z = np.array([[0.4, 0.5]])
    expected = np.log(0.2) + log_h(np.array([(-0.16 + 0.3) / 0.2]))[0] + norm.logcdf(0.03 / 0.1)
    assert OfMoments(ACQUISITIONS["log_cei"], outputs, outputs, -0.3)(z)[0] == pytest.approx(expected)


def test_without_a_best_value_the_safest_point_wins() -> None:
    outputs = Normals(Functions((DISC,)), (0.01,), (0.0,))
    found = climb(
        OfMoments(FEASIBILITY, outputs, outputs, 0.0), np.array([[0.7, 0.9]]), *UNIT, 40, DEFAULTS.local_search
    )
    assert found[0] == pytest.approx([0.3, 0.5], abs=1e-2)


@pytest.mark.parametrize("best", [-0.5, 3.0, None])
def test_the_gradients_agree_with_finite_differences(best: float | None) -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.02, 0.03))
    Z = np.array([[0.4, 0.6], [0.9, 0.1]])
    formula = FEASIBILITY if best is None else ACQUISITIONS["log_cei"]
    worth = OfMoments(formula, outputs, outputs, best or 0.0)
    assert_gradients(worth, Z)
    assert worth.value_and_gradient(Z)[0] == pytest.approx(worth(Z))


def log_cei_of_tensors(means: torch.Tensor, variances: torch.Tensor, best: float) -> torch.Tensor:
    """The formula as it stands, without care for the tails."""
    deviations = variances.sqrt()
    u = (means[0] - best) / deviations[0]
    gain = torch.exp(-0.5 * u**2) / math.sqrt(2.0 * math.pi) + u * torch.special.ndtr(u)
    return (gain * deviations[0]).log() + torch.special.log_ndtr(-means[1:] / deviations[1:]).sum(dim=0)


def test_values_and_slopes_by_hand_are_those_of_automatic_differentiation() -> None:
    rng = np.random.default_rng(0)
    means, variances = rng.standard_normal((3, 50)), 0.1 + rng.random((3, 50))
    oracle = by_autograd(log_cei_of_tensors)
    assert log_cei(means, variances, 0.5) == pytest.approx(oracle.value(means, variances, 0.5))
    for ours, expected in zip(log_cei_slopes(means, variances, 0.5), oracle.slopes(means, variances, 0.5), strict=True):
        assert ours == pytest.approx(expected)
