"""How anybody's network learns by gradients: its part of the loop in ``snn/trainer.py``.

Notation: B samples, T steps, C channels, H x W pixels, K classes; L layers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from snnhpo_mpi.config import EncodingSettings, StudyConfig, TorchSettings
from snnhpo_mpi.hyperparameters.networks import TORCH, defaults
from snnhpo_mpi.interfaces import Ints
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows, Samples
from snnhpo_mpi.snn.encode import spike_generator
from snnhpo_mpi.snn.encodings import input_shape
from snnhpo_mpi.snn.gradient_learner import GradientLearner, Presented
from snnhpo_mpi.snn.torch.learning import Learning, Reading
from snnhpo_mpi.snn.torch.network import Shapes, build, defaults_of
from snnhpo_mpi.snn.torch.presentation import Presentation
from snnhpo_mpi.snn.torch.probe import MORE, probe
from snnhpo_mpi.snn.torch.trying import check_network, described, watched_layers
from snnhpo_mpi.trial import Params


@dataclass(frozen=True, slots=True)
class TorchTask:
    """What all trials of a study share.

    Attributes:
        config: a study whose trainer is ``torch``.
        split: its data.
        device: where networks are, by torch's name.
    """

    config: StudyConfig
    split: Split
    device: str

    @property
    def settings(self) -> TorchSettings:
        """Of the trainer."""
        assert isinstance(self.config.trainer, TorchSettings)
        return self.config.trainer

    @property
    def defaults(self) -> Params:
        """Of all hyperparameters."""
        return defaults_of(self.settings.network) | defaults("torch", self.settings.network)

    @property
    def shapes(self) -> Shapes:
        """What networks are for."""
        encoding = self.settings.encoding
        return Shapes(input_shape(self.split.train_x.shape, encoding), self.split.n_classes, encoding.steps)

    def some_samples(self) -> torch.Tensor:
        """``5 x T x C x H x W``, encoded training samples; the same each time."""
        device = torch.device(self.device)
        presented = Presented(self.settings.encoding, device, spike_generator(0, device))
        return presented.spikes(self.split.train_x[np.arange(MORE) % len(self.split.train_x)])

    def prepare(self) -> None:
        """Try a network as trials will build, train and read it.

        Raises:
            ConfigError: it is not what the configuration asks for.
        """
        check_network(self.config, self.shapes, self.some_samples())

    def tried(self) -> Iterator[str]:
        """Try a network and say what was found, line by line.

        Raises:
            ConfigError: as ``prepare``.
        """
        found = check_network(self.config, self.shapes, self.some_samples())
        yield from described(found, [one.layer for one in self.config.stopping])

    def learner(self, params: Params, seed: int) -> TorchLearner:
        """A new network with these hyperparameters."""
        return TorchLearner(self, params, seed)


class TorchLearner(GradientLearner):
    """A network that learns by gradients, and its random numbers; see ``Learner``."""

    def __init__(self, task: TorchTask, params: Params, seed: int) -> None:
        """Draw the initial weights, and look for what spikes.

        Raises:
            ValueError: what the network returns cannot be read, or a layer that is watched does not spike.
        """
        settings, split = task.settings, task.split
        super().__init__(split, settings.encoding, task.device, int(params["batch_size"]), seed)
        random.seed(seed)  # networks may draw from these too
        np.random.seed(seed % 2**32)
        network = build(settings.network, params, task.shapes).to(self._device)
        presentation = Presentation(settings.layout, settings.features, settings.output)
        found = probe(network, presentation, task.some_samples(), split.n_classes)
        watched = {one.layer: watched_layers(one.layer, found) for one in task.config.stopping}
        self._reading = Reading(network, presentation, found, settings.loss)
        n_batches = -(-len(split.train_y) // self.batch_size)
        of_trainer = {name: value for name, value in params.items() if name in TORCH}
        self._begin(Learning(self._reading, watched, of_trainer, n_batches * int(params["epochs"])))

    def predict(self, samples: Rows) -> Ints:
        """See ``Learner``."""
        return self._presented.classes(samples, self._reading.classes)

    def saved(self) -> dict[str, Any]:
        """See ``Learner``."""
        return self._reading.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """See ``Learner``."""
        return {**super().state_dict(), "python": random.getstate(), "numpy": np.random.get_state(legacy=False)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """See ``Learner``."""
        super().load_state_dict(state)
        version, numbers, gauss = state["python"]
        random.setstate((version, tuple(numbers), gauss))
        np.random.set_state(state["numpy"])


@dataclass(frozen=True, slots=True)
class TorchReader:
    """A trained network; reads classes in eval mode, and learns nothing while it does."""

    reading: Reading
    encoding: EncodingSettings
    device: torch.device

    def classify(self, images: Samples, seed: int) -> Ints:
        """``B`` classes; spikes, and whatever the network draws, follow from a seed."""
        torch.manual_seed(seed)
        presented = Presented(self.encoding, self.device, spike_generator(seed, self.device))
        return presented.classes(images, self.reading.classes)


def reader_of(saved: Mapping[str, Any], device: torch.device) -> TorchReader:
    """The reader of a saved network (its keys: ``save_network``); its class must be there to be imported."""
    encoding, forward = EncodingSettings.model_validate(saved["encoding"]), saved["forward"]
    shape = input_shape((1, *saved["input_shape"]), encoding)
    network = build(saved["network"], saved["params"], Shapes(shape, saved["n_classes"], encoding.steps)).to(device)
    network.load_state_dict(saved["state"])
    presentation = Presentation(forward["layout"], forward["features"], forward["output"])
    some = torch.ones(MORE, encoding.steps, *shape, device=device)
    found = probe(network, presentation, some, saved["n_classes"])
    return TorchReader(Reading(network, presentation, found, forward["loss"]), encoding, device)
