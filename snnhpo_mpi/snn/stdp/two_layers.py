"""What every engine's Diehl & Cook network is to its trainer, whichever way it computes its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.stdp.decode import SpikeTrains

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Trains:
    """Spikes to some samples."""

    excitatory: SpikeTrains
    inhibitory: SpikeTrains

    @property
    def layers(self) -> dict[str, SpikeTrains]:
        """By the layers' names."""
        return {"excitatory": self.excitatory, "inhibitory": self.inhibitory}


class TwoLayers(ABC):
    """A network; weights, thresholds and what it draws from are all that outlasts a presentation."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Inputs and excitatory neurons."""

    @abstractmethod
    def seed(self, seed: int) -> None:
        """Draw all that is random as a trial of this seed does, once its weights are there."""

    @abstractmethod
    def teach(self, samples: Bytes, encoding: EncodingSettings, batch_size: int) -> Trains:
        """Encode samples and train on them, in batches: weights change at every step, norms at the end of each.

        Args:
            samples: images or binned recordings, as ``data`` has them.
            encoding: how they become spikes.
            batch_size: samples whose weight changes are summed.
        """

    @abstractmethod
    def read(self, samples: Bytes, encoding: EncodingSettings) -> Trains:
        """Encode samples and present them with weights and adaptive thresholds frozen; see ``teach``."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What outlasts a presentation: ``w`` and ``theta`` as arrays, and ``random``."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of another network of this size; without ``random``, its weights and thresholds alone."""

    @abstractmethod
    def _what_is_not_finite(self) -> str | None:
        """Weights, adaptive thresholds or membrane potentials, at the end of any presentation so far."""

    def refuse_divergence(self) -> None:
        """Raise if the network has left the finite numbers: such neurons never fire, or always do.

        It waits for the device, so not to be asked at every batch.

        Raises:
            FloatingPointError: says what is not finite.
        """
        if (what := self._what_is_not_finite()) is not None:
            raise FloatingPointError(f"training diverged: {what} are not finite")
