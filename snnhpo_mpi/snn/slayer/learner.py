"""How a convolutional network learns by SLAYER's surrogate gradients: its part of the loop in ``snn/trainer.py``.

Axis order is ours, ``B x T x C x H x W``; the output is ``B x T x K``. A step down the gradient: ``backpropagation``.
Source: Shrestha & Orchard, NeurIPS 2018.

Notation: B samples, T steps, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings, SlayerSettings, StudyConfig
from snnhpo_mpi.hyperparameters.firing import first_step, most_spikes
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.interfaces import Ints, Learnt
from snnhpo_mpi.snn.checkpoint import RandomState
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows, Samples
from snnhpo_mpi.snn.early_stopping.monitor import Events
from snnhpo_mpi.snn.early_stopping.saturation import saturated_samples
from snnhpo_mpi.snn.encode import encoded, spike_generator
from snnhpo_mpi.snn.encodings import input_shape
from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, Csnn, Shape
from snnhpo_mpi.snn.slayer.lava import LavaNetwork
from snnhpo_mpi.snn.slayer.lava_kernels.cache import use_kernels
from snnhpo_mpi.snn.slayer.own_network import check_architecture, counts_fault, load_architecture, own_defaults
from snnhpo_mpi.trial import Params

SCORE_BATCH = 128  # samples scored at once


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
        own = own_defaults(self.settings.network) if ":" in self.settings.network else {}
        return own | defaults("slayer", self.settings.network)

    @property
    def input_shape(self) -> Shape:
        """``C x H x W`` of an encoded sample."""
        return input_shape(self.split.train_x.shape, self.settings.encoding)

    def prepare(self) -> None:
        """Load the library's kernels for the GPU, and try a network of the user's.

        Raises:
            ConfigError: the kernels are not built, or the network is not what the configuration asks for.
        """
        if self.settings.engine == "library":
            use_kernels(self.device)  # lava-dl would compile them here and now; the fast engine needs none
        if ":" in self.settings.network:
            check_architecture(self.config, self.input_shape, self.split.n_classes)

    def learner(self, params: Params, seed: int) -> SlayerLearner:
        """A new network with these hyperparameters."""
        return SlayerLearner(self, params, seed)


class SlayerLearner:
    """A network that learns by surrogate gradients, and its random numbers; see ``Learner``."""

    def __init__(self, task: SlayerTask, params: Params, seed: int) -> None:
        """Draw the initial weights."""
        torch.manual_seed(seed)  # networks draw from torch's global generators, as lava-dl does
        self._device = torch.device(task.device)
        self._generator = spike_generator(seed, self._device)
        self._task, self._settings = task, task.settings
        self._layers = tuple(monitor.layer for monitor in task.config.stopping)
        self.batch_size = self.look_every = int(params["batch_size"])
        one, n_classes = self._settings, task.split.n_classes
        network = build_network(
            one.network, one.engine, task.input_shape, n_classes, params, self._layers, one.initial_weights
        )
        self._learning = Backpropagation(network.to(self._device), params)
        self._random = RandomState(self._generator)

    def order(self, epoch: int) -> Ints:
        """See ``Learner``: drawn with all else that is random, so of any epoch's number."""
        return torch.randperm(len(self._task.split.train_y)).numpy()

    def learn(self, rows: Ints) -> Learnt:
        """See ``Learner``; of one batch.

        Raises:
            FloatingPointError: the loss or its gradient is not finite.
            ValueError: a network of the user's returned something else than spikes and their counts.
        """
        classes = torch.from_numpy(self._task.split.train_y[rows])
        samples = torch.from_numpy(self._task.split.train_x[rows]).to(self._device)
        spikes = encoded(samples, self._settings.encoding, self._generator).to(torch.float32)
        predicted, found, output = self._learning.train(spikes, classes.to(self._device))
        counts = {layer: n.cpu() for layer, n in found.items()}
        self._refuse_odd(output, counts, len(rows))
        right = (predicted.cpu() == classes).long().numpy()
        return Learnt({layer: counts[layer].numpy() for layer in self._layers}, right, self._saturated(output))

    def _refuse_odd(self, output: Tensor, counts: Mapping[str, Tensor], n: int) -> None:
        """Raise unless the ``B x K`` output of ``B`` samples and their counts on the CPU can be judged."""
        n_classes = self._task.split.n_classes
        if output.shape != (n, n_classes):
            found = " x ".join(map(str, output.shape))
            raise ValueError(
                f"{self._settings.network}: the output must be samples x classes = {n} x {n_classes}, found {found}"
            )
        for layer in self._layers:
            if fault := counts_fault(counts, layer, n):
                raise ValueError(f"{self._settings.network}: {fault}")

    def _saturated(self, output: Tensor) -> dict[str, Events]:
        """``B``, whether the sample saturates the output, where that is watched."""
        first = first_step(self._settings.network, "output")
        most = {"output": most_spikes(self._settings.encoding.steps, 0, 1, first)}
        return saturated_samples(self._task.config.saturation, {"output": output.cpu().numpy()}, most)

    def refuse_divergence(self) -> None:
        """See ``Learner``: ``learn`` raises itself."""

    def end_epoch(self) -> None:
        """See ``Learner``: nothing is counted by epochs."""

    def end_training(self) -> None:
        """See ``Learner``."""
        self._learning.end_training()

    def predict(self, samples: Rows) -> Ints:
        """See ``Learner``."""
        reader = SlayerReader(self._learning.network, self._settings.encoding, self._device)
        return reader.predict(samples, self._generator)

    def saved(self) -> dict[str, Any]:
        """See ``Learner``."""
        return self._learning.network.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """See ``Learner``."""
        return {**self._learning.state_dict(), "random": self._random.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """See ``Learner``."""
        self._learning.load_state_dict(state)
        self._random.load_state_dict(state["random"])


@dataclass(frozen=True, slots=True)
class SlayerReader:
    """A trained network; reads classes, without dropout, and learns nothing while it does."""

    network: torch.nn.Module
    encoding: EncodingSettings
    device: torch.device

    def classify(self, images: Samples, seed: int) -> Ints:
        """As ``predict``; spikes, and whatever a network of the user's draws, follow from a seed."""
        torch.manual_seed(seed)
        return self.predict(images, spike_generator(seed, self.device))

    def predict(self, images: Rows | Samples, generator: torch.Generator) -> Ints:
        """Samples as ``data`` has them -> ``B`` classes."""
        predicted = []
        for first in range(0, len(images), SCORE_BATCH):
            batch = torch.from_numpy(images[first : first + SCORE_BATCH]).to(self.device)
            spikes = encoded(batch, self.encoding, generator).to(torch.float32)
            predicted.append(read_classes(self.network, spikes).cpu().numpy())
        return np.concatenate(predicted)


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
    """A network of ours, by an engine, or of anybody's class.

    Args:
        name: of the configuration, or ``package.module:Class``.
        engine: fast or library.
        shape: ``C x H x W`` of the input.
        n_classes: K.
        params: its hyperparameters.
        layers: whose spikes are counted.
        initial_weights: of ours, library or scaled.

    Raises:
        ConfigError: the class is not there.
    """
    if ":" in name:
        return load_architecture(name)(shape, n_classes, params, layers)
    kind = Csnn if engine == "fast" else LavaNetwork
    return kind(shape, n_classes, params, layers, LAYOUTS[name], initial_weights)


@torch.no_grad()
def read_classes(network: torch.nn.Module, spikes: Tensor) -> Tensor:
    """``B x T x C x H x W`` -> ``B`` classes, without dropout.

    Raises:
        FloatingPointError: the output is not finite.
        ValueError: the output has other samples or steps than the spikes.
    """
    network.eval()
    output, _ = network(spikes)
    if output.shape[:2] != spikes.shape[:2]:
        found = " x ".join(map(str, output.shape))
        raise ValueError(f"the output of {len(spikes)} samples of {spikes.shape[1]} steps is {found} in eval mode")
    if not output.isfinite().all():
        raise FloatingPointError("the output is not finite in eval mode")
    predicted: Tensor = output.sum(1).argmax(1)
    return predicted
