"""A Gaussian process conditioned on everything told and pending, and functions drawn from it.

    mean          m(z) = mu + k(z, X) alpha,                    alpha = K^-1 (y - mu)        (R&W 2.25)
    variance      s^2(z) = k(z, z) - k(z, X) K^-1 k(X, z)                                    (R&W 2.26)
    sample path   f(z) = mu + phi(z) . w + k(z, X) v,           v = K^-1 (y - mu - phi(X) w - e)

(K with noise; phi: random features of the Matern part, and the trend's own, which are exact.) What is here is their
data; ``batched.py`` evaluates those of all outputs at any point.

Source: Rasmussen & Williams 2006 ("R&W"), section 2.2; Wilson et al., JMLR 2021 (pathwise conditioning, "Matheron's
rule").

Notation
    n told    p pending    d columns    M random features    X  (n + p) x d
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.gp.cholesky import Factor
from snnhpo_mpi.optim.gp.fit import Hyperparameters
from snnhpo_mpi.optim.gp.kernel import Features, Kernel

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model at its anchor: hyperparameters, Cholesky factor ``n x n`` and features ``n x M`` of the points X.

    Attributes:
        added: bytes of a point that the latest conditioning added -> what it computed for it.
    """

    X: Array
    hyper: Hyperparameters
    factor: Array
    features: Features
    phi: Array
    added: dict[bytes, tuple[Array, Array]] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Path:
    """A function of ``d`` columns drawn from a posterior.

    Attributes:
        X: ``(n + p) x d`` sites.
        w: ``M`` weights of the random features.
        v: ``n + p`` weights of the kernel at the sites.
        slopes: ``2d`` weights of the trend's features, those of the kernel included.
    """

    kernel: Kernel
    features: Features
    X: Array
    mu: float
    w: Array
    v: Array
    slopes: Array


@dataclass(frozen=True, slots=True)
class Conditioned:
    """A Gaussian process given values at points: what its mean and variance need.

    Attributes:
        kernel: covariance without noise.
        X: ``n x d`` points.
        factor: of their covariance with noise.
        mu: constant mean.
        alpha: ``n`` K^-1 (y - mu).
    """

    kernel: Kernel
    X: Array
    factor: Factor
    mu: float
    alpha: Array


@dataclass(frozen=True, slots=True)
class Posterior(Conditioned):
    """A model given everything told and pending; X: told, then pending points.

    Attributes:
        fitted: the model at its anchor.
        phi: ``q x M`` features of the points after the anchor's.
        residual: ``n + p`` values less the mean ``mu``; the pending ones' are believed.
        n_pending: p.
    """

    fitted: Fitted
    phi: Array
    residual: Array
    n_pending: int

    @property
    def lengthscales(self) -> Array:
        """``d`` of the kernel."""
        return self.kernel.lengthscales

    def mean_at_told(self) -> Array:
        """``n`` posterior means at what was told."""
        n = len(self.residual) - self.n_pending
        # k(X, X) alpha = (K - noise I) alpha = residual - noise alpha: no solve is needed.
        mean: Array = self.mu + self.residual[:n] - self.fitted.hyper.noise * self.alpha[:n]
        return mean

    def mean_at_pending(self) -> Array:
        """``p`` posterior means at what is pending."""
        mean: Array = self.mu + self.residual[len(self.residual) - self.n_pending :]
        return mean

    def draw(self, rng: np.random.Generator, temperature: float = 1.0) -> Path:
        """Sample path; its deviation from the posterior mean is multiplied by ``temperature`` (0 gives the mean)."""
        trend = self.kernel.trend(self.X)  # (n + p) x 2d
        w = temperature * rng.standard_normal((self.phi.shape[1],))
        slopes = temperature * rng.standard_normal((trend.shape[1],))
        noise = temperature * np.sqrt(self.fitted.hyper.noise) * rng.standard_normal(len(self.residual))
        prior = np.concatenate([self.fitted.phi @ w, self.phi @ w]) + trend @ slopes + noise
        v = self.factor.solved(self.residual - prior)
        return Path(self.kernel, self.fitted.features, self.X, self.mu, w, v, slopes + trend.T @ v)
