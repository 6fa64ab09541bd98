"""Candidate points in the trust region: Sobol points of which each keeps most of the centre's values.

Source: Eriksson & Poloczek, AISTATS 2021, section 3 and Regis & Shoemaker 2013 (perturb only some coordinates). The
published probability min(20/d, 1) perturbs everything up to d = 20; here each candidate draws its own probability,
log-uniform between one hyperparameter and all, so that line searches and free moves are both there in every dimension.

Notation
    r candidates    d columns    h hyperparameters    X  r x d, representable points of [0, 1]^d
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.sobol import row_key, sobol_points
from snnhpo_mpi.space import Space

Array = NDArray[np.float64]


def column_groups(space: Space) -> NDArray[np.intp]:
    """``d`` index of the hyperparameter that each column belongs to."""
    widths = [space.columns[name].stop - space.columns[name].start for name in space.names]
    return np.repeat(np.arange(len(widths)), widths)


def perturbation_mask(r: int, h: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """``r x h``: which hyperparameters each candidate moves; at least one, on average from 1 to all of them."""
    probability = float(h) ** -rng.random((r, 1))
    mask = rng.random((r, h)) < probability
    empty = ~mask.any(axis=1)
    mask[empty, rng.integers(h, size=int(empty.sum()))] = True
    return mask


def widened(space: Space, center: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The box with room for at least the neighbours of each int; categoricals and what the centre lacks are free."""
    lower, upper = lower.copy(), upper.copy()
    for column in space.integer_columns:
        below, above = space.int_room(column, float(center[column]))
        lower[column], upper[column] = min(lower[column], below), max(upper[column], above)
    for block in space.onehot_blocks:
        lower[list(block)], upper[list(block)] = 0.0, 1.0
    there = space.existing(center[None])[0]
    return np.where(there, lower, 0.0), np.where(there, upper, 1.0)


def draw_candidates(space: Space, center: Array, lower: Array, upper: Array, r: int, rng: np.random.Generator) -> Array:
    """Candidates ``r x d`` of the box around ``center``; a perturbed categorical takes any choice.

    A hyperparameter that does not exist at the centre has no value to keep there: it takes any where it comes to exist.
    """
    lower, upper = widened(space, center, lower, upper)
    points = lower + (upper - lower) * sobol_points(r, space.dim, rng)
    groups = column_groups(space)
    there = np.array([space.exists(name, center[None])[0] for name in space.names])
    moved = np.ones((r, len(there)), dtype=np.bool_)
    moved[:, there] = perturbation_mask(r, int(there.sum()), rng)
    return space.snap(np.where(moved[:, groups], points, center))


def first_unseen(X: Array, seen: Collection[bytes]) -> Array | None:
    """First row ``d`` of X that was neither told nor is pending, if any."""
    return next((x for x in X if row_key(x) not in seen), None)


def nearest(X: Array, center: Array, r: int) -> Array:
    """The r rows of X that are nearest to ``center``, in their own order."""
    if len(X) <= r:
        return X
    distance = np.abs(X - center).sum(axis=1)
    return X[np.sort(np.argsort(distance, kind="stable")[:r])]
