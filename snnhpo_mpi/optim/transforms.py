"""What the models see of objective and constraint values: monotone maps that tame outliers and keep the sign of c.

The SCBO paper (Eriksson & Poloczek, AISTATS 2021, section 3) has a Gaussian copula on the objective, which forgets how
far values are apart, and bilog on constraints, whose tails can outweigh the neighbourhood of the boundary. These maps
measured better (results/reference/optimizer_ablations.md).

Notation
    n values      y  n  objective, larger is better      c  n  one constraint, feasible iff <= 0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TINY = 1e-300


def scale_objective(y: Array, largest: float) -> Array:
    """Linear above the median, logarithmic below it, then zero mean and unit spread.

    The better half keeps its distances, which is what locates an optimum; the worse half only needs its order, and may
    span orders of magnitude. The unit is the median's distance of the better half.

    Args:
        y: ``n``.
        largest: units at which values are cut.
    """
    if len(y) == 0:
        return np.zeros(0)
    middle = float(np.median(y))
    above = y[y > middle] - middle
    unit = float(np.median(above)) if len(above) else 1.0
    with np.errstate(over="ignore"):
        t = np.clip((y - middle) / max(unit, TINY), -1e300, largest)
    z = np.where(t >= 0.0, t, -np.log1p(-np.minimum(t, 0.0)))
    z -= z.mean()
    spread = float(z.std())
    return z / spread if spread > 1e-12 else np.zeros(len(y))


def saturate(c: Array, unit: Array | float, saturation: float) -> Array:
    """C in units of ``unit``, linear near 0 and never beyond +-S, the saturation: z / sqrt(1 + (z / S)^2)."""
    z: Array = c / np.hypot(unit, c / saturation)  # written so that no quotient overflows
    return z


def scale_constraint(c: Array, saturation: float) -> Array:
    """Saturated in units of the median size, then unit spread; 0 stays 0, so the feasible side is kept.

    The median makes the result independent of the constraint's unit, and sharpens the neighbourhood of the boundary
    as trials gather there; the spread suits the priors of the model.
    """
    z = saturate(c, median_size(c), saturation)
    spread = float(z.std())
    return z / spread if spread > 1e-9 else z


def median_size(c: Array) -> float:
    """Median of |c| without zeros; 1 if there is nothing else."""
    size = np.abs(c)[c != 0.0]
    return max(float(np.median(size)), TINY) if len(size) else 1.0


def total_violation(C: Array, saturation: float) -> Array:
    """``n x m`` -> ``n``: sum of the clipped violations, each as ``scale_constraint`` without the spread.

    Slack in one constraint pays for no other, and none counts more for its unit.
    """
    units = np.array([median_size(c) for c in C.T])
    violation: Array = saturate(np.maximum(C, 0.0), units, saturation).sum(axis=1)
    return violation
