"""What learners by gradients have in common, whatever the network: batches, spikes, random numbers and state.

Notation: B samples, T steps, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.interfaces import Ints, Learnt
from snnhpo_mpi.snn.checkpoint import RandomState
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows, Samples
from snnhpo_mpi.snn.early_stopping.monitor import Events
from snnhpo_mpi.snn.encode import encoded, spike_generator

SCORE_BATCH = 128  # samples scored at once


class Learning(Protocol):
    """A network that learns from one batch after another."""

    def train(self, spikes: Tensor, classes: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Predict a batch, and take one step down its loss.

        Args:
            spikes: ``B x T x C x H x W``.
            classes: ``B``; of a regression ``B x K`` numbers.

        Returns:
            Predicted classes ``B``, or numbers ``B x K``; layer -> ``B`` spikes of each sample, or ``L x B`` of
            several; the network's output.
        """
        ...

    def end_training(self) -> None:
        """Give back what is needed for learning alone."""

    def state_dict(self) -> dict[str, Any]:
        """The network and the moments of its gradient."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Learn on from there, before the first batch."""


@dataclass(frozen=True, slots=True)
class Presented:
    """Samples as a network is shown them.

    Attributes:
        encoding: how they become spikes.
        device: where the network is.
        generator: of the spikes.
    """

    encoding: EncodingSettings
    device: torch.device
    generator: torch.Generator

    def spikes(self, samples: Samples) -> Tensor:
        """``B x C x H x W ...`` as ``data`` has them -> ``B x T x C x H x W``."""
        return encoded(torch.from_numpy(samples).to(self.device), self.encoding, self.generator).to(torch.float32)

    def classes(self, samples: Rows | Samples, read: Callable[[Tensor], Tensor]) -> Ints:
        """``B`` classes of samples; ``read``: spikes of some -> their classes."""
        starts = range(0, len(samples), SCORE_BATCH)
        return np.concatenate([read(self.spikes(samples[one : one + SCORE_BATCH])).cpu().numpy() for one in starts])


class GradientLearner:
    """A network that learns by gradients, and its random numbers; see ``Learner``."""

    def __init__(self, split: Split, encoding: EncodingSettings, device: str, batch_size: int, seed: int) -> None:
        """Seed whatever draws; a network is yet to be built: ``_begin``."""
        torch.manual_seed(seed)  # networks draw from torch's global generators
        self._split, self._device = split, torch.device(device)
        self._presented = Presented(encoding, self._device, spike_generator(seed, self._device))
        self.batch_size = self.look_every = batch_size

    def _begin(self, learning: Learning) -> None:
        self._learning = learning
        self._random = RandomState(self._presented.generator)

    def order(self, epoch: int) -> Ints:
        """See ``Learner``: drawn with all else that is random, so of any epoch's number."""
        return torch.randperm(len(self._split.train_y)).numpy()

    def learn(self, rows: Ints) -> Learnt:
        """See ``Learner``; of one batch.

        Raises:
            FloatingPointError: the loss or its gradient is not finite.
        """
        labels = torch.from_numpy(self._split.train_y[rows])
        spikes = self._presented.spikes(self._split.train_x[rows])
        predicted, found, output = self._learning.train(spikes, labels.to(self._device))
        counts = {layer: n.cpu() for layer, n in found.items()}
        spiked, answers = {layer: n.numpy() for layer, n in counts.items()}, predicted.cpu()
        if answers.is_floating_point():  # of a regression
            return Learnt(spiked, None, self._saturated(output), answers.numpy())
        return Learnt(spiked, (answers == labels).long().numpy(), self._saturated(output))

    def _saturated(self, output: Tensor) -> dict[str, Events]:
        """Layer -> ``B``, whether the sample saturates it, where that is watched."""
        return {}

    def refuse_divergence(self) -> None:
        """See ``Learner``: ``learn`` raises itself."""

    def end_epoch(self) -> None:
        """See ``Learner``: nothing is counted by epochs."""

    def end_training(self) -> None:
        """See ``Learner``."""
        self._learning.end_training()

    def state_dict(self) -> dict[str, Any]:
        """See ``Learner``."""
        return {**self._learning.state_dict(), "random": self._random.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """See ``Learner``."""
        self._learning.load_state_dict(state)
        self._random.load_state_dict(state["random"])
