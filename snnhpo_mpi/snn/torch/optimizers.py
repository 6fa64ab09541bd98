"""Steps down the gradient of anybody's network: torch's optimizers and schedules by name, and clipping.

Sources: Kingma & Ba, ICLR 2015 (Adam); Loshchilov & Hutter, ICLR 2019 (AdamW) and ICLR 2017 (cosine); Smith & Topin
2019 (one cycle, which leaves the momentum as it is here).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import lr_scheduler

from snnhpo_mpi.hyperparameters.networks import TORCH
from snnhpo_mpi.trial import ParamValue


class Descent:
    """An optimizer with its schedule; another one with its state goes on exactly as it would have."""

    def __init__(self, optimizer: torch.optim.Optimizer, schedule: lr_scheduler.LRScheduler, max_norm: float) -> None:
        """Nothing is done yet.

        Args:
            optimizer: of the parameters.
            schedule: of its learning rate, a step a batch.
            max_norm: the gradient is shortened to this norm; 0 for none.
        """
        self._optimizer, self._schedule, self._max_norm = optimizer, schedule, max_norm
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
        self._optimizer.step()
        self._schedule.step()
        return norm

    def state_dict(self) -> dict[str, Any]:
        """The moments of the gradient, and how far the schedule is."""
        return {"optimizer": self._optimizer.state_dict(), "schedule": self._schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there; on another device if need be."""
        self._optimizer.load_state_dict(dict(state["optimizer"]))
        self._schedule.load_state_dict(dict(state["schedule"]))


def make(parameters: Iterable[Tensor], hyperparameters: Mapping[str, ParamValue], n_steps: int) -> Descent:
    """The optimizer that the hyperparameters name.

    Args:
        parameters: of the network.
        hyperparameters: of the table ``TORCH``; what is missing has its default there.
        n_steps: batches of the whole training.
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
    schedule = _schedule(str(given["schedule"]), optimizer, learning_rate, n_steps)
    return Descent(optimizer, schedule, float(given["gradient_clipping"]))


def _schedule(
    name: str, optimizer: torch.optim.Optimizer, learning_rate: float, n_steps: int
) -> lr_scheduler.LRScheduler:
    match name:
        case "constant":
            return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        case "one_cycle":
            return lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=n_steps, cycle_momentum=False)
        case _:
            raise ValueError(f"no schedule {name}")
