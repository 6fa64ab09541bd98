"""Thompson sampling: one joint draw of all outputs decides.

The best point has the largest drawn objective among points whose drawn constraints are all <= 0, else the least total
violation (clipped: slack in one constraint pays for no other). A draw is a smooth function with a gradient, so that the
best candidates can be moved uphill (``local_search.py``).

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO), section 3.

Notation
    r points    d columns    q outputs, m of them constraints    Z  r x d
    F  r  sampled objective    G  r x m  sampled constraints
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Box
from snnhpo_mpi.optim.gp.batched import OneByOne, Paths
from snnhpo_mpi.optim.gp.posterior import Posterior
from snnhpo_mpi.optim.mixed_climb import climb_mixed
from snnhpo_mpi.optim.settings import DEFAULTS, LocalSearchSettings, ThompsonSettings

Array = NDArray[np.float64]


class Functions(Protocol):
    """Functions of a point, one an output."""

    def __call__(self, Z: Array) -> Array:
        """Values ``q x r``."""
        ...

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``q x r`` and gradients ``q x r x d``."""
        ...


@dataclass(frozen=True, slots=True)
class Draw:
    """One joint draw of all outputs.

    Attributes:
        outputs: the objective, if any trial has a score, and the constraints.
        coarse: values of the same in single precision.
        scored: whether the objective is there.
        settings: of what is climbed.
        search: settings of the climb.
    """

    outputs: Functions
    coarse: Callable[[Array], Array]
    scored: bool
    settings: ThompsonSettings
    search: LocalSearchSettings = DEFAULTS.local_search

    def values(self, Z: Array, coarse: bool = False) -> tuple[Array, Array]:
        """(F ``r``, G ``r x m``); without an objective F is the depth inside the feasible region."""
        values = (self.coarse if coarse else self.outputs)(Z)
        if self.scored:
            return values[0], values[1:].T
        return -values.max(axis=0), values.T

    def screened(self, X: Array, n: int) -> Array:
        """The n best rows of X in order, as single precision sees it."""
        return X[order(*self.values(X, coarse=True))[:n]]

    def best_first(self, X: Array) -> Array:
        """The rows of X in order, the best first."""
        return X[order(*self.values(X))]

    def climbed(self, X: Array, box: Box, n_evaluations: int) -> Array:
        """Higher points of the box, from the starts X."""
        return climb_mixed(self.merits(), X, box, n_evaluations, self.search)

    def merits(self) -> list[Depth | Penalised]:
        """What is climbed, one after the other: the penalised objective, or the depth while there is none."""
        if not self.scored:
            return [Depth(self.outputs, self.settings.sharpness)]
        return [Penalised(self.outputs, penalty, self.settings.margin) for penalty in self.settings.penalties]


@dataclass(frozen=True, slots=True)
class Penalised:
    """A drawn objective, the first of the outputs, less ``penalty`` times the squared violations of ``-margin``."""

    outputs: Functions
    penalty: float
    margin: float

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        values, gradients = self.outputs.value_and_gradient(Z)
        excess = np.maximum(values[1:] + self.margin, 0.0)
        total = values[0] - self.penalty * (excess * excess).sum(axis=0)
        pull = (2.0 * self.penalty * excess)[:, :, None] * gradients[1:]
        return total, gradients[0] - pull.sum(axis=0)


@dataclass(frozen=True, slots=True)
class Depth:
    """Minus the smooth maximum of drawn constraints."""

    constraints: Functions
    sharpness: float

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        G, slopes = self.constraints.value_and_gradient(Z)
        G = self.sharpness * G
        top = G.max(axis=0)
        share = np.exp(G - top)
        total = share.sum(axis=0)
        gradient: Array = -np.einsum("mr,mrd->rd", share / total, slopes)
        return -(top + np.log(total)) / self.sharpness, gradient


def order(F: Array, G: Array) -> NDArray[np.intp]:
    """Rows from best to worst by the rule of the draw."""
    violation = np.maximum(G, 0.0).sum(axis=1)
    return np.lexsort((-F, violation))


def temperature(n_pending: int, settings: ThompsonSettings) -> float:
    """What remains of a draw's spread: trials that are out together differ already, the more the more there are."""
    return max(settings.least_temperature, 1.0 / math.sqrt(1.0 + n_pending / settings.pending_unit))


def draw(
    posteriors: list[Posterior | None],
    rng: np.random.Generator,
    temperature: float,
    settings: ThompsonSettings,
    search: LocalSearchSettings = DEFAULTS.local_search,
) -> Draw:
    """One joint draw; the outputs are independent.

    Args:
        posteriors: of all outputs.
        rng: where it comes from.
        temperature: what its deviations from the means are multiplied by.
        settings: of what is climbed.
        search: settings of the climb.
    """
    paths = [posterior.draw(rng, temperature) for posterior in posteriors if posterior]
    return Draw(Paths(paths), OneByOne(paths), posteriors[0] is not None, settings, search)
