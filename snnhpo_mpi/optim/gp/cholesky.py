"""Cholesky factor of a covariance in two blocks: the large one of a model's anchor is shared and never copied.

    L = [[first, 0], [across, rest]]

Source: Golub & Van Loan, Matrix Computations, section 4.2 (block Cholesky) and 3.1 (substitution by blocks).

Notation
    n = a + q points, q of them after the anchor's a    r right sides
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Factor:
    """Lower factor; ``first`` ``a x a`` and ``rest`` ``q x q`` in Fortran's order, ``across`` ``q x a``."""

    first: Array
    across: Array
    rest: Array

    @staticmethod
    def whole(factor: Array) -> Factor:
        """Of one block."""
        return Factor(factor, np.zeros((0, len(factor))), np.zeros((0, 0)))

    def __len__(self) -> int:
        return len(self.first) + len(self.rest)

    def forward(self, sides: Array) -> Array:
        """L^-1 times right sides ``n`` or ``n x r``. One by one they take LAPACK a third of the time."""
        a = len(self.first)
        first = divided(self.first, sides[:a])
        return np.concatenate([first, divided(self.rest, sides[a:] - self.across @ first)])

    def backward(self, sides: Array) -> Array:
        """L^-T times right sides ``n`` or ``n x r``."""
        a = len(self.first)
        rest = divided(self.rest, sides[a:], transposed=True)
        return np.concatenate([divided(self.first, sides[:a] - self.across.T @ rest, transposed=True), rest])

    def solved(self, sides: Array) -> Array:
        """K^-1 = L^-T L^-1 times right sides ``n`` or ``n x r``."""
        return self.backward(self.forward(sides))

    def lower_rows(self, x: Array) -> Array:
        """The last q rows of L, times x ``n``."""
        a = len(self.first)
        return self.across @ x[:a] + self.rest @ x[a:]

    def inverse(self) -> Array:
        """L^-1 ``n x n``."""
        a = len(self.first)
        factor = np.zeros((len(self), len(self)), order="F")
        factor[:a, :a], factor[a:, :a], factor[a:, a:] = self.first, self.across, self.rest
        inverse: Array = lapack.dtrtri(factor, lower=1, overwrite_c=1)[0]
        return inverse


def divided(factor: Array, sides: Array, *, transposed: bool = False) -> Array:
    """L^-1 or L^-T times right sides ``n`` or ``n x r``, for a lower factor of one block."""
    if not len(factor):
        return sides
    solved: Array = lapack.dtrtrs(factor, sides, lower=1, trans=int(transposed))[0]
    return solved
