"""Linear readouts of spike counts, fitted by scikit-learn: logistic regression and a support vector machine.

    log   cross-entropy of the softmax        svm   squared hinge, one class against the rest (LIBLINEAR)

each with C = 1, on counts divided by their standard deviation over the fitted samples. Few neurons fire on a sample:
counts are sparse matrices, with which a fit takes a fraction of the time.

Notation: B samples, N neurons, K classes.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MAX_ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Scores of the classes are ``counts @ weights + bias``.

    Attributes:
        weights: ``N x K``.
        bias: ``K``; -inf for a class that no fitted sample has.
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
    n, total, square = counts.shape[0], counts.sum(0), (counts * counts).sum(0)
    spread = np.sqrt(n * square - total**2) / n  # of whole numbers, so exactly 0 where all are equal
    scale = 1.0 / np.where(spread > 0, spread, 1.0)
    weights, bias = np.zeros((counts.shape[1], n_classes)), np.full(n_classes, -np.inf)
    present = np.unique(classes)
    bias[present] = 0.0
    if len(present) > 1:
        model = _fitted(name, _scaled(counts, scale), classes)
        # Of two classes there is one score, which speaks for the second.
        columns = present if len(present) > 2 else present[1:]
        weights[:, columns], bias[columns] = model.coef_.T * scale[:, None], model.intercept_
    return LinearFit(weights, bias)


def _scaled(counts: csr_array, scale: Floats) -> csr_array:
    """Each column of ``B x N`` times its scale; LIBLINEAR takes indices of 32 bits alone."""
    indices, first = (index.astype(np.int32) for index in (counts.indices, counts.indptr))
    return csr_array((counts.data * scale[indices], indices, first), shape=counts.shape)


def _fitted(name: str, x: csr_array, classes: Ints) -> Any:
    from sklearn.exceptions import ConvergenceWarning  # a second of import that other decoders need not wait for
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    model = LogisticRegression(max_iter=MAX_ITERATIONS)
    if name == "svm":
        # LIBLINEAR shrinks the bias too, by 1 / intercept_scaling ** 2; its dual form would draw random numbers.
        model = LinearSVC(dual=False, tol=1e-3, intercept_scaling=10.0, max_iter=MAX_ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where samples are separable, more steps read no better
        return model.fit(x, classes)
