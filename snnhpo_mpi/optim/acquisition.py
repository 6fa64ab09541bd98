"""What a point is worth: a joint draw of all outputs (Thompson sampling), or constrained expected improvement.

    draw          the largest sampled objective among points whose sampled constraints are all <= 0, else the least
                  total violation (clipped: slack in one constraint pays for no other)
    improvement   a(x) = log E[max(f(x) - best, 0)] + sum_j log P(c_j(x) <= 0); without ``best`` the last sum alone

Both are smooth functions with gradients, so that the best candidates can be moved uphill (``climb.py``).

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO), section 3; Gardner et al., ICML 2014 (constrained EI); Ament et al.,
NeurIPS 2023 (in logarithms, which keep a gradient where the product underflows).

Notation
    r points    d columns    m constraints    Z  r x d    F  r sampled objective    G  r x m sampled constraints
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

from snnhpo_mpi.optim.posterior import Path, Posterior

Array = NDArray[np.float64]
PENALTIES = (1e2, 1e4)  # times the squared sampled violation, one climb after the other: a stiff one alone stalls
MARGIN = 1e-3  # to which the constraints are met on the way, so that the end is inside
SHARPNESS = 10.0  # of the smooth maximum of the constraints
LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
TAIL = -30.0  # below it log h(u) is its asymptote; above it the difference in it keeps five digits


@dataclass(frozen=True, slots=True)
class Draw:
    """One joint draw of all outputs; ``objective`` is None while no trial has a score."""

    objective: Path | None
    constraints: Sequence[Path]

    def values(self, Z: Array) -> tuple[Array, Array]:
        """(F ``r``, G ``r x m``); without an objective F is the depth inside the feasible region."""
        G = np.stack([path(Z) for path in self.constraints], axis=1) if self.constraints else np.zeros((len(Z), 0))
        if self.objective is not None:
            return self.objective(Z), G
        return -G.max(axis=1) if self.constraints else np.zeros(len(Z)), G

    def merits(self) -> list[Depth | Penalised]:
        """What is climbed, one after the other: the penalised objective, or the depth while there is none."""
        if self.objective is None:
            return [Depth(self.constraints)] if self.constraints else []
        return [Penalised(self.objective, self.constraints, penalty) for penalty in PENALTIES]


@dataclass(frozen=True, slots=True)
class Penalised:
    """A drawn objective less ``penalty`` times the squared violations."""

    objective: Path
    constraints: Sequence[Path]
    penalty: float

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        value, gradient = self.objective.value_and_gradient(Z)
        for path in self.constraints:
            g, slope = path.value_and_gradient(Z)
            excess = np.maximum(g + MARGIN, 0.0)
            value = value - self.penalty * excess**2
            gradient = gradient - (2.0 * self.penalty * excess)[:, None] * slope
        return value, gradient


@dataclass(frozen=True, slots=True)
class Depth:
    """Minus the smooth maximum of drawn constraints."""

    constraints: Sequence[Path]

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        pairs = [path.value_and_gradient(Z) for path in self.constraints]
        G = SHARPNESS * np.stack([g for g, _ in pairs])
        top = G.max(axis=0)
        share = np.exp(G - top)
        total = share.sum(axis=0)
        gradient: Array = -np.einsum("mr,mrd->rd", share / total, np.stack([slope for _, slope in pairs]))
        return -(top + np.log(total)) / SHARPNESS, gradient


def order(F: Array, G: Array) -> NDArray[np.intp]:
    """Rows from best to worst by the rule of the draw."""
    violation = np.maximum(G, 0.0).sum(axis=1)
    return np.lexsort((-F, violation))


@dataclass(frozen=True, slots=True)
class Improvement:
    """Logarithm of the constrained expected improvement over ``best``.

    Attributes:
        objective: its posterior; None to look for feasibility alone.
        best: the objective's mean at the incumbent, in units of the model.
        constraints: their posteriors.
    """

    objective: Posterior | None
    best: float
    constraints: Sequence[Posterior]

    def __call__(self, Z: Array) -> Array:
        """Values ``r``."""
        total = np.zeros(len(Z))
        if self.objective is not None:
            mean, variance = self.objective.moments(Z)
            deviation = np.sqrt(variance)
            total += log_h((mean - self.best) / deviation) + np.log(deviation)
        for posterior in self.constraints:
            mean, variance = posterior.moments(Z)
            total += log_ndtr(-mean / np.sqrt(variance))
        return total

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        total, gradient = np.zeros(len(Z)), np.zeros_like(Z)
        if self.objective is not None:
            mean, deviation, by_mean, by_deviation = _deviations(self.objective, Z)
            u = (mean - self.best) / deviation
            log_gain = log_h(u)
            slope = np.exp(log_ndtr(u) - log_gain)  # d log h / du
            total += log_gain + np.log(deviation)
            gradient += (slope[:, None] * (by_mean - u[:, None] * by_deviation) + by_deviation) / deviation[:, None]
        for posterior in self.constraints:
            mean, deviation, by_mean, by_deviation = _deviations(posterior, Z)
            u = -mean / deviation
            log_probability = log_ndtr(u)
            slope = np.exp(-0.5 * u * u - LOG_SQRT_2PI - log_probability)
            total += log_probability
            gradient -= slope[:, None] * (by_mean + u[:, None] * by_deviation) / deviation[:, None]
        return total, gradient


def _deviations(posterior: Posterior, Z: Array) -> tuple[Array, Array, Array, Array]:
    """Mean ``r``, standard deviation ``r`` and their gradients ``r x d``."""
    mean, variance, by_mean, by_variance = posterior.moments_and_gradients(Z)
    deviation = np.sqrt(variance)
    return mean, deviation, by_mean, by_variance / (2.0 * deviation[:, None])


def log_h(u: Array) -> Array:
    """log(phi(u) + u Phi(u)): the logarithm of the expected improvement of a normal of unit deviation.

    Below -1 the sum cancels: there phi(u) (1 + u Phi(u) / phi(u)) by the scaled error function, whose bracket tends to
    1 / u^2 - 3 / u^4.
    """
    near = np.maximum(u, -1.0)
    above = np.log(np.exp(-0.5 * near**2 - LOG_SQRT_2PI) + near * np.exp(log_ndtr(near)))
    far = np.clip(u, TAIL, -1.0)
    bracket = 1.0 + far * np.sqrt(0.5 * np.pi) * erfcx(-far / np.sqrt(2.0))
    squared = np.square(np.minimum(u, TAIL))
    bracket = np.where(u < TAIL, (1.0 - 3.0 / squared) / squared, bracket)
    log_value: Array = np.where(u > -1.0, above, -0.5 * u * u - LOG_SQRT_2PI + np.log(bracket))
    return log_value
