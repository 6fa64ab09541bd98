"""From images to spike trains.

Axis order, here and in every file but the libraries' borders: ``B x T x C x H x W``.
"""

from __future__ import annotations

import torch


def poisson(
    images: torch.Tensor, n_steps: int, max_rate_hz: float, dt_ms: float, generator: torch.Generator
) -> torch.Tensor:
    """Rate code: in each time step a pixel fires with the probability of at least one event of a Poisson process.

    A step holds one spike at most, so this is the Poisson process sampled at the network's own resolution; drawing
    inter-spike intervals and rounding them to steps, as BindsNET does, gives the same process up to that rounding.

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        max_rate_hz: rate of a pixel of intensity 255.
        dt_ms: length of a step.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    rate_hz = images.to(torch.float32) * (max_rate_hz / 255.0)
    probability = -torch.expm1(-rate_hz * (dt_ms * 1e-3))
    shape = (len(images), n_steps, *images.shape[1:])
    noise = torch.rand(shape, generator=generator, device=images.device)
    return noise < probability[:, None]
