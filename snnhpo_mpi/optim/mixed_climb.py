"""A climb in a mixed space: choices stay as they are, ints are rounded, floats make good what the rounding spoilt.

A hyperparameter that does not exist at a point stays too; one that a rounded int brought about climbs after that.

Notation
    r starts    d columns    X  r x d
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Box, Merit
from snnhpo_mpi.optim.local_search import climb
from snnhpo_mpi.optim.settings import LocalSearchSettings
from snnhpo_mpi.space import Space

Array = NDArray[np.float64]


def climb_mixed(
    merits: Sequence[Merit], X: Array, box: Box, n_evaluations: int, settings: LocalSearchSettings
) -> Array:
    """Higher points ``r x d`` of merits that are climbed one after the other, from the starts X.

    Args:
        merits: one or more.
        X: starts in the box.
        box: of the proposal.
        n_evaluations: of each merit, for all starts at once.
        settings: of the steps.
    """
    space, first, *others = box.space, *merits
    lower, upper = (np.tile(corner, (len(X), 1)) for corner in (box.lower, box.upper))
    for block in map(list, space.onehot_blocks):  # a choice is no number: it stays
        lower[:, block] = upper[:, block] = X[:, block]
    X = space.snap(climb(first, X, *_of_existing(space, X, lower, upper), n_evaluations, settings))
    if ints := list(space.integer_columns):
        lower[:, ints] = upper[:, ints] = X[:, ints]
        if not others:
            X = climb(first, X, *_of_existing(space, X, lower, upper), n_evaluations // 2, settings)
    for merit in others:
        X = climb(merit, X, *_of_existing(space, X, lower, upper), n_evaluations, settings)
    return space.snap(X)


def _of_existing(space: Space, X: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Corners ``r x d`` in which columns of hyperparameters that do not exist in a row of X stay."""
    there = space.existing(X)
    return np.where(there, lower, X), np.where(there, upper, X)
