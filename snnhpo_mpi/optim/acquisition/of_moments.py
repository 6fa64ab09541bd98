"""Acquisitions that are a formula of the posterior's means and variances; a new one needs no gradient by hand.

    a(z) = formula(mean(z), variance(z), best)
    da/dz = sum_j  da/dmean_j dmean_j/dz + da/dvariance_j dvariance_j/dz

The models give the moments and their gradients (``gp/batched.py``), the formula its own derivatives: by hand where that
is worth it, else by automatic differentiation over the few moments. ``table.py`` has the names.

Notation
    r points    d columns    q outputs: the objective, then the constraints and failure    Z  r x d
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Box, Surrogate
from snnhpo_mpi.optim.acquisition.log_cei import log_cei, log_cei_slopes
from snnhpo_mpi.optim.gp.batched import Moments
from snnhpo_mpi.optim.gp.conditioning import near
from snnhpo_mpi.optim.gp.posterior import Posterior
from snnhpo_mpi.optim.mixed_climb import climb_mixed
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.settings import DEFAULTS, LocalSearchSettings

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Formula:
    """An acquisition.

    Attributes:
        value: means and variances ``q x r``, and the objective's mean at the incumbent -> values ``r``.
        slopes: the same -> values ``r``, and their derivatives by means and by variances, each ``q x r``.
    """

    value: Callable[[Array, Array, float], Array]
    slopes: Callable[[Array, Array, float], tuple[Array, Array, Array]]


def by_autograd(formula: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]) -> Formula:
    """An acquisition from a formula of tensors, which PyTorch differentiates."""

    def value(means: Array, variances: Array, best: float) -> Array:
        with torch.no_grad():
            values: Array = formula(torch.from_numpy(means), torch.from_numpy(variances), best).numpy()
        return values

    def slopes(means: Array, variances: Array, best: float) -> tuple[Array, Array, Array]:
        mean, variance = (torch.from_numpy(part).requires_grad_() for part in (means, variances))
        values = formula(mean, variance, best)
        by_mean, by_variance = torch.autograd.grad(values.sum(), (mean, variance), materialize_grads=True)
        return values.detach().numpy(), by_mean.numpy(), by_variance.numpy()

    return Formula(value, slopes)


FEASIBILITY = Formula(
    lambda means, variances, best: log_cei(means, variances, None),
    lambda means, variances, best: log_cei_slopes(means, variances, None),
)


@dataclass(frozen=True, slots=True)
class OfMoments:
    """A formula of given posteriors.

    Attributes:
        formula: the acquisition.
        outputs: the posteriors.
        coarse: the same, cheaper: candidates are screened and climb by them.
        best: the objective's mean at the incumbent, in units of the model.
        search: settings of the climb.
    """

    formula: Formula
    outputs: Surrogate
    coarse: Surrogate
    best: float
    search: LocalSearchSettings = DEFAULTS.local_search

    def __call__(self, Z: Array, coarse: bool = False) -> Array:
        """Values ``r``."""
        return self.formula.value(*(self.coarse if coarse else self.outputs)(Z), self.best)

    def screened(self, X: Array, n: int) -> Array:
        """The n best rows of X in order, as the cheaper models see it."""
        return X[np.argsort(-self(X, coarse=True), kind="stable")[:n]]

    def best_first(self, X: Array) -> Array:
        """The rows of X in order, the best first."""
        return X[np.argsort(-self(X), kind="stable")]

    def climbed(self, X: Array, box: Box, n_evaluations: int) -> Array:
        """Higher points of the box, from the starts X, by the cheaper models."""
        return climb_mixed([self], X, box, n_evaluations, self.search)

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``, of the cheaper models."""
        means, variances, of_means, of_variances = self.coarse.with_gradients(Z)
        total, by_mean, by_variance = self.formula.slopes(means, variances, self.best)
        gradient: Array = (by_mean[:, :, None] * of_means).sum(axis=0)  # q x r x d -> r x d
        gradient += (by_variance[:, :, None] * of_variances).sum(axis=0)
        return total, gradient


def of_moments(
    formula: Formula,
    posteriors: list[Posterior | None],
    known: Told,
    center: Array,
    n_near: int,
    search: LocalSearchSettings = DEFAULTS.local_search,
) -> OfMoments:
    """An acquisition over the best feasible trial's mean, or over that of a better one that is pending.

    Over a pending trial only as far as it is believed, and believed feasible: else the next trials would go where it
    goes. While no trial was feasible, the probability of being feasible instead.

    Args:
        formula: the acquisition.
        posteriors: of all outputs.
        known: the answers that they were made of.
        center: ``d``; candidates near it are screened and climb by the models of its neighbourhood.
        n_near: trials that make up the neighbourhood.
        search: settings of the climb.
    """
    objective = posteriors[0]
    if objective is None or not known.feasible.any():
        formula, best, posteriors = FEASIBILITY, -np.inf, posteriors[1:]
    else:
        means = objective.mean_at_told()[known.feasible[known.scored]]
        best = max(float(means.max()), best_believed(posteriors))
    used = [posterior for posterior in posteriors if posterior]
    coarse = Moments([near(posterior, center, n_near) for posterior in used], inverted=True)
    return OfMoments(formula, Moments(used), coarse, best, search)


def best_believed(posteriors: list[Posterior | None]) -> float:
    """Largest mean of the objective at the pending trials whose constraints' means hold; -inf without one.

    Args:
        posteriors: of all outputs, that of the objective among them.
    """
    objective, *constraints = [posterior.mean_at_pending() for posterior in posteriors if posterior]
    holds = np.all([mean <= 0.0 for mean in constraints], axis=0) if constraints else np.isfinite(objective)
    return float(objective[holds].max(initial=-np.inf))
