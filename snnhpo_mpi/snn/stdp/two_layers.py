"""What every engine's Diehl & Cook network is to its trainer, whichever way it computes its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.encode import encoded
from snnhpo_mpi.snn.stdp.decode import SpikeTrains, join


@dataclass(frozen=True, slots=True)
class Response:
    """Spikes to a batch, ``B x T x N`` bool each."""

    excitatory: Tensor
    inhibitory: Tensor


@dataclass(frozen=True, slots=True)
class Trains:
    """Spikes to a batch, as lists on the CPU."""

    excitatory: SpikeTrains
    inhibitory: SpikeTrains

    @property
    def layers(self) -> dict[str, SpikeTrains]:
        """By the layers' names."""
        return {"excitatory": self.excitatory, "inhibitory": self.inhibitory}


class TwoLayers(ABC):
    """A network; weights and thresholds are all that outlasts a batch."""

    @property
    @abstractmethod
    def w(self) -> Tensor:
        """Learnt weights, ``M x N``."""

    @property
    @abstractmethod
    def theta(self) -> Tensor:
        """Rise of the excitatory thresholds [mV], ``N``."""

    @property
    @abstractmethod
    def _has_finite_potentials(self) -> bool:
        """Whether potentials were finite at the end of all presentations so far."""

    @abstractmethod
    def _present(self, spikes: Tensor, learning: bool) -> Response:
        """Present a batch ``B x T x C x H x W``."""

    def train(self, spikes: Tensor) -> Response:
        """Present a batch with learning on: weights and thresholds change at every step, norms at the end.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        return self._present(spikes, learning=True)

    def score(self, spikes: Tensor) -> Response:
        """Present a batch with weights and adaptive thresholds frozen.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        return self._present(spikes, learning=False)

    def refuse_divergence(self) -> None:
        """Raise if the network has left the finite numbers: such neurons never fire, or always do.

        It waits for the device, so not to be asked at every batch.

        Raises:
            FloatingPointError: says what is not finite.
        """
        for what, values in (("weights", self.w), ("adaptive thresholds", self.theta)):
            if not values.isfinite().all():
                raise FloatingPointError(f"training diverged: {what} are not finite")
        if not self._has_finite_potentials:
            raise FloatingPointError("training diverged: membrane potentials are not finite")

    def teach(self, samples: Tensor, encoding: EncodingSettings, generator: torch.Generator, batch_size: int) -> Trains:
        """Encode samples and train on them, in batches.

        Args:
            samples: images or binned recordings, uint8.
            encoding: how they become spikes.
            generator: on the device of the network.
            batch_size: samples whose weight changes are summed.
        """
        return _joined([self._show(batch, encoding, generator, True) for batch in torch.split(samples, batch_size)])

    def read(self, samples: Tensor, encoding: EncodingSettings, generator: torch.Generator) -> Trains:
        """Encode samples and present them at once, with weights and adaptive thresholds frozen; see ``teach``."""
        return self._show(samples, encoding, generator, False)

    def _show(self, batch: Tensor, encoding: EncodingSettings, generator: torch.Generator, learning: bool) -> Trains:
        response = self._present(encoded(batch.to(self.w.device), encoding, generator), learning)
        return Trains(*(_trains(spikes) for spikes in (response.excitatory, response.inhibitory)))

    def state_dict(self) -> dict[str, Tensor]:
        """What outlasts a batch."""
        return {"w": self.w, "theta": self.theta}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take weights and adaptive thresholds of another network of this size."""
        self.w.copy_(state["w"])
        self.theta.copy_(state["theta"])


def _joined(parts: Sequence[Trains]) -> Trains:
    """The samples of several parts, one after another; at least one part."""
    return Trains(join([part.excitatory for part in parts]), join([part.inhibitory for part in parts]))


def _trains(spikes: Tensor) -> SpikeTrains:
    """Spikes ``B x T x N`` as a list of events on the CPU."""
    sample, _, neuron = spikes.nonzero(as_tuple=True)
    return SpikeTrains(sample.cpu().numpy(), neuron.cpu().numpy(), spikes.shape[0], spikes.shape[2])
