"""The state of every random generator that a training with torch draws from."""

from __future__ import annotations

from collections.abc import Mapping

import torch


class RandomState:
    """Torch's global generators, and one of spike trains."""

    def __init__(self, spikes: torch.Generator) -> None:
        """Hand in the generator of spike trains, which is on the device; torch's global ones are there anyway."""
        self._spikes = spikes

    def state_dict(self) -> dict[str, torch.Tensor]:
        """A byte tensor a generator."""
        states = {"global": torch.get_rng_state(), "spikes": self._spikes.get_state()}
        if self._spikes.device.type == "cuda":
            states["device"] = torch.cuda.get_rng_state(self._spikes.device)
        return states

    def load_state_dict(self, state: Mapping[str, torch.Tensor], /) -> None:
        """Draw what would have been drawn then."""
        torch.set_rng_state(state["global"])
        self._spikes.set_state(state["spikes"])
        if self._spikes.device.type == "cuda":
            torch.cuda.set_rng_state(state["device"], self._spikes.device)
