"""The models of all outputs evaluated together, with gradients.

A climb evaluates few points many times: there the number of array operations is what costs, so that one for all
outputs replaces one for each. The closed forms are those of ``kernel.py`` and ``posterior.py``.

Source: Rasmussen & Williams 2006 ("R&W"), section 2.2.

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

from snnhpo_mpi.optim.gp.kernel import Kernel, exponential
from snnhpo_mpi.optim.gp.posterior import Conditioned, Path

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
        ones, squared = np.ones_like(scaled[:, :, :1]), np.vecdot(scaled, scaled)[:, :, None]
        self.centre, self.scale = centre.astype(kind), scale.astype(kind)
        self.slope_scale = self.scale[:, None] / -6.0
        # |z - x|^2 = (z, |z|^2, 1) . (-2 x, 1, |x|^2): the last are the columns q x (d + 2) x n.
        expanded = np.concatenate([-2.0 * scaled, ones, squared], axis=2)
        self.expanded = np.ascontiguousarray(expanded.transpose(0, 2, 1), dtype=kind)
        self.variance = np.array([[[kernel.variance]] for kernel in kernels], dtype=kind)

    def near(self, Z: Array) -> Near:
        """Of the rows of Z."""
        r, d = Z.shape
        expanded = np.empty((len(self.scale), r, d + 2), dtype=self.scale.dtype)
        z = np.multiply(Z - self.centre, self.scale, out=expanded[:, :, :d])
        expanded[:, :, d] = np.vecdot(z, z)
        expanded[:, :, d + 1] = 1.0
        squared = expanded @ self.expanded  # q x r x (d + 2) times q x (d + 2) x n -> q x r x n
        rho = np.sqrt(np.abs(squared, out=squared))  # rounding may leave a negative one; a maximum takes twice as long
        decay = exponential(np.negative(rho))
        rho += 1.0
        rho *= decay
        squared *= decay
        squared *= 1.0 / 3.0
        squared += rho
        return Near(z, rho, squared)

    def pulled(self, near: Near, weights: Array) -> Array:
        """Derivatives of g weighted sums of Maternes of variance 1.

        Args:
            near: r points seen from the sites.
            weights: ``q x g x r x n`` of the sites, or broadcastable.

        Returns:
            ``q x g x r x d``.
        """
        q, r, n = near.bend.shape
        pull = (near.bend[:, None] * weights).reshape(q, -1, n) @ self.expanded.transpose(0, 2, 1)  # q x g r x (d + 2)
        pull = pull.reshape(q, -1, r, pull.shape[2])
        moved: Array = pull[..., :-2] + (2.0 * pull[..., -2:-1]) * near.z[:, None]
        moved *= self.slope_scale  # 5/3 (x - z) / ell^2, and x is scaled by sqrt(5) / ell
        return moved


class Paths:
    """Functions of ``d`` columns drawn from q posteriors, in double or single precision."""

    def __init__(self, paths: Sequence[Path], kind: DTypeLike = np.float64) -> None:
        self._own = Covariances([path.kernel for path in paths], [path.X for path in paths], kind)
        self._v = self._own.variance * padded([path.v for path in paths])[:, None].astype(kind)
        frequencies = np.stack([path.features.frequencies.T for path in paths])
        self._frequencies = np.ascontiguousarray(frequencies, dtype=kind)  # q x d x M / 2
        # a cos + b sin = amplitude cos(angle - phase): one function instead of two.
        weights = np.stack([path.features.amplitude * path.w for path in paths])[:, None]
        of_cosine, of_sine = np.split(weights, 2, axis=2)
        self._amplitude = np.hypot(of_cosine, of_sine).astype(kind)
        self._phase = np.arctan2(of_sine, of_cosine).astype(kind)
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
        return self._sum(Z, self._own.near(Z).matern, cosine(self._angles(Z)))

    def _angles(self, Z: Array) -> Array:
        angles: Array = Z @ self._frequencies
        angles -= self._phase
        return angles

    def _sum(self, Z: Array, matern: Array, cosines: Array) -> Array:
        value: Array = np.vecdot(matern, self._v)
        value += np.vecdot(cosines, self._amplitude)
        value += np.vecdot(Z * self._square + self._linear, Z)
        value += self._constant
        return value

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``q x r`` and gradients ``q x r x d`` at the rows of Z."""
        near, angles = self._own.near(Z), self._angles(Z)
        value = self._sum(Z, near.matern, cosine(angles.copy()))
        falling = sine(angles)
        falling *= self._amplitude
        gradient: Array = self._own.pulled(near, self._v[:, None])[:, 0]
        gradient -= falling @ self._frequencies.transpose(0, 2, 1)
        gradient += self._linear + 2.0 * self._square * Z
        return value, gradient


class OneByOne:
    """Values of paths in single precision, one output after the other, so that none is filled up to another's sites."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._each = [Paths([path], np.float32) for path in paths]

    def __call__(self, Z: Array) -> Array:
        """Values ``q x r`` at the rows of Z ``r x d``."""
        return np.concatenate([one(Z) for one in self._each])


class Moments:
    """Means and variances of q Gaussian processes."""

    def __init__(self, given: Sequence[Conditioned], *, inverted: bool = False) -> None:
        """Of q outputs.

        Args:
            given: the outputs' processes.
            inverted: invert the factors at once, which pays where few sites are looked at many times.
        """
        kernels = [process.kernel for process in given]
        self._own = Covariances(kernels, [process.X for process in given], np.float64)
        roots = np.sqrt([[k.linear, k.quadratic] for k in kernels])
        self._roots = np.repeat(roots, len(kernels[0].lengthscales), axis=1)[:, None]  # q x 1 x 2d
        self._mu = np.array([process.mu for process in given])[:, None]
        self._alpha = padded([process.alpha for process in given])[:, None]
        self._trend = padded([process.kernel.trend(process.X) for process in given])
        self._factors = [process.factor for process in given]
        self._inverses = _padded_squares([factor.inverse() for factor in self._factors]) if inverted else None

    def __call__(self, Z: Array) -> tuple[Array, Array]:
        """Means and variances, each ``q x r``, at the rows of Z ``r x d``."""
        pairs = [self._of(block) for block in blocks(Z)]
        means, variances = (np.concatenate(parts, axis=1) for parts in zip(*pairs, strict=True))
        return means, variances

    def _of(self, Z: Array) -> tuple[Array, Array]:
        trend, k = self._covariance(Z, self._own.near(Z))
        return self._mean(k), self._variance(trend, self._solved(k))

    def with_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and variances ``q x r``, then their gradients ``q x r x d``, at the rows of Z."""
        near, d = self._own.near(Z), Z.shape[1]
        trend, k = self._covariance(Z, near)
        solved = self._solved(k)
        # The mean (R&W 2.25) is mu + k alpha, half the variance (R&W 2.26) is k(z, z) / 2 - k K^-1 k / 2. Their
        # gradients are dk/dz alpha and dk(z, z)/dz / 2 - dk/dz K^-1 k: two weighted sums of dk/dz, in one product.
        weights = np.empty((len(k), 2, *k.shape[1:]))  # q x 2 x r x n
        weights[:, 0] = self._alpha
        np.negative(self._solved(solved, transposed=True), out=weights[:, 1])
        slopes = weights.reshape(len(k), -1, k.shape[2]) @ self._trend  # q x 2r x 2d
        slopes = slopes.reshape(*weights.shape[:3], 2 * d)  # q x 2 x r x 2d
        slopes[:, 1] += trend
        slopes *= self._roots[:, None]
        gradients = self._own.variance[:, None] * self._own.pulled(near, weights)
        gradients += 2.0 * slopes[..., :d] + (12.0 * Z - 6.0) * slopes[..., d:]  # du/dz = 2, dq/dz = 3 u du/dz
        return self._mean(k), self._variance(trend, solved), gradients[:, 0], 2.0 * gradients[:, 1]

    def _covariance(self, Z: Array, near: Near) -> tuple[Array, Array]:
        """Features of the trend ``q x r x 2d`` and covariances with the sites ``q x r x n``."""
        u = 2.0 * Z - 1.0
        trend = np.concatenate([u, 1.5 * u * u - 0.5], axis=1) * self._roots
        k: Array = trend @ self._trend.transpose(0, 2, 1)
        k += self._own.variance * near.matern
        return trend, k

    def _solved(self, k: Array, *, transposed: bool = False) -> Array:
        """``q x r x n``: each output's factor divided into the rows of k; 0 where it has no site."""
        if self._inverses is not None:
            by_inverse: Array = k @ (self._inverses if transposed else self._inverses.transpose(0, 2, 1))
            return by_inverse
        solved = np.zeros_like(k)
        for own, factor, rows in zip(solved, self._factors, k, strict=True):
            n = len(factor)
            own[:, :n] = (factor.backward if transposed else factor.forward)(rows[:, :n].T).T
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


def _padded_squares(squares: Sequence[Array]) -> Array:
    """Squares of different sizes, ``q x n x n``; zeros elsewhere."""
    n = max(map(len, squares))
    stacked = np.zeros((len(squares), n, n))
    for own, square in zip(stacked, squares, strict=True):
        own[: len(square), : len(square)] = square
    return stacked


def blocks(Z: Array) -> Iterator[Array]:
    """The rows of Z, some at a time; at least one block."""
    return (Z[start : start + AT_ONCE] for start in range(0, max(len(Z), 1), AT_ONCE))


# PyTorch's are several times faster than NumPy's in double precision.


def cosine(x: Array) -> Array:
    """Cosine of x, in the place of x."""
    torch.from_numpy(x).cos_()
    return x


def sine(x: Array) -> Array:
    """Sine of x, in the place of x."""
    torch.from_numpy(x).sin_()
    return x
