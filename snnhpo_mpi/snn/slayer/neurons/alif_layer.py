"""A layer of ``alif`` neurons: all steps in one differentiable call, by fused kernels where a GPU has them.

Outputs and gradients equal those of lava-dl 0.6.0.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.snn.slayer.neurons import Neuron
from snnhpo_mpi.snn.slayer.neurons.alif import Alif, alif
from snnhpo_mpi.snn.triton_available import fuses
from snnhpo_mpi.trial import Params


def neuron(params: Params) -> Neuron:
    """The neurons that the hyperparameters ask for."""
    return partial(spikes, neuron=alif(params))


def spikes(current: Tensor, neuron: Alif) -> Tensor:
    """Runs a layer from rest.

    Args:
        current: ``T x ...``, what arrives at each neuron in each step.
        neuron: its constants.

    Returns:
        ``T x ...``, 1 where a neuron fires. A spike leaves one step after it was fired; the last step's are lost.
    """
    output: Tensor = _Spikes.apply(current, neuron)
    return output


class _Spikes(torch.autograd.Function):
    """The neurons' steps, and back."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, neuron: Alif) -> Tensor:
        distance, output = _engine(current).run(current.contiguous(), neuron)
        ctx.neuron = neuron
        ctx.save_for_backward(distance)
        result: Tensor = output
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return _engine(distance).back(distance, grads[0].contiguous(), ctx.neuron), None


def _engine(like: Tensor) -> ModuleType:
    if not fuses(like):
        from snnhpo_mpi.snn.slayer.neurons import alif_torch

        return alif_torch
    from snnhpo_mpi.snn.slayer.neurons import alif_triton

    return alif_triton
