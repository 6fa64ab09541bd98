"""All steps of a layer of ``alif`` neurons in one kernel, whose states never leave the registers: for GPUs.

Equations: ``snn.alif``. Notation: T steps, n neurons of all samples.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from snnhpo_mpi.snn.slayer.neurons.alif import DECAY_ONE, Alif

BLOCK = 128  # neurons of a program


@triton.jit
def _trunc(x):
    """Rounds towards zero."""
    return tl.where(x < 0, tl.ceil(x), tl.floor(x))


@triton.jit(do_not_specialize=["n", "n_steps", "threshold", "threshold_step"])
def _forward(
    current,
    distance,
    output,
    n,
    n_steps,
    threshold,
    threshold_step,
    keep_u,
    keep_v,
    keep_a,
    keep_r,
    ONE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Steps of ``BLOCK`` neurons from rest: ``current`` to ``distance`` above the threshold and late ``output``.

    All three are ``T x n``; a spike leaves a step late. The constants are those of ``Alif``, ``ONE`` a potential of 1.
    """
    neuron = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = neuron < n
    u = tl.zeros([BLOCK], tl.float64)
    v = tl.zeros([BLOCK], tl.float64)
    r = tl.zeros([BLOCK], tl.float64)
    a = tl.zeros([BLOCK], tl.float64)
    fires = tl.zeros([BLOCK], tl.float64)
    place = neuron.to(tl.int64)
    for _ in range(n_steps):
        tl.store(output + place, fires, mask=inside)
        arriving = tl.load(current + place, mask=inside, other=0.0) * ONE
        u = _trunc(u * keep_u) + _trunc(arriving).to(tl.float64)
        v = _trunc(v * keep_v) + u
        r = tl.floor(r * keep_r)
        a = tl.floor(a * keep_a)
        above = v - r - a - threshold
        tl.store(distance + place, above * (1.0 / ONE), mask=inside)
        fires = tl.where(above >= 0, 1.0, 0.0).to(tl.float64)
        r += fires * (2.0 * a + 2.0 * threshold)
        a += fires * threshold_step
        place += n


@triton.jit(do_not_specialize=["n", "n_steps"])
def _backward(distance, grad_output, grad, n, n_steps, keep_u, keep_v, tau, scale, BLOCK: tl.constexpr):
    """Gradients of the currents of ``BLOCK`` neurons, from those of the spikes; all ``T x n``."""
    neuron = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = neuron < n
    of_v = tl.zeros([BLOCK], tl.float32)
    of_u = tl.zeros([BLOCK], tl.float32)
    place = tl.cast(n, tl.int64) * (n_steps - 1) + neuron
    for back in range(n_steps):
        above = tl.load(distance + place, mask=inside, other=0.0)
        # The last step's spikes leave after the end.
        outer = tl.load(grad_output + place + n, mask=inside & (back > 0), other=0.0)
        surrogate = tl.exp(-tl.abs(above) / tau) * (0.5 * scale) / tau
        of_v = tl.where(back > 0, surrogate * outer, 0.0) + keep_v * of_v
        of_u = of_v + keep_u * of_u
        tl.store(grad + place, of_u, mask=inside)
        place -= n


def run(current: Tensor, neuron: Alif) -> tuple[Tensor, Tensor]:
    """All steps from rest.

    Args:
        current: ``T x ...``, contiguous, in single precision.
        neuron: constants.

    Returns:
        How far each neuron is above its threshold, and the spikes, a step late; both as ``current``.
    """
    distance, output = torch.empty_like(current), torch.empty_like(current)
    n = current[0].numel()
    _forward[(triton.cdiv(n, BLOCK),)](
        current, distance, output, n, len(current), neuron.threshold, neuron.threshold_step, neuron.keep_current,
        neuron.keep_voltage, neuron.keep_threshold, neuron.keep_refractory, ONE=DECAY_ONE, BLOCK=BLOCK,
    )  # fmt: skip
    return distance, output


def back(distance: Tensor, grad_output: Tensor, neuron: Alif) -> Tensor:
    """Gradient of the currents, from ``run``'s distances and the gradient of the spikes, all ``T x ...``."""
    grad, n = torch.empty_like(distance), distance[0].numel()
    _backward[(triton.cdiv(n, BLOCK),)](
        distance, grad_output, grad, n, len(distance), neuron.keep_current, neuron.keep_voltage, neuron.tau,
        neuron.scale, BLOCK=BLOCK,
    )  # fmt: skip
    return grad
