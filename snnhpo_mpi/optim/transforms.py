"""What the models see of objective and constraint values: monotone maps that tame outliers and keep the sign of c.

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO), section 3: Gaussian copula on the objective, bilog on constraints.

Notation
    n values      y  n  objective, larger is better      c  n  one constraint, feasible iff <= 0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

Array = NDArray[np.float64]

MEDIANS = 5.0  # violations up to so many medians stay nearly linear, so that a linear constraint is a linear model's


def copula(y: Array) -> Array:
    """Normal quantiles of the ranks; equal values stay equal, a constant becomes 0."""
    n = len(y)
    if n == 0:
        return np.zeros(0)
    quantiles: Array = ndtri((rankdata(y) - 0.5) / n)
    return quantiles


def bilog(c: Array) -> Array:
    """sign(c) log(1 + |c|): linear near 0, logarithmic far from it."""
    z: Array = np.sign(c) * np.log1p(np.abs(c))
    return z


def scale_constraint(c: Array) -> Array:
    """Bilog in units of the median size, then unit spread; 0 stays 0, so the feasible side is kept.

    The median makes the result independent of the constraint's unit; the spread suits the priors of the model.
    """
    size = np.abs(c)
    median = MEDIANS * float(np.median(size[size > 0])) if np.any(size > 0) else 1.0
    with np.errstate(over="ignore"):  # a huge value over a tiny median; clipped below
        z = bilog(np.clip(c / max(median, 1e-300), -1e300, 1e300))
    spread = float(z.std())
    return z / spread if spread > 1e-9 * max(1.0, float(np.abs(z).max(initial=0.0))) else z


def total_violation(C: Array) -> Array:
    """``n x m`` -> ``n``: sum of the clipped violations, bilog; slack in one pays for no other."""
    violation: Array = bilog(np.maximum(C, 0.0)).sum(axis=1)
    return violation
