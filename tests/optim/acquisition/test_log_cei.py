"""Constrained expected improvement, with posteriors whose best point is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from known_functions import DISC, PEAK, UNIT, Functions, Normals, assert_gradients
from scipy.integrate import quad
from scipy.stats import norm

from snnhpo_mpi.optim.acquisition.log_cei import Improvement, best_believed, improvement, log_h
from snnhpo_mpi.optim.gp.refit import Models
from snnhpo_mpi.optim.local_search import climb
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.settings import DEFAULTS


def test_the_logarithm_of_the_gain_is_that_of_its_integral_and_has_no_step() -> None:
    for u in (-4.0, -1.01, -0.99, 0.0, 2.5):
        gain = quad(lambda z, u=u: max(u + z, 0.0) * norm.pdf(z), -u, 40.0)[0]
        assert log_h(np.array([u]))[0] == pytest.approx(np.log(gain), rel=1e-6)
    u = np.linspace(-40.0, 3.0, 20_001)
    assert np.abs(np.diff(log_h(u), 2)).max() < 1e-4
    assert np.isfinite(log_h(np.array([-1e8, -1e150]))).all()


def test_improvement_is_the_product_of_the_gain_and_the_probabilities() -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.0, 0.0))
    z = np.array([[0.4, 0.5]])
    expected = np.log(0.2) + log_h(np.array([(-0.16 + 0.3) / 0.2]))[0] + norm.logcdf(0.03 / 0.1)
    assert Improvement(outputs, outputs, -0.3)(z)[0] == pytest.approx(expected)


def test_without_a_best_value_the_safest_point_wins() -> None:
    outputs = Normals(Functions((DISC,)), (0.01,), (0.0,))
    found = climb(Improvement(outputs, outputs, None), np.array([[0.7, 0.9]]), *UNIT, 40, DEFAULTS.local_search)
    assert found[0] == pytest.approx([0.3, 0.5], abs=1e-2)


@pytest.mark.parametrize("best", [-0.5, 3.0, None])
def test_the_gradients_agree_with_finite_differences(best: float | None) -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.02, 0.03))
    Z = np.array([[0.4, 0.6], [0.9, 0.1]])
    worth = Improvement(outputs, outputs, best)
    assert_gradients(worth, Z)
    assert worth.value_and_gradient(Z)[0] == pytest.approx(worth(Z))


@dataclass
class Believed:
    """A posterior that says what it believes of pending trials."""

    means: list[float]

    def mean_at_pending(self) -> Any:
        return np.array(self.means)


def test_the_best_pending_trial_is_believed_feasible_by_every_constraint() -> None:
    objective, first, second = Believed([0.9, 0.7, 0.8]), Believed([0.1, -0.2, -0.1]), Believed([-1.0, -1.0, 0.0])
    assert best_believed([objective, first, second]) == 0.8  # type: ignore[list-item]
    assert best_believed([objective, first, None, Believed([-1.0, -1.0, 1.0])]) == 0.7  # type: ignore[list-item]
    assert best_believed([objective, None]) == 0.9  # type: ignore[list-item]
    assert best_believed([objective, Believed([1.0, 1.0, 1.0])]) == -np.inf  # type: ignore[list-item]
    assert best_believed([Believed([]), Believed([])]) == -np.inf  # type: ignore[list-item]


def test_an_improvement_is_over_what_a_pending_trial_is_believed_to_give() -> None:
    X = np.random.default_rng(0).random((12, 2))
    answers = Told(X, X[:, 0], X[:, 1:] - 0.5, np.zeros(12, dtype=bool))
    models, nothing = Models(np.arange(2), 1, DEFAULTS), np.zeros((0, 2))
    feasible = answers.X[answers.feasible]
    center = feasible[feasible[:, 0].argmax()]
    pending = np.array([[1.0, 0.1], [1.0, 0.9]])  # better than all told, one feasible
    posteriors = models.posteriors(answers, pending)
    assert posteriors[0] is not None
    best = improvement(posteriors, models.known(answers), center, 200).best
    assert best == pytest.approx(posteriors[0].mean_at_pending()[0])
    without = improvement(models.posteriors(answers, nothing), models.known(answers), center, 200).best
    assert best is not None and without is not None and best > without + 0.01
