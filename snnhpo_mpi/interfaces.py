"""The program's contracts: what can be exchanged, and what the rest of the program asks of it.

Notation
    n trials told    d encoded columns    r points    q outputs: the objective, then the constraints
    Z, X  r x d  points in [0, 1]^d

Signs are those of ``trial.py``: objectives are maximised, a constraint holds where it is <= 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.trial import Outcome, Proposal, Trial

Array = NDArray[np.float64]


class Optimizer(Protocol):
    """Proposes trials; any number may be pending. Chosen by name in ``study/build.py``; runs in ``master/proposer.py``.

    A proposal follows from the seed and from what was adopted, asked and told, in order: a resumed study repeats it.
    """

    def adopt(self, trial: Trial) -> None:
        """A trial that was asked elsewhere or by an earlier run is pending."""

    def ask(self, hurried: bool = False) -> Proposal:
        """The next trial, pending from now on; ``hurried``: one that is cheap to find, because workers wait."""

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial asked, which was never sent."""

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """What a pending trial gave, and what it cost the worker [s]; NaN where nobody measured that."""


class Trainer(Protocol):
    """Evaluates trials, in an evaluator process. Chosen by name in ``study/build.py``; used by ``worker``."""

    def evaluate(self, trial: Trial) -> Outcome:
        """Train and score one configuration; whatever it raises fails the trial."""


class Surrogate(Protocol):
    """Models of all outputs, given everything told and pending: independent normal distributions at each point."""

    def __call__(self, Z: Array) -> tuple[Array, Array]:
        """Means and variances, each ``q x r``."""
        ...

    def with_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and variances ``q x r``, then their gradients ``q x r x d``."""
        ...


class Merit(Protocol):
    """A smooth function of a point, which the local search climbs."""

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``r`` and gradients ``r x d``."""
        ...


class Acquisition(Protocol):
    """What a proposal is the best point of, as far as it can be found.

    A formula of the surrogate's means and variances is one by ``optim/acquisition/of_moments.py``.
    """

    def screened(self, X: Array, n: int) -> Array:
        """The n best rows of X in order, by cheaper values."""
        ...

    def best_first(self, X: Array) -> Array:
        """The rows of X in order, the best first."""
        ...

    def merits(self) -> Sequence[Merit]:
        """What is climbed, one after the other."""
        ...
