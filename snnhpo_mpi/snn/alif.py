"""Adaptive leaky integrate-and-fire neurons with a surrogate gradient, all steps of a layer in one differentiable call.

    u <- (1 - d_u) u + z             r <- (1 - d_r) r        s = v >= threshold + a + r
    v <- (1 - d_v) v + u             a <- (1 - d_a) a        then r + 2 (threshold + a), a + step where it fires

in whole numbers of 1/4096, decays rounded towards zero, as Loihi computes them; the gradient of a spike is
scale / (2 tau) exp(-|v - threshold - a - r| / tau), and none flows through a and r. Source: lava-dl 0.6.0,
``slayer.neuron.alif``; Shrestha & Orchard, NeurIPS 2018 (SLAYER), section 3. Outputs and gradients equal the library's.

Notation: T steps, n neurons of all samples. Time goes first, so that a step is one piece of memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnhpo_mpi.trial import Params

DECAY_ONE = 1 << 12  # a decay of 1, and a potential of 1, in the library's whole numbers
WEIGHT_ONE = 1 << 6
TAU_SCALE, GRAD_SCALE = 100.0, 0.1  # of the library, so that its parameters are near 1
PIECE = 1 << 14  # neurons whose states stay in a CPU's cache from step to step


@dataclass(frozen=True, slots=True)
class Alif:
    """Constants of a layer in whole numbers of the library, ``keep_`` being what a step leaves; and of its gradient."""

    threshold: int
    threshold_step: int
    keep_current: float
    keep_voltage: float
    keep_threshold: float
    keep_refractory: float
    tau: float
    scale: float


def alif(params: Params) -> Alif:
    """The hyperparameters of a network, rounded as the library rounds them."""
    value = {name: float(number) for name, number in params.items() if not isinstance(number, str)}
    threshold = int(value["threshold"] * WEIGHT_ONE) / WEIGHT_ONE

    def keep(name: str) -> float:
        decay = torch.tensor(DECAY_ONE * value[f"{name}_decay"], dtype=torch.float32)
        if name in ("current", "voltage"):
            decay = decay.clamp(0, DECAY_ONE)
        return 1.0 - float(decay.round()) / DECAY_ONE

    return Alif(
        threshold=int(threshold * DECAY_ONE),
        threshold_step=int(int(value["threshold_step"] * WEIGHT_ONE) / WEIGHT_ONE * DECAY_ONE),
        keep_current=keep("current"),
        keep_voltage=keep("voltage"),
        keep_threshold=keep("threshold"),
        keep_refractory=keep("refractory"),
        tau=value["tau_grad"] * threshold * TAU_SCALE,
        scale=value["scale_grad"] * GRAD_SCALE,
    )


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
        distance = torch.empty_like(current, memory_format=torch.contiguous_format)
        whole, away = current.reshape(len(current), -1), distance.view(len(current), -1)
        piece = PIECE if current.device.type == "cpu" else whole.shape[1]
        for start in range(0, whole.shape[1], piece):
            _run(whole[:, start : start + piece], neuron, away[:, start : start + piece])
        output = torch.zeros_like(distance)
        torch.ge(distance[:-1], 0, out=output[1:])
        ctx.neuron = neuron
        ctx.save_for_backward(distance)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        neuron: Alif = ctx.neuron
        # Divisions by torch: a threshold rounded to 0 makes tau 0 and the gradient infinite or no number, not an error.
        grad = distance.abs().div_(-neuron.tau).exp_().mul_(neuron.scale / 2).div_(neuron.tau)
        grad[:-1].mul_(grads[0][1:])
        grad[-1].zero_()
        steps = grad.view(len(grad), -1)
        piece = PIECE if grad.device.type == "cpu" else steps.shape[1]
        for start in range(0, steps.shape[1], piece):
            part = steps[:, start : start + piece].unbind()
            for keep in (neuron.keep_voltage, neuron.keep_current):
                for t in reversed(range(len(part) - 1)):
                    part[t].add_(part[t + 1], alpha=keep)
        return grad, None


def _run(current: Tensor, neuron: Alif, distance: Tensor) -> None:
    """All steps of some neurons ``T x n``; ``distance`` gets how far each is above its threshold."""
    u, v, r, a = torch.zeros(4, current.shape[1], dtype=torch.float64, device=current.device).unbind()
    may_look = current.device.type == "cpu"
    has_fired = not may_look
    for arriving, away in zip(current.unbind(), distance.unbind(), strict=True):
        _trunc(u.mul_(neuron.keep_current)).add_(_trunc(arriving * DECAY_ONE))
        _trunc(v.mul_(neuron.keep_voltage)).add_(u)
        if has_fired:
            r.mul_(neuron.keep_refractory).floor_()  # never negative, nor is the next
            a.mul_(neuron.keep_threshold).floor_()
            above = (v - r).sub_(a).sub_(neuron.threshold)
        else:
            above = v - neuron.threshold
        torch.mul(above, 1.0 / DECAY_ONE, out=away)
        fired = above >= 0
        if not may_look or fired.numpy().any():
            has_fired, fires = True, fired.to(torch.float64)
            r.addcmul_(fires, a, value=2.0).add_(fires, alpha=2.0 * neuron.threshold)
            a.add_(fires, alpha=float(neuron.threshold_step))


def _trunc(x: Tensor) -> Tensor:
    """Rounds towards zero in place; NumPy does it nine times as fast as torch on a CPU."""
    if x.device.type != "cpu":
        return x.trunc_()
    array = x.numpy()
    np.trunc(array, out=array)
    return x
