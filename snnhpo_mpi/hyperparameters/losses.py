"""The losses of ``trainer: torch`` by name: plain facts that need no torch. Their formulas: ``snn/torch/losses.py``.

Notation: K output neurons, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from snnhpo_mpi.trial import ACCURACY

R2 = "r2"
DEFAULT_LOSS = "rate_cross_entropy"


@dataclass(frozen=True, slots=True)
class LossKind:
    """One loss.

    Attributes:
        what: its meaning.
        reads: what the answer is read from: each neuron's sum over the steps, its largest value, or its last one.
        score: what the answers are scored by: the share of right classes, or the coefficient of determination.
        smooths: whether it takes the hyperparameter ``label_smoothing``.
    """

    what: str
    reads: Literal["sum", "mean", "max", "last"]
    score: str = ACCURACY
    smooths: bool = False


LOSSES: Mapping[str, LossKind] = MappingProxyType(
    {
        "rate_cross_entropy": LossKind("cross entropy in each step, averaged over the steps", "sum", smooths=True),
        "count_cross_entropy": LossKind("cross entropy of the sums over all steps", "sum", smooths=True),
        "max_cross_entropy": LossKind("cross entropy of each neuron's largest value", "max", smooths=True),
        "last_cross_entropy": LossKind("cross entropy of the values of the last step", "last", smooths=True),
        "count_mean_square": LossKind(
            "mean square of spike counts, the right neuron firing in each step and the others in none", "sum"
        ),
        "rate": LossKind("SLAYER's SpikeRate: squared distance of the rates from 0.2 and 0.03 spikes a step", "sum"),
        "max": LossKind("SLAYER's SpikeMax: cross entropy of the rates, summed over the batch", "sum"),
        "mean_square": LossKind("regression: mean square error of the mean over the steps", "mean", R2),
        "last_mean_square": LossKind("regression: mean square error of the values of the last step", "last", R2),
    }
)
OWN_LOSS = LossKind("a function of one's own", "sum")


def loss_kind(name: str) -> LossKind:
    """The row of a loss; of somebody's own, ``module:function``, its class is read as that of the largest sum.

    Raises:
        KeyError: unknown.
    """
    return OWN_LOSS if ":" in name else LOSSES[name]
