"""From samples to spike trains, a batch of tensors at a time; ``stdp.engines.cpu_input`` encodes for single cores.

Axis order, here and in every file but the libraries' borders: ``B x T x C x H x W``. Images are ``B x C x H x W`` of
0 .. 255; recordings of an event camera are binned already, ``B x C x H x W x ceil(T / 8)`` bits (``data.binned``).
Each trial has a generator of its own, and each presentation of a sample fresh numbers of it.

Notation: B samples, T steps, P pixels of a sample.
"""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.draws import spike_seed
from snnhpo_mpi.snn.encodings import FULL, RESPONSE_MIN


def encoded(samples: Tensor, encoding: EncodingSettings, generator: torch.Generator) -> Tensor:
    """Spikes of a batch.

    Args:
        samples: images or binned recordings, uint8; for ``direct`` also float32.
        encoding: how.
        generator: on the device of the samples.

    Returns:
        ``B x T x C x H x W`` bool; of ``direct`` float32.
    """
    match encoding.name:
        case "poisson":
            assert encoding.max_rate_hz is not None  # validated
            return poisson(samples, encoding.steps, encoding.max_rate_hz, encoding.dt_ms, generator)
        case "poisson_intervals":
            assert encoding.max_rate_hz is not None  # validated
            return poisson_intervals(samples, encoding.steps, encoding.max_rate_hz, encoding.dt_ms, generator)
        case "bernoulli":
            assert encoding.max_probability is not None  # validated
            return bernoulli(samples, encoding.steps, encoding.max_probability, generator)
        case "latency":
            return latency(samples, encoding.steps, generator)
        case "rank_order":
            return rank_order(samples, encoding.steps, generator)
        case "receptive_fields":
            assert encoding.fields is not None  # validated
            return receptive_fields(samples, encoding.steps, encoding.fields, generator)
        case "events" | "none":
            return unpacked(samples, encoding.steps)
        case "direct":
            return direct(samples, encoding.steps)
        case _:
            assert_never(encoding.name)


def poisson(images: Tensor, n_steps: int, max_rate_hz: float, dt_ms: float, generator: torch.Generator) -> Tensor:
    """Rate code: in each time step a pixel fires with the probability of at least one event of a Poisson process.

    A step holds one spike at most, so this is the Poisson process seen at the network's own resolution, and steps are
    independent. BindsNET's encoder differs, see ``poisson_intervals``.

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        max_rate_hz: rate of a pixel of intensity 255.
        dt_ms: length of a step.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    rate_hz = images.flatten(1).to(torch.float32) * (max_rate_hz / FULL)
    return _independent(images, -torch.expm1(-rate_hz * (dt_ms * 1e-3)), n_steps, generator)


def poisson_intervals(
    images: Tensor, n_steps: int, max_rate_hz: float, dt_ms: float, generator: torch.Generator
) -> Tensor:
    """Rate code of BindsNET's ``PoissonEncoder``, which the published experiments use.

    The *intervals* between spikes, and before the first, are drawn from a Poisson distribution, at least one step each:
    trains are far more regular than a Poisson process (standard deviation of an interval: the root of its mean, not its
    mean), and dim pixels are silent, since their first interval hardly ever ends within the steps.

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        max_rate_hz: 1 / mean interval of a pixel of intensity 255.
        dt_ms: length of a step.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    flat = images.flatten(1)
    sample, pixel = flat.nonzero(as_tuple=True)
    mean = 1.0 / (flat[sample, pixel].to(torch.float32) * (max_rate_hz / FULL) * (dt_ms * 1e-3))  # [steps]
    # As many intervals as there are steps always reach the end.
    intervals = torch.poisson(mean[:, None].expand(-1, n_steps).contiguous(), generator=generator).clamp_(min=1)
    step = intervals.cumsum(1) - 1  # S x T
    lit, which = (step < n_steps).nonzero(as_tuple=True)
    spikes = torch.zeros(len(images), n_steps, flat.shape[1], dtype=torch.bool, device=images.device)
    spikes[sample[lit], step[lit, which].to(torch.int64), pixel[lit]] = True
    return spikes.reshape(len(images), n_steps, *images.shape[1:])


def bernoulli(images: Tensor, n_steps: int, max_probability: float, generator: torch.Generator) -> Tensor:
    """Rate code: in each time step a pixel fires with a probability in proportion to its intensity.

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        max_probability: of a pixel of intensity 255.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    return _independent(images, images.flatten(1).to(torch.float32) * (max_probability / FULL), n_steps, generator)


def _independent(images: Tensor, probability: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
    """Spikes of a ``probability`` ``B x P`` in every step, independent."""
    # Most pixels of a digit are black: no number is drawn for these.
    sample, pixel = probability.nonzero(as_tuple=True)
    noise = torch.rand(len(sample), n_steps, generator=generator, device=images.device)
    event, step = (noise < probability[sample, pixel][:, None]).nonzero(as_tuple=True)
    spikes = torch.zeros(len(images), n_steps, probability.shape[1], dtype=torch.bool, device=images.device)
    spikes[sample[event], step, pixel[event]] = True
    return spikes.reshape(len(images), n_steps, *images.shape[1:])


def latency(images: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
    """Temporal code: a pixel fires once, the earlier the brighter it is; a black one never (time to first spike).

    The time (1 - intensity) (T - 1) is rounded up or down at random, so that it is right on average.

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    flat = images.flatten(1)
    time = (1.0 - flat.to(torch.float32) / FULL) * (n_steps - 1)
    return _once(_rounded(time, generator), flat > 0, n_steps).reshape(len(images), n_steps, *images.shape[1:])


def rank_order(images: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
    """Temporal code: pixels fire once each, in order of their intensity, evenly over the steps; black ones never.

    Pixels of the same intensity fire in random order. Source: Thorpe & Gautrais, Computational Neuroscience 1998.

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        generator: on the device of the images.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    flat = images.flatten(1).to(torch.float32)
    noise = torch.rand(flat.shape, generator=generator, device=images.device)
    rank = (flat + noise).argsort(1, descending=True).argsort(1)
    n_firing = (flat > 0).sum(1, keepdim=True).clamp(min=1)
    spikes = _once(rank * n_steps // n_firing, flat > 0, n_steps)
    return spikes.reshape(len(images), n_steps, *images.shape[1:])


def receptive_fields(images: Tensor, n_steps: int, n_fields: int, generator: torch.Generator) -> Tensor:
    """Temporal population code: Gaussian fields over the intensity, each of which fires the earlier the nearer it is.

    Field i of F is centred at (i - 1/2) / (F - 2), i from 0, with the width 1 / (1.5 (F - 2)); a response r of
    at least 0.1 fires at (1 - r) (T - 1). Source: Bohte, La Poutre & Kok, IEEE Trans. Neural Networks 13 (2002).

    Args:
        images: ``B x C x H x W`` uint8.
        n_steps: T.
        n_fields: F, at least 3.
        generator: on the device of the images.

    Returns:
        ``B x T x (C F) x H x W`` bool, a channel's fields one after another.
    """
    intensity = images.to(torch.float32)[:, :, None] / FULL  # B x C x 1 x H x W
    centre = (torch.arange(n_fields, device=images.device) - 0.5) / (n_fields - 2)
    distance = (intensity - centre.view(-1, 1, 1)) * (1.5 * (n_fields - 2))
    response = torch.exp(-0.5 * distance.square()).flatten(1)
    spikes = _once(_rounded((1.0 - response) * (n_steps - 1), generator), response >= RESPONSE_MIN, n_steps)
    return spikes.reshape(len(images), n_steps, -1, *images.shape[2:])


def _rounded(time: Tensor, generator: torch.Generator) -> Tensor:
    """To a whole number above or below, which is right on average."""
    return (time + torch.rand(time.shape, generator=generator, device=time.device)).floor().to(torch.int64)


def _once(step: Tensor, fires: Tensor, n_steps: int) -> Tensor:
    """Spikes ``B x T x P`` in one step each ``B x P``, of those that fire."""
    spikes = torch.zeros(len(step), n_steps, step.shape[1], dtype=torch.bool, device=step.device)
    return spikes.scatter_(1, step.clamp(0, n_steps - 1)[:, None], fires[:, None])


def direct(samples: Tensor, n_steps: int) -> Tensor:
    """The samples themselves, as a current.

    Args:
        samples: ``B x C x H x W``, which is the current in every step: grey levels as 0 to 1, other numbers as they
            are; or one frame a step, ``B x C x H x W x T``.
        n_steps: T.

    Returns:
        ``B x T x C x H x W`` float32.
    """
    if samples.dim() == 5:
        return samples.movedim(-1, 1)
    current = samples.to(torch.float32) / FULL if samples.dtype == torch.uint8 else samples
    return current[:, None].expand(-1, n_steps, -1, -1, -1)


def unpacked(recordings: Tensor, n_steps: int) -> Tensor:
    """Bits of binned recordings, most significant first, as spikes.

    Args:
        recordings: ``B x C x H x W x ceil(T / 8)`` uint8.
        n_steps: T.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    bits = 2 ** torch.arange(7, -1, -1, dtype=torch.uint8, device=recordings.device)
    spikes = (recordings[..., None] & bits).bool().flatten(4)[..., :n_steps]
    return spikes.movedim(-1, 1)


def spike_generator(seed: int, device: torch.device) -> torch.Generator:
    """Randomness of a trial's spike trains; see ``spike_seed``."""
    return torch.Generator(device).manual_seed(spike_seed(seed))
