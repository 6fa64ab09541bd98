"""Scrambled Sobol design, and the searches without a model: Sobol and uniform random.

Source: Owen, J. Complexity 1998 (scrambling), by SciPy's ``qmc.Sobol``.

Notation
    n points      d encoded columns      X  n x d  in [0, 1]^d
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Proposal, Trial, trial_seed

Array = NDArray[np.float64]
MAX_COLUMNS = 21_201  # of SciPy's direction numbers
RETRIES = 100  # draws before a small space counts as exhausted


def row_key(x: Array) -> bytes:
    """Identity of an encoded point: two rows that differ by rounding only are the same trial."""
    return bytes((np.round(x, 12) + 0.0).tobytes())


def generator(seed: int, *key: int) -> np.random.Generator:
    """Generator of the study's seed and a key; keys of two or more numbers never meet those of ``trial_seed``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def sobol_points(n: int, d: int, rng: np.random.Generator) -> Array:
    """First n points ``n x d`` of a scrambled Sobol sequence; beyond its columns uniform random ones."""
    if d > MAX_COLUMNS:
        return rng.random((n, d))
    log2_n = max(n - 1, 0).bit_length()  # whole powers of 2 keep the design balanced, and SciPy silent
    points: Array = qmc.Sobol(d, scramble=True, rng=rng).random_base2(log2_n)[:n]
    return points


class SobolDesign:
    """Points of one scrambled Sobol sequence by their index, drawn in blocks of growing size."""

    def __init__(self, d: int, seed: int) -> None:
        self._d, self._seed = d, seed
        self._points = sobol_points(64, d, generator(seed, 0, 0))

    def __getitem__(self, index: int) -> Array:
        if index >= len(self._points):
            self._points = sobol_points(2 ** (index + 1).bit_length(), self._d, generator(self._seed, 0, 0))
        point: Array = self._points[index]
        return point


class _Search:
    """Asks one point after another, whatever it is told; subclasses say which."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed
        self._next_number = self._n_told = 0
        self._asked: set[bytes] = set()

    def adopt(self, trial: Trial) -> None:
        """Take a trial asked elsewhere into account: its number is used, its point is not asked again."""
        self._next_number = max(self._next_number, trial.number + 1)
        self._asked.add(row_key(self._space.encode(trial.params)))

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial, which was never sent."""
        self._next_number = trial.number
        self._asked.discard(row_key(self._space.encode(trial.params)))

    def ask(self, hurried: bool = False) -> Proposal:
        """Next trial; one that was asked before only where the space seems to hold no other."""
        number = self._next_number
        rng = generator(self._seed, number, 0)
        x = self._space.snap(self._point(number, rng)[None])[0]
        for _ in range(RETRIES):
            if row_key(x) not in self._asked:
                break
            x = self._space.snap(rng.random((1, self._space.dim)))[0]
        trial = Trial(number, self._space.decode(x), trial_seed(self._seed, number))
        self.adopt(trial)
        return Proposal(trial, self._n_told)

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """Count the answer; nothing is learnt from it."""
        self._n_told += 1

    def _point(self, number: int, rng: np.random.Generator) -> Array:
        raise NotImplementedError


class SobolSearch(_Search):
    """Trial i is point i of a scrambled Sobol sequence."""

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        self._design = SobolDesign(space.dim, seed)

    def _point(self, number: int, rng: np.random.Generator) -> Array:
        return self._design[number]


class RandomSearch(_Search):
    """Trials are independent and uniform on the encoded axes."""

    def _point(self, number: int, rng: np.random.Generator) -> Array:
        return rng.random(self._space.dim)
