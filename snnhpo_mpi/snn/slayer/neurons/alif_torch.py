"""Steps of a layer of ``alif`` neurons, and back, by torch's operations: for CPUs, and GPUs without a compiler.

Time goes first, so that a step is one piece of memory. Equations: ``alif``.

Notation: T steps, n neurons of all samples.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from snnhpo_mpi.snn.slayer.neurons.alif import DECAY_ONE, Alif

PIECE = 1 << 14  # neurons whose states stay in a CPU's cache from step to step


def run(current: Tensor, neuron: Alif) -> tuple[Tensor, Tensor]:
    """All steps from rest.

    Args:
        current: ``T x ...``, contiguous.
        neuron: constants.

    Returns:
        How far each neuron is above its threshold, and the spikes, a step late; both as ``current``.
    """
    distance = torch.empty_like(current)
    whole, away = current.view(len(current), -1), distance.view(len(current), -1)
    piece = PIECE if current.device.type == "cpu" else whole.shape[1]
    for start in range(0, whole.shape[1], piece):
        _run(whole[:, start : start + piece], neuron, away[:, start : start + piece])
    output = torch.zeros_like(distance)
    torch.ge(distance[:-1], 0, out=output[1:])
    return distance, output


def back(distance: Tensor, grad_output: Tensor, neuron: Alif) -> Tensor:
    """Gradient of the currents, from ``run``'s distances and the gradient of the spikes, all ``T x ...``."""
    # Divisions by torch: a threshold rounded to 0 makes tau 0 and the gradient infinite or no number, not an error.
    grad = distance.abs().div_(-neuron.tau).exp_().mul_(neuron.scale / 2).div_(neuron.tau)
    grad[:-1].mul_(grad_output[1:])
    grad[-1].zero_()
    steps = grad.view(len(grad), -1)
    piece = PIECE if grad.device.type == "cpu" else steps.shape[1]
    for start in range(0, steps.shape[1], piece):
        part = steps[:, start : start + piece].unbind()
        for keep in (neuron.keep_voltage, neuron.keep_current):
            for t in reversed(range(len(part) - 1)):
                part[t].add_(part[t + 1], alpha=keep)
    return grad


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
