"""What encodings are, however their spikes are computed: shapes, and how the times between spikes are distributed."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from snnhpo_mpi.config import EncodingSettings

FULL = 255.0  # intensity
RESPONSE_MIN = 0.1  # of a receptive field that fires: weaker ones would only mark the end (Bohte et al. 2002)


def input_shape(samples: Sequence[int], encoding: EncodingSettings) -> tuple[int, int, int]:
    """``C x H x W`` of an encoded sample, from the shape of samples ``B x C x H x W ...``."""
    _, n_channels, height, width, *_ = samples
    return n_channels * (encoding.fields or 1), height, width


@functools.lru_cache(maxsize=1)
def interval_table(encoding: EncodingSettings) -> NDArray[np.uint32] | None:
    """How the times between a pixel's spikes are distributed, where that is all there is to an encoding.

    Returns:
        ``256 x (T + 1)``: for each grey level the probability, times 2^32, that the next spike is at most 0, 1, ... T
        steps after the last (the first: after the beginning); None if spikes are not independent in this way.
    """
    if encoding.name not in ("poisson", "bernoulli", "poisson_intervals"):
        return None
    table = np.empty((256, encoding.steps + 1), np.uint32)
    for level, row in enumerate(table):
        row[:] = _cumulated(level / FULL, encoding)
    return table


def _cumulated(intensity: float, encoding: EncodingSettings) -> NDArray[np.uint32]:
    """The row of a grey level."""
    steps = np.arange(encoding.steps + 1)
    rate = intensity * ((encoding.max_rate_hz or 0.0) * encoding.dt_ms * 1e-3)  # a step
    match encoding.name:
        case "poisson":
            cumulated = -np.expm1(-rate * steps)
        case "bernoulli":
            assert encoding.max_probability is not None  # validated
            cumulated = 1.0 - (1.0 - intensity * encoding.max_probability) ** steps
        case "poisson_intervals":
            cumulated = pdtr(steps, min(1.0 / rate, 1e300) if rate else 1e300) * (steps > 0)
        case name:
            raise AssertionError(f"{name} has no intervals")
    scaled: NDArray[np.float64] = np.minimum(cumulated * 2.0**32, 2.0**32 - 1)
    return scaled.astype(np.uint32)
