"""The program's contracts: what can be exchanged, and what the rest of the program asks of it.

Notation
    n trials told    d encoded columns    r points    q outputs: the objective, then the constraints
    Z, X  r x d  points in [0, 1]^d

Signs are those of ``trial.py``: objectives are maximised, a constraint holds where it is <= 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Interim, Outcome, Progress, Proposal, Trial

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Report = Callable[[Progress | Interim], None]
"""Takes what a trainer says of the running trial. Never waits."""
PrunedAt = Callable[[int], int | None]
"""Number of the running trial -> position of the report after which it is to stop; None while nobody says so. Never
waits."""


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


@dataclass(frozen=True, slots=True)
class Learnt:
    """What B samples did while they were learnt.

    Attributes:
        counts: layer -> ``B`` spikes of each sample, of every layer that is watched; ``L x B`` where one name stands
            for L layers.
        right: ``B``, 1 where the sample was predicted rightly; None where no prediction was made.
        answers: ``B x K`` numbers that a regression told of the samples; None of classes.
        saturated: layer -> ``B``, whether the sample saturates it; of the layers watched for it.
    """

    counts: Mapping[str, Ints]
    right: Ints | None
    saturated: Mapping[str, NDArray[np.bool_]]
    answers: NDArray[np.floating[Any]] | None = None


class Learner(Protocol):
    """The network of one trial as it learns.

    Driven by ``snn/trainer.py``; each of ``snn/stdp``, ``snn/slayer`` and ``snn/torch`` has one.

    Attributes:
        batch_size: samples that are learnt from together.
        look_every: samples that ``learn`` is given at most, whole batches; then monitors and reports look at them.
    """

    batch_size: int
    look_every: int

    def order(self, epoch: int) -> Ints:
        """The rows of all training samples in the order in which an epoch, from 1, presents them; asked once each."""
        ...

    def learn(self, rows: Ints) -> Learnt:
        """Learn from some training samples."""
        ...

    def refuse_divergence(self) -> None:
        """Raise FloatingPointError where the network is not finite; asked when a training stops and once an epoch."""

    def end_epoch(self) -> None:
        """An epoch is complete, and the training goes on or is to be scored; state is saved just after this."""

    def end_training(self) -> None:
        """Nothing more is learnt: make ready to predict for the score."""

    def predict(self, samples: Any) -> Ints:
        """Classes of samples as the data set has them, with learning off; negative where there is no answer."""
        ...

    def saved(self) -> Mapping[str, Any]:
        """The trained network, for ``snn/save_network.py``."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """All that the rest of the training follows from, random numbers too, as of an epoch's end."""
        ...

    def load_state_dict(self, state: Any, /) -> None:
        """Go on from there, before anything was learnt."""


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


@dataclass(frozen=True, slots=True)
class Box:
    """The part of a space in which a proposal lies: corners, each ``d``."""

    space: Space
    lower: Array
    upper: Array


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

    def climbed(self, X: Array, box: Box, n_evaluations: int) -> Array:
        """Points of the box that are to be ranked too: the best that a search with gradients found, from X or not."""
        ...
