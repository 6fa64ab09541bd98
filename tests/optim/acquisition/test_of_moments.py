"""Acquisitions of means and variances: over which trial they improve, and gradients that nobody wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from known_functions import DISC, PEAK, UNIT, Functions, Normals, assert_gradients

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.optim.acquisition.of_moments import OfMoments, best_believed, by_autograd, of_moments
from snnhpo_mpi.optim.acquisition.table import ACQUISITIONS
from snnhpo_mpi.optim.gp.refit import Models
from snnhpo_mpi.optim.local_search import climb
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.settings import DEFAULTS, changed
from snnhpo_mpi.space import Space


def optimistic(means: torch.Tensor, variances: torch.Tensor, best: float) -> torch.Tensor:
    """Upper confidence bound of the objective, less a penalty where the constraint's mean is above 0."""
    return means[0] + 2.0 * variances[0].sqrt() - 1e3 * means[1:].clamp(min=0.0).square().sum(dim=0)


def test_a_formula_of_tensors_needs_no_gradient_by_hand() -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.02, 0.03))
    worth = OfMoments(by_autograd(optimistic), outputs, outputs, 0.0)
    Z = np.array([[0.4, 0.6], [0.9, 0.1]])
    assert_gradients(worth, Z)
    assert worth.value_and_gradient(Z)[0] == pytest.approx(worth(Z))
    found = climb(worth, Z, *UNIT, 60, DEFAULTS.local_search)
    assert found == pytest.approx(np.array([[0.5, 0.5]] * 2), abs=0.01)
    assert (worth.best_first(Z) == Z).all()


def test_an_unknown_acquisition_is_answered_with_the_known_ones() -> None:
    space = Space({"x": {"type": "float", "low": 0, "high": 1}})
    with pytest.raises(ConfigError, match="acquisition: 'ei' is unknown; allowed: log_cei"):
        ScboSearch(space, 0, 0, 4, changed(["acquisition=ei"]))


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
    answers = Told(X, X[:, :1], X[:, 1:] - 0.5, np.zeros(12, dtype=bool), np.ones(12))
    models, nothing = Models(np.arange(2), 1, DEFAULTS), np.zeros((0, 2))
    feasible = answers.X[answers.feasible]
    center = feasible[feasible[:, 0].argmax()]
    pending = np.array([[1.0, 0.1], [1.0, 0.9]])  # better than all told, one feasible
    formula, posteriors = ACQUISITIONS["log_cei"], models.posteriors(answers, pending)
    assert posteriors[0] is not None
    best = of_moments(formula, posteriors, models.known(answers), center, 200).best
    assert best == pytest.approx(posteriors[0].mean_at_pending()[0])
    without = of_moments(formula, models.posteriors(answers, nothing), models.known(answers), center, 200).best
    assert best is not None and without is not None and best > without + 0.01
