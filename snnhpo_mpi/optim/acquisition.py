"""Constrained Thompson sampling: the best point of one joint draw of objective and constraints.

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO), section 3: among candidates whose sampled constraints are all <= 0 the
largest sampled objective, else the least total violation (clipped: slack in one constraint pays for no other). The best
candidates are then moved uphill on the same draw, which is a smooth function (SciPy's SLSQP).

Notation
    r candidates    d columns    m constraints    X  r x d    F  r sampled objective    G  r x m sampled constraints
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from snnhpo_mpi.optim.surrogate import Path

Array = NDArray[np.float64]
N_KEPT = 32  # candidates of the single-precision screening that are ranked again in double precision
MAX_STEPS = 30  # of one local search


@dataclass(frozen=True, slots=True)
class Draw:
    """One joint draw of all outputs; ``objective`` is None while no trial has a score."""

    objective: Path | None
    constraints: Sequence[Path]

    def values(self, X: Array) -> tuple[Array, Array]:
        """(F ``r``, G ``r x m``); without an objective F is the depth inside the feasible region."""
        G = np.stack([path(X) for path in self.constraints], axis=1) if self.constraints else np.zeros((len(X), 0))
        if self.objective is not None:
            return self.objective(X), G
        return -G.max(axis=1) if self.constraints else np.zeros(len(X)), G


def order(F: Array, G: Array) -> NDArray[np.intp]:
    """Rows from best to worst by the rule above."""
    violation = np.maximum(G, 0.0).sum(axis=1)
    return np.lexsort((-F, violation))


def screen(draw: Draw, X: Array) -> Array:
    """The best rows of X, best first: ranked in single, the top again in double precision."""
    coarse = order(*draw.values(X.astype(np.float32)))[:N_KEPT]
    top = X[coarse]
    return top[order(*draw.values(top))]


def climb(draw: Draw, x: Array, lower: Array, upper: Array, inside: bool) -> Array:
    """Local optimum of the draw in a box, from x.

    Args:
        draw: its objective is climbed under its constraints when ``inside``, else the depth: min t with all G <= t.
        x: start, ``d``.
        lower: corner of the box, ``d``; a column with lower = upper stays.
        upper: corner of the box, ``d``.
        inside: whether x satisfies the sampled constraints and there is an objective.
    """
    problem = _LocalProblem(draw, inside)
    lower, upper = np.minimum(lower, x), np.maximum(upper, x)
    start, bounds = x, np.stack([lower, upper], axis=1)
    if not inside:
        start = np.append(x, draw.values(x[None])[1].max())
        bounds = np.concatenate([bounds, [[-np.inf, np.inf]]])
    with warnings.catch_warnings():
        # SLSQP steps out of the bounds by rounding, clips, and says so.
        warnings.filterwarnings("ignore", "Values in x were outside bounds", RuntimeWarning)
        result = minimize(
            problem.cost,
            start,
            jac=True,
            method="SLSQP",
            bounds=bounds,
            constraints=problem.inequality(),
            options={"maxiter": MAX_STEPS},
        )
    moved: Array = np.clip(result.x[: len(x)], lower, upper)
    return moved if np.isfinite(moved).all() else x


class _LocalProblem:
    """A draw as SciPy wants it; the variable is x, or (x, t) when it minimises the depth t."""

    def __init__(self, draw: Draw, inside: bool) -> None:
        self._draw, self._inside = draw, inside

    def cost(self, x: Array) -> tuple[float, Array]:
        if not self._inside or self._draw.objective is None:
            gradient = np.zeros(len(x))
            gradient[-1] = 1.0
            return float(x[-1]), gradient
        value, gradient = self._draw.objective.value_and_gradient(x)
        return -value, -gradient

    def inequality(self) -> list[dict[str, object]]:
        """Slack t - G >= 0, where t = 0 when the objective is climbed; none without constraints."""
        if not self._draw.constraints:
            return []
        return [{"type": "ineq", "fun": lambda x: self._slack(x)[0], "jac": lambda x: self._slack(x)[1]}]

    def _slack(self, x: Array) -> tuple[Array, Array]:
        point, t = (x, 0.0) if self._inside else (x[:-1], float(x[-1]))
        pairs = [path.value_and_gradient(point) for path in self._draw.constraints]
        slack = t - np.array([value for value, _ in pairs])
        jacobian = -np.stack([gradient for _, gradient in pairs])
        return slack, jacobian if self._inside else np.column_stack([jacobian, np.ones(len(pairs))])
