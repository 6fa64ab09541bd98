"""Linear readouts of spike counts, fitted to a convex loss: logistic regression and a support vector machine.

    log   cross-entropy of the softmax        svm   squared hinge, one class against the rest (as LIBLINEAR's)

each plus a ridge |w|^2 / (2 B), on counts divided by their standard deviation over the fitted samples. Few neurons fire
on a sample: counts are sparse matrices, with which a fit takes some hundredths of the time.

Notation: B samples, N neurons, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_ITERATIONS = 100  # of L-BFGS; the readout of a thousand samples is converged by then, or no more can be read
Loss = Callable[[Floats, Floats], tuple[float, Floats]]  # scores and one-hot classes B x K -> loss, its slope B x K


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Scores of the classes are ``counts @ weights + bias``.

    Attributes:
        weights: ``N x K``.
        bias: ``K``.
    """

    weights: Floats
    bias: Floats


def fit_linear(name: str, counts: csr_array, classes: Ints, n_classes: int) -> LinearFit:
    """Fit a readout.

    Args:
        name: log or svm.
        counts: ``B x N``.
        classes: ``B``.
        n_classes: K.
    """
    loss = {"log": _cross_entropy, "svm": _squared_hinge}[name]
    n_samples, n_neurons = counts.shape
    mean, square = counts.sum(0) / n_samples, (counts * counts).sum(0) / n_samples
    spread = np.sqrt(np.maximum(square - mean**2, 0.0))
    scale = 1.0 / np.where(spread > 0, spread, 1.0)
    x = csr_array((counts.data * scale[counts.indices], counts.indices, counts.indptr), shape=counts.shape)
    x_t, wanted = x.T.tocsr(), (classes[:, None] == np.arange(n_classes)).astype(np.float64)

    def objective(flat: Floats) -> tuple[float, Floats]:
        theta = flat.reshape(n_neurons + 1, n_classes)
        weights, bias = theta[:-1], theta[-1]
        value, slope = loss(x @ weights + bias, wanted)
        gradient = np.vstack([x_t @ slope + weights / n_samples, slope.sum(0, keepdims=True)])
        return value + 0.5 * float(np.sum(weights**2)) / n_samples, gradient.ravel()

    start = np.zeros((n_neurons + 1) * n_classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MAX_ITERATIONS})
    theta = np.asarray(found.x).reshape(n_neurons + 1, n_classes)
    return LinearFit(theta[:-1] * scale[:, None], theta[-1])


def _cross_entropy(scores: Floats, wanted: Floats) -> tuple[float, Floats]:
    log_p = log_softmax(scores, axis=1)
    return -float(np.sum(wanted * log_p)) / len(scores), (np.exp(log_p) - wanted) / len(scores)


def _squared_hinge(scores: Floats, wanted: Floats) -> tuple[float, Floats]:
    sign = 2.0 * wanted - 1.0
    short = np.maximum(1.0 - sign * scores, 0.0)
    return float(np.sum(short**2)) / len(scores), -2.0 * sign * short / len(scores)
