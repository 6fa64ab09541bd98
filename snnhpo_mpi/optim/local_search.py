"""From candidates to a proposal: the best of many points, moved uphill in the region.

Every start climbs by itself, by BFGS steps that leave out the columns held at a bound; one evaluation of the models
serves a point of each start. (SciPy's L-BFGS-B on the sum of the merits has one step length and one curvature for all
starts: for the same merit it takes two to four times as many evaluations where constraints are steep.)

Source: Nocedal & Wright 2006 ("N&W"), equations 6.17 (BFGS, inverse form), 6.20 (its first matrix), 3.4 (sufficient
increase) and 3.58 (how far back); Bertsekas, SIAM J. Control Optim. 1982 (projected steps).

Notation
    r starts    d columns    X  r x d    H  r x d x d  inverse curvatures
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Merit
from snnhpo_mpi.optim.settings import LocalSearchSettings

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
LEAST_CURVATURE = 1e-10  # cosine between step and change of the gradient
TINY = 1e-300


def climb(
    merit: Merit, X: Array, lower: Array, upper: Array, n_evaluations: int, settings: LocalSearchSettings
) -> Array:
    """Higher points ``r x d`` of a merit in a box, from each of the starts X; none is lower than its start.

    Args:
        merit: what is climbed.
        X: starts; one outside the box widens it for itself.
        lower: corners, ``d`` or ``r x d``; a column with lower = upper stays.
        upper: corners, as ``lower``.
        n_evaluations: of the merit, for all starts at once.
        settings: of its steps.
    """
    lower, upper = np.minimum(lower, X), np.maximum(upper, X)
    reach = settings.first_reach * _length(upper - lower)
    at = X.copy()
    value, gradient = merit.value_and_gradient(at)
    H = np.zeros((*X.shape, X.shape[1]))
    curved = np.zeros(len(X), dtype=bool)  # whether H is known
    share = np.ones(len(X))  # of the step, shorter after each that fails
    climbing = np.isfinite(value) & np.isfinite(gradient).all(axis=1)
    for _ in range(n_evaluations - 1):
        if not climbing.any():
            break
        free = np.minimum(np.maximum(at + gradient, lower), upper) != at  # where it leads out of the box it is held
        uphill = np.where(free, gradient, 0.0)
        step = np.where(free, (H @ uphill[:, :, None])[:, :, 0], 0.0)
        curved &= np.vecdot(step, uphill) > 0
        if not curved.all():
            steepest = uphill * (reach / np.maximum(_length(uphill), TINY))[:, None]
            step = np.where(curved[:, None], step, steepest)
        there = np.minimum(np.maximum(at + share[:, None] * step, lower), upper)
        moved = there - at
        new_value, new_gradient = merit.value_and_gradient(there)
        gain, expected = new_value - value, np.vecdot(moved, gradient)
        taken = climbing & (gain >= settings.sufficient_gain * np.maximum(expected, 0.0))  # N&W 3.4, of a maximum
        taken &= np.isfinite(np.vecdot(moved, new_gradient))
        _learn(H, curved, moved, gradient - new_gradient, taken)
        curved &= expected > 0  # the box turned the step downhill: the next one is the steepest
        climbing &= ~(taken & (gain < settings.least_gain) & (share >= 1.0))
        # Where a penalty ends the merit is straight, and the curvature learnt inside it makes steps far too short.
        following = np.where(gain > settings.straight_gain * expected, settings.straight_factor * share, 1.0)
        if taken.all():
            share, at, value, gradient = following, there, new_value, new_gradient
        else:
            share = np.where(taken, following, share * _shortened(gain, expected))
            at, gradient = (np.where(taken[:, None], new, old) for new, old in ((there, at), (new_gradient, gradient)))
            value = np.where(taken, new_value, value)
        climbing &= share > settings.least_length
    return at


def _learn(H: Array, curved: Flags, s: Array, y: Array, taken: Flags) -> None:
    """BFGS (N&W 6.17, multiplied out): the inverse curvatures after steps s that changed the gradients by -y; in place.

    H + (1 + y'Hy / s'y) ss' / s'y - (Hy s' + s y'H) / s'y  =  H + s v' + v s'
    """
    product = np.vecdot(s, y)
    learning = taken & (product > LEAST_CURVATURE * np.sqrt(np.vecdot(s, s) * np.vecdot(y, y)))
    for row in np.flatnonzero(learning & ~curved):
        H[row] = np.eye(s.shape[1]) * (product[row] / max(float(y[row] @ y[row]), TINY))  # N&W 6.20
    curved |= learning
    if not learning.all():  # the others change by nothing, whatever their gradients are
        s, y = (np.where(learning[:, None], change, 0.0) for change in (s, y))
        product = np.where(learning, product, 1.0)
    Hy = (H @ y[:, :, None])[:, :, 0] / product[:, None]
    v = (0.5 / product * (1.0 + np.vecdot(y, Hy)))[:, None] * s - Hy
    half = s[:, :, None] * v[:, None, :]
    H += half
    H += half.transpose(0, 2, 1)


def _length(X: Array) -> Array:
    length: Array = np.sqrt(np.vecdot(X, X))
    return length


def _shortened(gain: Array, expected: Array) -> Array:
    """By how much a step that failed is shortened: to the top of the parabola (N&W 3.58), within bounds."""
    with np.errstate(invalid="ignore", divide="ignore"):
        top = expected / (2.0 * (expected - gain))
    return np.fmin(np.fmax(top, 0.1), 0.5)
