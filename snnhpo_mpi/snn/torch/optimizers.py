"""Optimizers by name."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch


def make(parameters: Iterable[torch.nn.Parameter], hyperparameters: Mapping[str, Any], n_steps: int) -> Any:
    """Adam."""
    return torch.optim.Adam(parameters, lr=float(hyperparameters["learning_rate"]))
