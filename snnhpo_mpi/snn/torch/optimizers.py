"""Steps down the gradient of anybody's network: the optimizer, how its step changes over the training, and clipping.

Sources: Kingma & Ba, ICLR 2015 (Adam); Loshchilov & Hutter, ICLR 2019 (AdamW) and ICLR 2017 (cosine); Smith & Topin
2019 (one cycle), with the shape and the constants of torch's ``OneCycleLR`` and the momentum left as it is.

Notation: n steps done of N planned; p = n / N for the cosine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.hyperparameters.networks import TORCH
from snnhpo_mpi.trial import ParamValue

RISE = 0.3  # share of the training in which one cycle rises
FIRST, LAST = 1 / 25, 1 / 25e4  # of its largest step, the step at the beginning and at the end


class Descent:
    """An optimizer with its schedule; another one with its state goes on exactly as it would have."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, learning_rate: float, schedule: str, max_norm: float, n_steps: int
    ) -> None:
        """Nothing is done yet.

        Args:
            optimizer: of the parameters.
            learning_rate: the largest.
            schedule: constant, cosine or one_cycle.
            max_norm: the gradient is shortened to this norm; 0 for none.
            n_steps: N.
        """
        self._optimizer, self._learning_rate, self._schedule = optimizer, learning_rate, schedule
        self._max_norm, self._n_steps, self._n_done = max_norm, n_steps, 0
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self._optimizer.zero_grad()

    def step(self) -> Tensor:
        """Take a step down the gradient that is there.

        Returns:
            The norm of the gradient before it was clipped; not finite where the training diverged.
        """
        slopes = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(slopes)
        if self._max_norm:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._max_norm, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * share(self._schedule, self._n_done, self._n_steps)
        self._optimizer.step()
        self._n_done += 1
        return norm

    def state_dict(self) -> dict[str, Any]:
        """The moments of the gradient, and how far the schedule is."""
        return {"optimizer": self._optimizer.state_dict(), "n_done": self._n_done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; on another device if need be."""
        self._optimizer.load_state_dict(dict(state["optimizer"]))
        self._n_done = int(state["n_done"])


def make(parameters: Iterable[Tensor], hyperparameters: Mapping[str, ParamValue], n_steps: int) -> Descent:
    """The optimizer that the hyperparameters name.

    Args:
        parameters: of the network.
        hyperparameters: of the table ``TORCH``; what is missing has its default there.
        n_steps: N, over all epochs.
    """
    given = {name: row.default for name, row in TORCH.items()} | dict(hyperparameters)
    learning_rate = float(given["learning_rate"])
    common: dict[str, Any] = {"lr": learning_rate, "weight_decay": float(given["weight_decay"])}
    optimizer: torch.optim.Optimizer
    match given["optimizer"]:
        case "adam":
            optimizer = torch.optim.Adam(parameters, **common)
        case "adamw":
            optimizer = torch.optim.AdamW(parameters, **common)
        case "sgd":
            optimizer = torch.optim.SGD(parameters, momentum=float(given["momentum"]), **common)
        case name:
            raise ValueError(f"no optimizer {name}")
    return Descent(optimizer, learning_rate, str(given["schedule"]), float(given["gradient_clipping"]), n_steps)


def share(schedule: str, n_done: int, n_steps: int) -> float:
    """The size of a step as a share of the largest; after the planned end as at the end.

    Args:
        schedule: constant, cosine or one_cycle.
        n_done: n, steps before this one.
        n_steps: N.
    """
    n = min(n_done, n_steps - 1)
    match schedule:
        case "constant":
            return 1.0
        case "cosine":
            return (1 + math.cos(math.pi * n / n_steps)) / 2
        case "one_cycle":
            top = RISE * n_steps - 1  # the step with the largest share
            if n <= top:
                return _eased(FIRST, 1.0, n / top if top else 1.0)
            return _eased(1.0, LAST, (n - top) / (n_steps - 1 - top))
        case _:
            raise ValueError(f"no schedule {schedule}")


def _eased(start: float, end: float, way: float) -> float:
    """Between two values along half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * way))
