"""Constrained expected improvement, in logarithms.

    a(x) = log E[max(f(x) - best, 0)] + sum_j log P(c_j(x) <= 0);     without ``best`` the last sum alone
    log E[max(f - best, 0)] = log s + log h(u),     u = (mean - best) / s,     h(u) = phi(u) + u Phi(u)
    log P(c <= 0) = log Phi(-mean / s)

Source: Gardner et al., ICML 2014, section 3 (the product of the two); Ament et al., NeurIPS 2023, equations 8 and 9
(in logarithms, which keep a gradient where the product underflows; log h below -1 by the scaled error function).

Notation
    r points    q outputs: the objective, unless ``best`` is None, then the constraints
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

Array = NDArray[np.float64]
LOG_SQRT_2PI = 0.5 * float(np.log(2.0 * np.pi))
TAIL = -30.0  # below it log h(u) is its asymptotic series; above it the difference in it keeps twelve digits


def log_cei(means: Array, variances: Array, best: float | None) -> Array:
    """Values ``r`` from means and variances ``q x r``."""
    deviations = np.sqrt(variances)
    first = 0 if best is None else 1
    total: Array = log_ndtr(-means[first:] / deviations[first:]).sum(axis=0)
    if best is not None:
        total += log_h((means[0] - best) / deviations[0]) + np.log(deviations[0])
    return total


def log_cei_slopes(means: Array, variances: Array, best: float | None) -> tuple[Array, Array, Array]:
    """Values ``r`` and their derivatives by means and by variances, each ``q x r``.

    With u = -mean / s of a constraint:  d log Phi(u) / du = phi(u) / Phi(u),  du/dmean = -1 / s,  du/ds = -u / s.
    Of the objective:  d log h(u) / du = Phi(u) / h(u),  du/dmean = 1 / s,  du/ds = -u / s.  And ds/dvariance = 1 / 2s.
    """
    deviations = np.sqrt(variances)
    first = 0 if best is None else 1
    inside = -means
    if best is not None:
        inside[0] = means[0] - best
    u = inside / deviations
    log_probability = log_ndtr(u)
    total: Array = log_probability[first:].sum(axis=0)
    slope = np.exp(-0.5 * u * u - LOG_SQRT_2PI - log_probability)  # phi(u) / Phi(u)
    along_mean, along_deviation = -slope, -slope * u  # derivatives of the value, times the deviations
    if best is not None:
        log_gain = log_h(u[0])
        total += log_gain + np.log(deviations[0])
        along_mean[0] = np.exp(log_probability[0] - log_gain)  # Phi(u) / h(u)
        along_deviation[0] = 1.0 - along_mean[0] * u[0]
    return total, along_mean / deviations, along_deviation / (2.0 * variances)


def log_h(u: Array) -> Array:
    """log(phi(u) + u Phi(u)): the logarithm of the expected improvement of a normal of unit deviation.

    Below -1 the sum cancels: there phi(u) (1 + u Phi(u) / phi(u)) by the scaled error function, whose bracket tends to
    1 / u^2 - 3 / u^4 + 15 / u^6 - 105 / u^8.
    """
    near = np.maximum(u, -1.0)
    log_value: Array = np.log(np.exp(-0.5 * near * near - LOG_SQRT_2PI) + near * ndtr(near))
    if (below := u <= -1.0).any():
        far = np.clip(u, TAIL, -1.0)
        bracket = 1.0 + far * np.sqrt(0.5 * np.pi) * erfcx(-far / np.sqrt(2.0))
        squared = np.square(np.minimum(u, TAIL))
        series = (1.0 - (3.0 - (15.0 - 105.0 / squared) / squared) / squared) / squared
        bracket = np.where(u < TAIL, series, bracket)
        log_value = np.where(below, -0.5 * u * u - LOG_SQRT_2PI + np.log(bracket), log_value)
    return log_value
