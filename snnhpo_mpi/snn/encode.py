"""From images to spike trains.

Axis order, here and in every file but the libraries' borders: ``B x T x C x H x W``.
"""

from __future__ import annotations

import numpy as np
import torch


def poisson(
    images: torch.Tensor, n_steps: int, max_rate_hz: float, dt_ms: float, generator: torch.Generator
) -> torch.Tensor:
    """Rate code: in each time step a pixel fires with the probability of at least one event of a Poisson process.

    A step holds one spike at most, so this is the Poisson process seen at the network's own resolution, and steps are
    independent. BindsNET's encoder differs: it draws the *intervals* from a Poisson distribution, which makes trains
    far more regular than a Poisson process (standard deviation of an interval: the root of its mean, not its mean).

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        max_rate_hz: rate of a pixel of intensity 255.
        dt_ms: length of a step.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    flat = images.flatten(1)
    rate_hz = flat.to(torch.float32) * (max_rate_hz / 255.0)
    probability = -torch.expm1(-rate_hz * (dt_ms * 1e-3))
    # Most pixels of a digit are black: no number is drawn for these.
    sample, pixel = flat.nonzero(as_tuple=True)
    noise = torch.rand(len(sample), n_steps, generator=generator, device=images.device)
    event, step = (noise < probability[sample, pixel][:, None]).nonzero(as_tuple=True)
    spikes = torch.zeros(len(flat), n_steps, flat.shape[1], dtype=torch.bool, device=images.device)
    spikes[sample[event], step, pixel[event]] = True
    return spikes.reshape(len(flat), n_steps, *images.shape[1:])


def spike_generator(seed: int, device: torch.device) -> torch.Generator:
    """Randomness of a trial's spike trains.

    Not seeded with the trial's seed itself, as torch's global generators are: spikes would repeat the very numbers from
    which the initial weights were drawn.
    """
    (own,) = np.random.SeedSequence(seed, spawn_key=(0,)).generate_state(1, np.uint32)
    return torch.Generator(device).manual_seed(int(own))
