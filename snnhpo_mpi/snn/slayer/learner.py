"""How a convolutional network learns by SLAYER's surrogate gradients: its part of the loop in ``snn/trainer.py``.

Axis order is ours, ``B x T x C x H x W``; the output is ``B x T x K``. A step down the gradient: ``backpropagation``.
Source: Shrestha & Orchard, NeurIPS 2018.

Notation: B samples, T steps, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings, SlayerSettings, StudyConfig
from snnhpo_mpi.hyperparameters.firing import first_step, most_spikes
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.interfaces import Ints
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows, Samples
from snnhpo_mpi.snn.early_stopping.monitor import Events
from snnhpo_mpi.snn.early_stopping.saturation import saturated_samples
from snnhpo_mpi.snn.encode import spike_generator
from snnhpo_mpi.snn.encodings import input_shape
from snnhpo_mpi.snn.gradient_learner import GradientLearner, Presented
from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, Csnn, Shape
from snnhpo_mpi.snn.slayer.lava_kernels.cache import use_kernels
from snnhpo_mpi.trial import Params


@dataclass(frozen=True, slots=True)
class SlayerTask:
    """What all trials of a study share.

    Attributes:
        config: a study whose trainer is ``slayer``.
        split: its data.
        device: where networks are, by torch's name.
    """

    config: StudyConfig
    split: Split
    device: str

    @property
    def settings(self) -> SlayerSettings:
        """Of the trainer."""
        assert isinstance(self.config.trainer, SlayerSettings)
        return self.config.trainer

    @property
    def defaults(self) -> Params:
        """Of all hyperparameters."""
        return defaults("slayer", self.settings.network)

    @property
    def input_shape(self) -> Shape:
        """``C x H x W`` of an encoded sample."""
        return input_shape(self.split.train_x.shape, self.settings.encoding)

    def prepare(self) -> None:
        """Load the library's kernels for the GPU.

        Raises:
            ConfigError: they are not built.
        """
        if self.settings.engine == "library":
            use_kernels(self.device)  # lava-dl would compile them here and now; the fast engine needs none

    def learner(self, params: Params, seed: int) -> SlayerLearner:
        """A new network with these hyperparameters."""
        return SlayerLearner(self, params, seed)


class SlayerLearner(GradientLearner):
    """A network that learns by surrogate gradients, and its random numbers; see ``Learner``."""

    def __init__(self, task: SlayerTask, params: Params, seed: int) -> None:
        """Draw the initial weights."""
        one, n_classes = task.settings, task.split.n_classes
        super().__init__(task.split, one.encoding, task.device, int(params["batch_size"]), seed)
        self._task, self._settings = task, one
        self._layers = tuple(monitor.layer for monitor in task.config.stopping)
        network = build_network(
            one.network, one.engine, task.input_shape, n_classes, params, self._layers, one.initial_weights
        )
        self._network = network.to(self._device)
        self._begin(Backpropagation(self._network, params))

    def _saturated(self, output: Tensor) -> dict[str, Events]:
        """``B``, whether the sample saturates the output, where that is watched."""
        first = first_step(self._settings.network, "output")
        most = {"output": most_spikes(self._settings.encoding.steps, 0, 1, first)}
        return saturated_samples(self._task.config.saturation, {"output": output.cpu().numpy()}, most)

    def predict(self, samples: Rows) -> Ints:
        """See ``Learner``."""
        return self._presented.classes(samples, functools.partial(read_classes, self._network))

    def saved(self) -> dict[str, Any]:
        """See ``Learner``."""
        return self._network.state_dict()


@dataclass(frozen=True, slots=True)
class SlayerReader:
    """A trained network; reads classes, without dropout, and learns nothing while it does."""

    network: torch.nn.Module
    encoding: EncodingSettings
    device: torch.device

    def classify(self, images: Samples, seed: int) -> Ints:
        """``B`` classes; the spikes follow from a seed."""
        torch.manual_seed(seed)
        presented = Presented(self.encoding, self.device, spike_generator(seed, self.device))
        return presented.classes(images, functools.partial(read_classes, self.network))


def reader_of(saved: Mapping[str, Any], device: torch.device) -> SlayerReader:
    """The reader of a saved network (its keys: ``saved``)."""
    encoding = EncodingSettings.model_validate(saved["encoding"])
    shape = input_shape((1, *saved["input_shape"]), encoding)
    network = build_network(saved["network"], saved["engine"], shape, saved["n_classes"], saved["params"], ())
    network.load_state_dict(saved["state"])
    return SlayerReader(network.to(device), encoding, device)


def build_network(
    name: str,
    engine: str,
    shape: Shape,
    n_classes: int,
    params: Params,
    layers: tuple[str, ...],
    initial_weights: str = "scaled",
) -> torch.nn.Module:
    """A network, by an engine.

    Args:
        name: of the configuration.
        engine: fast or library.
        shape: ``C x H x W`` of the input.
        n_classes: K.
        params: its hyperparameters.
        layers: whose spikes are counted.
        initial_weights: library or scaled.
    """
    if engine == "fast":
        return Csnn(shape, n_classes, params, layers, LAYOUTS[name], initial_weights)
    from snnhpo_mpi.snn.slayer.lava import LavaNetwork  # lava-dl may not be installed

    return LavaNetwork(shape, n_classes, params, layers, LAYOUTS[name], initial_weights)


@torch.no_grad()
def read_classes(network: torch.nn.Module, spikes: Tensor) -> Tensor:
    """``B x T x C x H x W`` -> ``B`` classes, without dropout."""
    network.eval()
    predicted: Tensor = network(spikes)[0].sum(1).argmax(1)
    return predicted
