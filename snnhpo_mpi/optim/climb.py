"""From candidates to a proposal: the best of many points, moved uphill in the region.

All starts climb at once, as one problem of r d variables (SciPy's L-BFGS-B on the sum): the models are then evaluated
for all of them in one product. Ints climb as floats and are rounded at the end; categoricals stay.

Notation
    r starts    d columns    X  r x d
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
MAX_STEPS = 50
TOLERANCE = 1e-9  # relative gain of the sum of the merits at which the climb ends; one hopeless start makes it huge


class Merit(Protocol):
    """A smooth function of a point."""

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        ...


def climb(merit: Merit, X: Array, lower: Array, upper: Array) -> Array:
    """Local maxima ``r x d`` of a merit in a box, from each of the starts X.

    Args:
        merit: what is climbed.
        X: starts; one outside the box widens it for itself.
        lower: corners, ``d`` or ``r x d``; a column with lower = upper stays.
        upper: corners, as ``lower``.
    """
    lower, upper = np.minimum(lower, X), np.maximum(upper, X)

    def cost(flat: Array) -> tuple[float, Array]:
        value, gradient = merit.value_and_gradient(flat.reshape(X.shape))
        return -float(value.sum()), -gradient.ravel()

    bounds = np.stack([lower.ravel(), upper.ravel()], axis=1)
    result = minimize(
        cost, X.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": MAX_STEPS, "ftol": TOLERANCE}
    )
    moved = np.clip(result.x.reshape(X.shape), lower, upper)
    return np.where(np.isfinite(moved).all(axis=1)[:, None], moved, X)
