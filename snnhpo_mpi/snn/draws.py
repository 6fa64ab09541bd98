"""Random numbers of a training on a core, without torch.

They are those of torch's generator on a CPU, so that equal seeds begin with equal weights whichever engine trains: the
Mersenne Twister (Matsumoto & Nishimura, ACM TOMACS 1998), of which a number takes 24 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
AT_ONCE = 2**16  # numbers: their bits take more memory than they do themselves


class Draws:
    """A generator."""

    def __init__(self, seed: int) -> None:
        """Begin as ``torch.manual_seed`` does, which takes 32 bits of a seed."""
        _, key, position, *_ = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=True)  # it seeds as torch does
        self._bits = np.random.MT19937()
        self.load_state_dict({"key": key, "position": position})

    def uniform(self, shape: tuple[int, ...]) -> Float32s:
        """Numbers from 0 to 1 - 2^-24, as ``torch.rand``."""
        drawn = np.empty(math.prod(shape), np.float32)
        for part in (drawn[first : first + AT_ONCE] for first in range(0, len(drawn), AT_ONCE)):
            part[:] = (self._bits.random_raw(len(part)) & np.uint64(2**24 - 1)) * 2.0**-24
        return drawn.reshape(shape)

    def integer(self) -> int:
        """A number from 0 to 2^63 - 2, as ``torch.randint``."""
        high, low = self._bits.random_raw(2).tolist()
        return int((high << 32 | low) % (2**63 - 1))

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        state: Mapping[str, Any] = self._bits.state["state"]
        return {"key": state["key"], "position": int(state["pos"])}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Draw what would have been drawn then."""
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": state["key"], "pos": state["position"]},
        }


def spike_seed(seed: int) -> int:
    """The seed of a trial's spike trains.

    Not the trial's seed itself: spikes would repeat the very numbers from which the initial weights were drawn.
    """
    (own,) = np.random.SeedSequence(seed, spawn_key=(0,)).generate_state(1, np.uint32)
    return int(own)
