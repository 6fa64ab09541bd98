"""Leaky integrate-and-fire neurons, with or without a synaptic current: what deployment tools can say.

    u <- (1 - d_u) u + z        v <- (1 - d_v) v + u        s = v > threshold, then v <- 0

in single precision. ``lif`` has no current of its own: u = z (d_u = 1). The gradient of a spike is
scale / (2 tau) exp(-|v - threshold| / tau), as of ``alif``; none flows through a reset. Source: Gerstner et al.,
Neuronal Dynamics (2014), section 1.3; Pedersen et al., Nature Communications 15 (2024), ``LIF`` and ``CubaLIF`` of the
Neuromorphic Intermediate Representation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snnhpo_mpi.snn.slayer.neurons.alif import GRAD_SCALE, TAU_SCALE
from snnhpo_mpi.trial import Params


@dataclass(frozen=True, slots=True)
class Lif:
    """Constants of a layer, ``keep_`` being what a step leaves; and of its gradient."""

    threshold: float
    keep_current: float
    keep_voltage: float
    tau: float
    scale: float


def lif(params: Params) -> Lif:
    """The hyperparameters of a network."""
    has_current = params["neuron"] == "cuba"
    threshold = float(params["threshold"])
    return Lif(
        threshold=threshold,
        keep_current=1.0 - float(params["current_decay"]) if has_current else 0.0,
        keep_voltage=1.0 - float(params["voltage_decay"]),
        tau=float(params["tau_grad"]) * threshold * TAU_SCALE,
        scale=float(params["scale_grad"]) * GRAD_SCALE,
    )


def run(current: Tensor, neuron: Lif) -> tuple[Tensor, Tensor]:
    """All steps from rest; see ``layer.Engine``."""
    distance, output = torch.empty_like(current), torch.zeros_like(current)
    u, v = torch.zeros_like(current[0]), torch.zeros_like(current[0])
    for t, arriving in enumerate(current.unbind()):
        u = torch.add(arriving, u, alpha=neuron.keep_current)
        v = torch.add(u, v, alpha=neuron.keep_voltage)
        torch.sub(v, neuron.threshold, out=distance[t])
        v.masked_fill_(distance[t] > 0, 0.0)
    torch.gt(distance[:-1], 0, out=output[1:])
    return distance, output


def back(distance: Tensor, grad_output: Tensor, neuron: Lif) -> Tensor:
    """Gradient of the currents; see ``layer.Engine``."""
    grad = distance.abs().div_(-neuron.tau).exp_().mul_(neuron.scale / 2).div_(neuron.tau)
    grad[:-1].mul_(grad_output[1:])
    grad[-1].zero_()
    silent = distance.le(0).to(grad.dtype)
    for t in reversed(range(len(grad) - 1)):
        grad[t].addcmul_(grad[t + 1], silent[t], value=neuron.keep_voltage)
    for t in reversed(range(len(grad) - 1)):
        grad[t].add_(grad[t + 1], alpha=neuron.keep_current)
    return grad
