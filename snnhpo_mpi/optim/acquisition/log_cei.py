"""Constrained expected improvement, in logarithms.

    a(x) = log E[max(f(x) - best, 0)] + sum_j log P(c_j(x) <= 0);     without ``best`` the last sum alone

It is smooth, so that the best candidates can be moved uphill (``local_search.py``).

Source: Gardner et al., ICML 2014 (constrained EI); Ament et al., NeurIPS 2023 (in logarithms, which keep a gradient
where the product underflows).

Notation
    r points    d columns    q outputs    Z  r x d
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

from snnhpo_mpi.optim.gp.batched import Moments
from snnhpo_mpi.optim.gp.conditioning import near
from snnhpo_mpi.optim.gp.posterior import Posterior
from snnhpo_mpi.optim.observations import Told

Array = NDArray[np.float64]
LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
TAIL = -30.0  # below it log h(u) is its asymptote; above it the difference in it keeps five digits


class Normals(Protocol):
    """Normal distributions at a point, one an output."""

    def __call__(self, Z: Array) -> tuple[Array, Array]:
        """Means and variances, each ``q x r``."""
        ...

    def with_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and variances ``q x r``, then their gradients ``q x r x d``."""
        ...


@dataclass(frozen=True, slots=True)
class Improvement:
    """Logarithm of the constrained expected improvement over ``best``.

    Attributes:
        outputs: posteriors of the objective, unless ``best`` is None, and of the constraints.
        coarse: the same, cheaper: candidates are screened and climb by them.
        best: the objective's mean at the incumbent, in units of the model; None to look for feasibility alone.
    """

    outputs: Normals
    coarse: Normals
    best: float | None

    def __call__(self, Z: Array, coarse: bool = False) -> Array:
        """Values ``r``."""
        means, variances = (self.coarse if coarse else self.outputs)(Z)
        deviations = np.sqrt(variances)
        first = self._n_objectives
        total: Array = log_ndtr(-means[first:] / deviations[first:]).sum(axis=0)
        if self.best is not None:
            total += log_h((means[0] - self.best) / deviations[0]) + np.log(deviations[0])
        return total

    def screened(self, X: Array, n: int) -> Array:
        """The n best rows of X in order, as the cheaper models see it."""
        return X[np.argsort(-self(X, coarse=True), kind="stable")[:n]]

    def best_first(self, X: Array) -> Array:
        """The rows of X in order, the best first."""
        return X[np.argsort(-self(X), kind="stable")]

    def merits(self) -> list[Improvement]:
        """What is climbed."""
        return [self]

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``, of the cheaper models."""
        means, variances, by_mean, by_variance = self.coarse.with_gradients(Z)
        deviations = np.sqrt(variances)
        first = self._n_objectives
        inside = -means
        if self.best is not None:
            inside[0] = means[0] - self.best
        u = inside / deviations
        log_probability = log_ndtr(u)
        total: Array = log_probability[first:].sum(axis=0)
        slope = np.exp(-0.5 * u * u - LOG_SQRT_2PI - log_probability)
        along_mean, along_deviation = -slope, -slope * u  # derivatives of the value, times the deviations
        if self.best is not None:
            log_gain = log_h(u[0])
            total += log_gain + np.log(deviations[0])
            along_mean[0] = np.exp(log_probability[0] - log_gain)  # d log h / du
            along_deviation[0] = 1.0 - along_mean[0] * u[0]
        gradient: Array = ((along_mean / deviations)[:, :, None] * by_mean).sum(axis=0)
        gradient += ((along_deviation / (2.0 * variances))[:, :, None] * by_variance).sum(axis=0)
        return total, gradient

    @property
    def _n_objectives(self) -> int:
        return 0 if self.best is None else 1


def log_h(u: Array) -> Array:
    """log(phi(u) + u Phi(u)): the logarithm of the expected improvement of a normal of unit deviation.

    Below -1 the sum cancels: there phi(u) (1 + u Phi(u) / phi(u)) by the scaled error function, whose bracket tends to
    1 / u^2 - 3 / u^4.
    """
    near = np.maximum(u, -1.0)
    log_value: Array = np.log(np.exp(-0.5 * near * near - LOG_SQRT_2PI) + near * ndtr(near))
    if (below := u <= -1.0).any():
        far = np.clip(u, TAIL, -1.0)
        bracket = 1.0 + far * np.sqrt(0.5 * np.pi) * erfcx(-far / np.sqrt(2.0))
        squared = np.square(np.minimum(u, TAIL))
        bracket = np.where(u < TAIL, (1.0 - 3.0 / squared) / squared, bracket)
        log_value = np.where(below, -0.5 * u * u - LOG_SQRT_2PI + np.log(bracket), log_value)
    return log_value


def improvement(posteriors: list[Posterior | None], known: Told, center: Array, n_near: int) -> Improvement:
    """Expected improvement over the best feasible trial's mean, or over a better one that is pending.

    Over a pending trial only as far as it is believed, and believed feasible: else the next trials would go where
    it goes. Of feasibility alone while no trial was feasible.

    Args:
        posteriors: of all outputs.
        known: the answers that they were made of.
        center: ``d``; candidates near it are screened and climb by the models of its neighbourhood.
        n_near: trials that make up the neighbourhood.
    """
    objective, best = posteriors[0], None
    if objective is not None and known.feasible.any():
        means = objective.mean_at_told()[known.feasible[known.scored]]
        best = max(float(means.max()), best_believed(posteriors))
    used = [posterior for posterior in posteriors[best is None :] if posterior]
    coarse = Moments([near(posterior, center, n_near) for posterior in used], inverted=True)
    return Improvement(Moments(used), coarse, best)


def best_believed(posteriors: list[Posterior | None]) -> float:
    """Largest mean of the objective at the pending trials whose constraints' means hold; -inf without one.

    Args:
        posteriors: of all outputs, that of the objective among them.
    """
    objective, *constraints = [posterior.mean_at_pending() for posterior in posteriors if posterior]
    holds = np.all([mean <= 0.0 for mean in constraints], axis=0) if constraints else np.isfinite(objective)
    return float(objective[holds].max(initial=-np.inf))
