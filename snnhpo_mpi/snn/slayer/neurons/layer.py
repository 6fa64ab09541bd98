"""A layer of neurons as one differentiable call over all steps, whichever neurons and whatever computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from snnhpo_mpi.snn.slayer.neurons import Neuron


class Engine(Protocol):
    """A module that computes the steps of one kind of neuron."""

    def run(self, current: Tensor, constants: Any, /) -> tuple[Tensor, Tensor]:
        """Currents ``T x ...`` -> how far each neuron is from its threshold, and the spikes a step late, both alike."""
        ...

    def back(self, distance: Tensor, grad_output: Tensor, constants: Any, /) -> Tensor:
        """Gradient of the currents, from these distances and the gradient of the spikes, all ``T x ...``."""
        ...


def layer(constants: Any, engine_for: Callable[[Tensor], Engine]) -> Neuron:
    """The neurons with these constants.

    Args:
        constants: as the engine takes them.
        engine_for: the engine for currents on such a device.

    Returns:
        Currents ``T x ...`` -> ``T x ...``, 1 where a neuron fires, from rest. A spike leaves one step after it was
        fired; the last step's are lost.
    """

    def spikes(current: Tensor) -> Tensor:
        output: Tensor = _Spikes.apply(current, constants, engine_for(current))
        return output

    return spikes


class _Spikes(torch.autograd.Function):
    """The neurons' steps, and back."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, constants: Any, engine: Engine) -> Tensor:
        distance, output = engine.run(current.contiguous(), constants)
        ctx.constants, ctx.engine = constants, engine
        ctx.save_for_backward(distance)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return ctx.engine.back(distance, grads[0].contiguous(), ctx.constants), None, None
