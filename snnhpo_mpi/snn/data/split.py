"""A seeded split with the same share of every class on both sides."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified_split(
    classes: Indices, n_train: int, n_held: int, seed: int, repeat: int = 0
) -> tuple[Indices, Indices]:
    """Choose disjoint samples, each class in proportion to its share of the data, in shuffled order.

    Args:
        classes: ``N``.
        n_train: samples of the first part.
        n_held: samples of the second part; ``n_train + n_held <= N``.
        seed: of the study.
        repeat: 0 of the search; each other number gives another split.

    Returns:
        Indices of both parts.
    """
    key = (0x5B117, repeat) if repeat else (0x5B117,)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    order = rng.permutation(len(classes))
    # Each class spread evenly over [0, 1): any prefix then has nearly the same share of every class.
    position = np.empty(len(classes))
    for label in np.unique(classes):
        members = order[classes[order] == label]
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    spread = np.argsort(position, kind="stable")
    held, train = spread[:n_held], spread[n_held : n_held + n_train]
    return rng.permutation(train), rng.permutation(held)
