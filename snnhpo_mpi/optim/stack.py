"""The models of all outputs evaluated together, with gradients.

A climb evaluates few points many times: there the number of array operations is what costs, so that one for all
outputs replaces one for each. The closed forms are those of ``kernel.py``.

Notation
    q outputs    r points    n sites, of which an output with fewer has zeros    d columns    M random features
    Z  r x d     z  q x r x d  scaled by sqrt(5) / ell, as the sites     rho  q x r x n  distances
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import lapack, solve_triangular

from snnhpo_mpi.optim.kernel import Kernel
from snnhpo_mpi.optim.posterior import Path, Posterior

Array = NDArray[np.float64]
AT_ONCE = 256  # rows of Z, so that the arrays between stay in the cache
LEAST_VARIANCE = 1e-12  # of the prior's: where rounding leaves less, or a negative one


class Near(NamedTuple):
    """Points seen from the sites: z ``q x r x d``, bend (1 + rho) exp(-rho) and Matern of variance 1, ``q x r x n``."""

    z: Array
    bend: Array
    matern: Array


class Covariances:
    """The Matern parts of q kernels, and the sites of each; arrays of the precision ``kind``."""

    def __init__(self, kernels: Sequence[Kernel], sites: Sequence[Array], kind: DTypeLike) -> None:
        lengthscales = np.stack([kernel.lengthscales for kernel in kernels])[:, None]
        scale = np.sqrt(5.0) / lengthscales
        centre = sites[0].mean(axis=0)  # small numbers lose less in the expanded square
        scaled = padded([(X - centre) * s for X, s in zip(sites, scale, strict=True)])
        self.centre, self.scale = centre.astype(kind), scale.astype(kind)
        self.minus_twice = np.ascontiguousarray((-2.0 * scaled).transpose(0, 2, 1), dtype=kind)
        self.squared = (scaled * scaled).sum(axis=2)[:, None].astype(kind)
        self.with_ones = np.concatenate([scaled, np.ones_like(scaled[:, :, :1])], axis=2).astype(kind)
        self.variance = np.array([[[kernel.variance]] for kernel in kernels], dtype=kind)

    def near(self, Z: Array) -> Near:
        """Of the rows of Z."""
        z = (Z - self.centre) * self.scale
        squared = z @ self.minus_twice
        squared += self.squared
        squared += (z * z).sum(axis=2)[:, :, None]
        rho = np.sqrt(np.maximum(squared, 0.0, out=squared))
        decay = exponential(np.negative(rho))
        rho += 1.0
        rho *= decay
        squared *= decay
        squared *= 1.0 / 3.0
        squared += rho
        return Near(z, rho, squared)

    def pulled(self, near: Near, weights: Array) -> Array:
        """``q x r x d``: derivative of sum_i weights_i m(z, x_i), m the Matern of variance 1; weights ``q x . x n``."""
        pull = (near.bend * weights) @ self.with_ones
        moved: Array = pull[:, :, :-1] - pull[:, :, -1:] * near.z
        moved *= self.scale / 3.0  # 5/3 (x - z) / ell^2, and x is scaled by sqrt(5) / ell
        return moved


class Paths:
    """Functions of ``d`` columns drawn from q posteriors, in double or single precision."""

    def __init__(self, paths: Sequence[Path], kind: DTypeLike = np.float64) -> None:
        self._own = Covariances([path.kernel for path in paths], [path.X for path in paths], kind)
        self._v = self._own.variance * padded([path.v for path in paths])[:, None].astype(kind)
        frequencies = np.stack([path.features.frequencies for path in paths])
        self._frequencies = frequencies.astype(kind)
        self._frequencies_in_columns = np.ascontiguousarray(self._frequencies.transpose(0, 2, 1))
        weights = np.stack([path.features.amplitude * path.w for path in paths]).astype(kind)[:, None]
        self._cosine, self._sine = np.split(weights, 2, axis=2)
        # The trend is a polynomial: constant + linear z + square z^2.
        terms = [path.kernel.trend_polynomial(path.slopes) for path in paths]
        constants, linear, square = (np.stack(term).astype(kind) for term in zip(*terms, strict=True))
        self._constant = (constants + np.array([path.mu for path in paths], dtype=kind))[:, None]
        self._linear, self._square = linear[:, None], square[:, None]

    def __call__(self, Z: Array) -> Array:
        """Values ``q x r`` at the rows of Z ``r x d``."""
        values: Array = np.concatenate([self._values(block) for block in blocks(Z.astype(self._v.dtype))], axis=1)
        return values

    def _values(self, Z: Array) -> Array:
        angles = Z @ self._frequencies_in_columns
        return self._sum(Z, self._own.near(Z).matern, cosine(angles.copy()), sine(angles))

    def _sum(self, Z: Array, matern: Array, cosines: Array, sines: Array) -> Array:
        value: Array = np.vecdot(matern, self._v)
        value += np.vecdot(cosines, self._cosine)
        value += np.vecdot(sines, self._sine)
        value += np.vecdot(Z * self._square + self._linear, Z)
        value += self._constant
        return value

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``q x r`` and gradients ``q x r x d`` at the rows of Z."""
        near = self._own.near(Z)
        angles = Z @ self._frequencies_in_columns
        cosines, sines = cosine(angles.copy()), sine(angles)
        value = self._sum(Z, near.matern, cosines, sines)
        cosines *= self._sine
        sines *= self._cosine
        cosines -= sines
        gradient: Array = cosines @ self._frequencies
        gradient += self._own.pulled(near, self._v)
        gradient += self._linear + 2.0 * self._square * Z
        return value, gradient


class Moments:
    """Means and variances of q posteriors."""

    def __init__(self, posteriors: Sequence[Posterior], *, inverted: bool = False) -> None:
        """Of the posteriors of q outputs.

        Args:
            posteriors: of the outputs.
            inverted: invert the factors at once, which pays where few sites are looked at many times.
        """
        kernels = [posterior.kernel for posterior in posteriors]
        self._own = Covariances(kernels, [posterior.X for posterior in posteriors], np.float64)
        self._roots = np.sqrt([[[[k.linear]], [[k.quadratic]]] for k in kernels])  # q x 2 x 1 x 1
        self._mu = np.array([posterior.mu for posterior in posteriors])[:, None]
        self._alpha = padded([posterior.alpha for posterior in posteriors])[:, None]
        self._trend = padded([posterior.kernel.trend(posterior.X) for posterior in posteriors])
        self._sizes = [len(posterior.factor) for posterior in posteriors]
        self._factors = [np.asfortranarray(posterior.factor) for posterior in posteriors]
        self._inverses = _padded_squares([lapack.dtrtri(f, lower=1)[0] for f in self._factors]) if inverted else None

    def __call__(self, Z: Array) -> tuple[Array, Array]:
        """Means and variances, each ``q x r``, at the rows of Z ``r x d``."""
        pairs = [self._of(block) for block in blocks(Z)]
        means, variances = (np.concatenate(parts, axis=1) for parts in zip(*pairs, strict=True))
        return means, variances

    def _of(self, Z: Array) -> tuple[Array, Array]:
        trend, k = self._covariance(Z, self._own.near(Z))
        return self._mean(k), self._variance(trend, self._solved(k, "N"))

    def with_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and variances ``q x r``, then their gradients ``q x r x d``, at the rows of Z."""
        near = self._own.near(Z)
        trend, k = self._covariance(Z, near)
        solved = self._solved(k, "N")
        weights = self._solved(solved, "T")
        by_mean = self._own.variance * self._own.pulled(near, self._alpha)
        by_mean += self._trend_gradient(Z, self._alpha @ self._trend)
        by_variance = self._trend_gradient(Z, trend - weights @ self._trend)
        by_variance -= self._own.variance * self._own.pulled(near, weights)
        return self._mean(k), self._variance(trend, solved), by_mean, 2.0 * by_variance

    def _covariance(self, Z: Array, near: Near) -> tuple[Array, Array]:
        """Features of the trend ``q x r x 2d`` and covariances with the sites ``q x r x n``."""
        u = 2.0 * Z - 1.0
        trend = np.concatenate([self._roots[:, 0] * u, self._roots[:, 1] * (1.5 * u * u - 0.5)], axis=2)
        k: Array = self._own.variance * near.matern
        k += trend @ self._trend.transpose(0, 2, 1)
        return trend, k

    def _trend_gradient(self, Z: Array, slopes: Array) -> Array:
        linear, quadratic = np.split(slopes, 2, axis=2)
        gradient: Array = 2.0 * self._roots[:, 0] * linear + (12.0 * Z - 6.0) * self._roots[:, 1] * quadratic
        return gradient

    def _solved(self, k: Array, form: str) -> Array:
        """``q x r x n``: each output's factor (T: transposed) divided into the rows of k; 0 where it has no site."""
        if self._inverses is not None:
            by_inverse: Array = k @ (self._inverses.transpose(0, 2, 1) if form == "N" else self._inverses)
            return by_inverse
        solved = np.zeros_like(k)
        for own, factor, size, rows in zip(solved, self._factors, self._sizes, k, strict=True):
            own[:, :size] = solve_triangular(factor, rows[:, :size].T, lower=True, trans=form, check_finite=False).T
        return solved

    def _mean(self, k: Array) -> Array:
        mean: Array = np.vecdot(k, self._alpha)
        mean += self._mu
        return mean

    def _variance(self, trend: Array, solved: Array) -> Array:
        prior = self._own.variance[:, :, 0] + np.vecdot(trend, trend)
        variance: Array = np.maximum(prior - np.vecdot(solved, solved), LEAST_VARIANCE * prior)
        return variance


def padded(arrays: Sequence[Array]) -> Array:
    """Arrays of different lengths, ``q x n x ...``; zeros at the end of the shorter."""
    stacked = np.zeros((len(arrays), max(map(len, arrays)), *arrays[0].shape[1:]))
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked


def _padded_squares(lowers: Sequence[Array]) -> Array:
    """Lower triangles of different sizes, ``q x n x n``; zeros elsewhere."""
    n = max(map(len, lowers))
    stacked = np.zeros((len(lowers), n, n))
    for square, lower in zip(stacked, lowers, strict=True):
        square[: len(lower), : len(lower)] = np.tril(lower)
    return stacked


def blocks(Z: Array) -> Iterator[Array]:
    """The rows of Z, some at a time; at least one block."""
    return (Z[start : start + AT_ONCE] for start in range(0, max(len(Z), 1), AT_ONCE))


# PyTorch's are several times faster than NumPy's in double precision.


def exponential(x: Array) -> Array:
    """Exponential of x, in the place of x."""
    torch.from_numpy(x).exp_()
    return x


def cosine(x: Array) -> Array:
    """Cosine of x, in the place of x."""
    torch.from_numpy(x).cos_()
    return x


def sine(x: Array) -> Array:
    """Sine of x, in the place of x."""
    torch.from_numpy(x).sin_()
    return x
