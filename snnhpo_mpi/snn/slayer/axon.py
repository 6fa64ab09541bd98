"""Learnable axonal delay of a channel: the library's own walks over all neurons one by one on the CPU.

A spike of channel c leaves floor(delay_c) steps later; what would leave after the last step is lost. The delay's
gradient is the one of lava-dl 0.6.0 (``slayer.axon.Delay``; Shrestha & Orchard, NeurIPS 2018, SLAYER, section 3.2):
minus the output's difference in time.

Notation: T steps, B samples, C channels. Time goes first.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def shift(x: Tensor, steps: Tensor) -> Tensor:
    """Moves each channel of ``x`` in time, filling with zeros.

    Args:
        x: ``T x B x C x ...``.
        steps: ``C`` int64, later if positive.
    """
    return _shift_by_slices(x, steps.tolist()) if x.device.type == "cpu" else _shift_by_index(x, steps)


def _shift_by_slices(x: Tensor, steps: list[int]) -> Tensor:
    """Several times faster on the CPU than gathering."""
    if not any(steps):
        return x
    n_steps = len(x)
    shifted = torch.zeros_like(x)
    for channel, step in enumerate(steps):
        if abs(step) < n_steps:
            to, source = max(step, 0), max(-step, 0)
            kept = n_steps - abs(step)
            shifted[to : to + kept, :, channel] = x[source : source + kept, :, channel]
    return shifted


def _shift_by_index(x: Tensor, steps: Tensor) -> Tensor:
    """Without asking a GPU for the steps."""
    source = (torch.arange(len(x), device=x.device)[:, None] - steps).view(len(x), 1, -1, *[1] * (x.dim() - 3))
    is_outside = (source < 0) | (source >= len(x))
    return x.gather(0, source.clamp(0, len(x) - 1).expand_as(x)).masked_fill_(is_outside, 0.0)


class _Shift(torch.autograd.Function):
    """``shift`` by the whole part of real delays, differentiable in both."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, delay: Tensor) -> Tensor:
        steps = delay.floor().long()
        output = shift(x, steps)
        ctx.save_for_backward(output, steps)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,) = grads
        output, steps = ctx.saved_tensors
        # minus the sum over t of grad_t (output_t - output_{t-1}), without a copy of either
        product = -(grad * output)
        product[1:].addcmul_(grad[1:], output[:-1])
        others = [axis for axis in range(output.dim()) if axis != 2]
        return shift(grad, -steps), product.sum(others)


class AxonalDelay(torch.nn.Module):
    """One learnable delay a channel, in [0, ``max_delay``] steps; drawn from [0, 1) at first, that is, none."""

    def __init__(self, n_channels: int, max_delay: float) -> None:
        super().__init__()
        self.max_delay = max_delay
        self.delay = torch.nn.Parameter(torch.rand(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """``T x B x C x ...`` spikes -> the same, delayed."""
        with torch.no_grad():
            self.delay.clamp_(0, self.max_delay)
        delayed: Tensor = _Shift.apply(x, self.delay)
        return delayed
