"""What a point is worth: a joint draw of all outputs (Thompson sampling), or constrained expected improvement.

    draw          the largest sampled objective among points whose sampled constraints are all <= 0, else the least
                  total violation (clipped: slack in one constraint pays for no other)
    improvement   a(x) = log E[max(f(x) - best, 0)] + sum_j log P(c_j(x) <= 0); without ``best`` the last sum alone

Both are smooth functions with gradients, so that the best candidates can be moved uphill (``climb.py``).

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO), section 3; Gardner et al., ICML 2014 (constrained EI); Ament et al.,
NeurIPS 2023 (in logarithms, which keep a gradient where the product underflows).

Notation
    r points    d columns    q outputs, m of them constraints    Z  r x d
    F  r  sampled objective    G  r x m  sampled constraints
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

Array = NDArray[np.float64]
PENALTIES = (1e2, 1e4)  # times the squared sampled violation, one climb after the other: a stiff one alone stalls
MARGIN = 1e-3  # to which the constraints are met on the way, so that the end is inside
N_SCREENED = 32  # candidates that are ranked by all there is
SHARPNESS = 10.0  # of the smooth maximum of the constraints
LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
TAIL = -30.0  # below it log h(u) is its asymptote; above it the difference in it keeps five digits


class Functions(Protocol):
    """Functions of a point, one an output."""

    def __call__(self, Z: Array) -> Array:
        """Values ``q x r``."""
        ...

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``q x r`` and gradients ``q x r x d``."""
        ...


class Normals(Protocol):
    """Normal distributions at a point, one an output."""

    def __call__(self, Z: Array) -> tuple[Array, Array]:
        """Means and variances, each ``q x r``."""
        ...

    def with_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and variances ``q x r``, then their gradients ``q x r x d``."""
        ...


@dataclass(frozen=True, slots=True)
class Draw:
    """One joint draw of all outputs.

    Attributes:
        outputs: the objective, if any trial has a score, and the constraints.
        coarse: values of the same in single precision.
        scored: whether the objective is there.
    """

    outputs: Functions
    coarse: Callable[[Array], Array]
    scored: bool

    def values(self, Z: Array, coarse: bool = False) -> tuple[Array, Array]:
        """(F ``r``, G ``r x m``); without an objective F is the depth inside the feasible region."""
        values = (self.coarse if coarse else self.outputs)(Z)
        if self.scored:
            return values[0], values[1:].T
        return -values.max(axis=0), values.T

    def screened(self, X: Array) -> Array:
        """The ``N_SCREENED`` best rows of X in order, as single precision sees it."""
        return X[order(*self.values(X, coarse=True))[:N_SCREENED]]

    def best_first(self, X: Array) -> Array:
        """The rows of X in order, the best first."""
        return X[order(*self.values(X))]

    def merits(self) -> list[Depth | Penalised]:
        """What is climbed, one after the other: the penalised objective, or the depth while there is none."""
        if not self.scored:
            return [Depth(self.outputs)]
        return [Penalised(self.outputs, penalty) for penalty in PENALTIES]


@dataclass(frozen=True, slots=True)
class Penalised:
    """A drawn objective, the first of the outputs, less ``penalty`` times the squared violations."""

    outputs: Functions
    penalty: float

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        values, gradients = self.outputs.value_and_gradient(Z)
        excess = np.maximum(values[1:] + MARGIN, 0.0)
        total = values[0] - self.penalty * (excess * excess).sum(axis=0)
        pull = (2.0 * self.penalty * excess)[:, :, None] * gradients[1:]
        return total, gradients[0] - pull.sum(axis=0)


@dataclass(frozen=True, slots=True)
class Depth:
    """Minus the smooth maximum of drawn constraints."""

    constraints: Functions

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        G, slopes = self.constraints.value_and_gradient(Z)
        G = SHARPNESS * G
        top = G.max(axis=0)
        share = np.exp(G - top)
        total = share.sum(axis=0)
        gradient: Array = -np.einsum("mr,mrd->rd", share / total, slopes)
        return -(top + np.log(total)) / SHARPNESS, gradient


def order(F: Array, G: Array) -> NDArray[np.intp]:
    """Rows from best to worst by the rule of the draw."""
    violation = np.maximum(G, 0.0).sum(axis=1)
    return np.lexsort((-F, violation))


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

    def screened(self, X: Array) -> Array:
        """The ``N_SCREENED`` best rows of X in order, as the cheaper models see it."""
        return X[np.argsort(-self(X, coarse=True), kind="stable")[:N_SCREENED]]

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
