"""Diehl & Cook networks of tensors, which are shown a batch of samples at once.

Axis order is ours, ``B x T x C x H x W``.

Notation: B samples, T steps, M inputs, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.checkpoint import RandomState
from snnhpo_mpi.snn.encode import encoded, spike_generator
from snnhpo_mpi.snn.stdp.decode import SpikeTrains, join
from snnhpo_mpi.snn.stdp.two_layers import Bytes, Trains, TwoLayers


@dataclass(frozen=True, slots=True)
class Response:
    """Spikes to a batch, ``B x T x N`` bool each."""

    excitatory: Tensor
    inhibitory: Tensor


class InBatches(TwoLayers):
    """A network, which draws its weights and more from torch's global generators, as BindsNET does."""

    def __init__(self, device: torch.device) -> None:
        """Let spike trains follow from torch's seed."""
        self._device = device
        self._generator = spike_generator(torch.initial_seed(), device)

    @property
    @abstractmethod
    def w(self) -> Tensor:
        """Learnt weights, ``M x N``."""

    @property
    @abstractmethod
    def theta(self) -> Tensor:
        """Rise of the excitatory thresholds [mV], ``N``."""

    @property
    def size(self) -> tuple[int, int]:
        """See ``TwoLayers``."""
        return len(self.w), len(self.theta)

    @property
    @abstractmethod
    def _has_finite_potentials(self) -> bool:
        """Whether potentials were finite at the end of all presentations so far."""

    @abstractmethod
    def _present(self, spikes: Tensor, learning: bool) -> Response:
        """Present a batch ``B x T x C x H x W``."""

    @torch.inference_mode()
    def train(self, spikes: Tensor) -> Response:
        """Present a batch with learning on: weights and thresholds change at every step, norms at the end.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        return self._present(spikes, learning=True)

    @torch.inference_mode()
    def score(self, spikes: Tensor) -> Response:
        """Present a batch with weights and adaptive thresholds frozen.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        return self._present(spikes, learning=False)

    def seed(self, seed: int) -> None:
        """See ``TwoLayers``."""
        torch.manual_seed(seed)  # BindsNET draws which of several neurons fires
        self._generator = spike_generator(seed, self._device)

    def teach(self, samples: Bytes, encoding: EncodingSettings, batch_size: int) -> Trains:
        """See ``TwoLayers``."""
        batches = torch.split(torch.from_numpy(samples), batch_size)
        return _joined([_trains(self.train(self._encoded(batch, encoding))) for batch in batches])

    def read(self, samples: Bytes, encoding: EncodingSettings) -> Trains:
        """See ``TwoLayers``."""
        return _trains(self.score(self._encoded(torch.from_numpy(samples), encoding)))

    def _encoded(self, batch: Tensor, encoding: EncodingSettings) -> Tensor:
        return encoded(batch.to(self._device), encoding, self._generator)

    def state_dict(self) -> dict[str, Any]:
        """See ``TwoLayers``."""
        random = RandomState(self._generator).state_dict()
        return {"w": self.w.cpu().numpy(), "theta": self.theta.cpu().numpy(), "random": random}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``TwoLayers``."""
        self.w.copy_(torch.from_numpy(state["w"]))
        self.theta.copy_(torch.from_numpy(state["theta"]))
        if "random" in state:
            RandomState(self._generator).load_state_dict(state["random"])

    def _what_is_not_finite(self) -> str | None:
        for what, values in (("weights", self.w), ("adaptive thresholds", self.theta)):
            if not values.isfinite().all():
                return what
        return None if self._has_finite_potentials else "membrane potentials"


def _joined(parts: Sequence[Trains]) -> Trains:
    """The samples of several parts, one after another; at least one part."""
    return Trains(join([part.excitatory for part in parts]), join([part.inhibitory for part in parts]))


def _trains(response: Response) -> Trains:
    """Spikes of both layers as lists on the CPU."""
    return Trains(_listed(response.excitatory), _listed(response.inhibitory))


def _listed(spikes: Tensor) -> SpikeTrains:
    """Spikes ``B x T x N``."""
    sample, _, neuron = spikes.nonzero(as_tuple=True)
    per_sample = np.bincount(sample.cpu().numpy(), minlength=len(spikes))
    return SpikeTrains.of(per_sample, neuron.cpu().numpy(), spikes.shape[2])
