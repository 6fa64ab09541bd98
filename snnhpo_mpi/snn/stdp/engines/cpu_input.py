"""What the compiled code is shown: images with the distribution of their spikes, or the spikes themselves as bits.

Notation: B samples, P pixels, M inputs, T steps.
"""

from __future__ import annotations

from typing import Any, Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.encodings import FULL, RESPONSE_MIN, interval_table
from snnhpo_mpi.snn.stdp.engines.cpu_steps import Samples

Bytes = NDArray[np.uint8]
Float32s = NDArray[np.float32]
NO_IMAGES, NO_BITS = np.zeros((0, 0), np.uint8), np.zeros((0, 0, 0), np.uint8)
NO_INTERVALS = np.zeros((0, 0), np.uint32)


class Random(Protocol):
    """Whatever draws random numbers."""

    def uniform(self, shape: tuple[int, ...]) -> Float32s:
        """Numbers from 0 to below 1."""
        ...

    def integer(self) -> int:
        """A number from 0 to 2^63 - 2."""
        ...


def shown(samples: Bytes, encoding: EncodingSettings, random: Random) -> Samples:
    """Encode samples.

    Args:
        samples: ``B x C x H x W`` images or ``B x C x H x W x ceil(T / 8)`` binned recordings.
        encoding: how they become spikes; see ``encode`` for each.
        random: for encodings whose spikes are not drawn by the compiled code.
    """
    intervals = interval_table(encoding)
    if intervals is not None:
        return Samples(encoding.steps, samples.reshape(len(samples), -1), intervals, NO_BITS)
    match encoding.name:
        case "events" | "none":
            return shown_bits(samples.reshape(len(samples), -1, samples.shape[-1]), encoding.steps)
        case "latency":
            step, fires = _latency(samples.reshape(len(samples), -1), encoding.steps, random)
        case "rank_order":
            step, fires = _rank_order(samples.reshape(len(samples), -1), encoding.steps, random)
        case "receptive_fields":
            assert encoding.fields is not None  # validated
            step, fires = _receptive_fields(samples, encoding.steps, encoding.fields, random)
        case "poisson" | "bernoulli" | "poisson_intervals" | "direct":
            raise AssertionError  # have intervals; refused by the validation of the configuration
        case _:
            assert_never(encoding.name)
    return shown_bits(_once(step, fires, encoding.steps), encoding.steps)


def shown_bits(bits: Bytes, n_steps: int) -> Samples:
    """Spikes ``B x M x ceil(T / 8)``, the first step in the most significant bit."""
    return Samples(n_steps, NO_IMAGES, NO_INTERVALS, bits)


# Each of these: the step of an input's only spike, ``B x M``, and whether it fires at all.
_Once = tuple[NDArray[np.integer[Any]], NDArray[np.bool_]]


def _latency(pixels: Bytes, n_steps: int, random: Random) -> _Once:
    intensity = pixels.astype(np.float32) / np.float32(FULL)
    return _rounded((1 - intensity) * np.float32(n_steps - 1), random), pixels > 0


def _rank_order(pixels: Bytes, n_steps: int, random: Random) -> _Once:
    brightness = pixels + random.uniform(pixels.shape)
    rank = np.argsort(np.argsort(-brightness, 1, kind="stable"), 1)
    n_firing = np.maximum((pixels > 0).sum(1, keepdims=True), 1)
    return rank * n_steps // n_firing, pixels > 0


def _receptive_fields(images: Bytes, n_steps: int, n_fields: int, random: Random) -> _Once:
    centre = ((np.arange(n_fields) - 0.5) / (n_fields - 2)).astype(np.float32)
    distance = (images[:, :, None] / np.float32(FULL) - centre[:, None, None]) * np.float32(1.5 * (n_fields - 2))
    response = np.exp(np.float32(-0.5) * distance * distance).reshape(len(images), -1)
    return _rounded((1 - response) * np.float32(n_steps - 1), random), response >= RESPONSE_MIN


def _rounded(time: Float32s, random: Random) -> NDArray[np.int64]:
    """To a whole number above or below, which is right on average."""
    rounded: Float32s = np.floor(time + random.uniform(time.shape))
    return rounded.astype(np.int64)


def _once(step: NDArray[np.integer[Any]], fires: NDArray[np.bool_], n_steps: int) -> Bytes:
    """Bits of one spike each, of those that fire."""
    bits = np.zeros((*step.shape, -(-n_steps // 8)), np.uint8)
    sample, source = np.nonzero(fires)
    at = np.clip(step[sample, source], 0, n_steps - 1)
    bits[sample, source, at >> 3] = 0x80 >> (at & 7)
    return bits
