"""Train a convolutional network by SLAYER's surrogate gradients, stop it when it is silent, score it on held-out data.

Axis order is ours, ``B x T x C x H x W``; the output is ``B x T x K``. How it learns: ``learner``. Source: Shrestha &
Orchard, NeurIPS 2018.

Notation: B samples, T steps, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings, SlayerSettings, StudyConfig
from snnhpo_mpi.hyperparameters.firing import first_step, most_spikes
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.checkpoint import Checkpoints, Part, RandomState
from snnhpo_mpi.snn.data import Samples, load, load_final
from snnhpo_mpi.snn.early_stopping.saturation import saturated_samples
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.snn.encode import encoded, input_shape, spike_generator
from snnhpo_mpi.snn.save_network import save_if_wanted
from snnhpo_mpi.snn.slayer.csnn import LAYOUTS, Csnn, Shape
from snnhpo_mpi.snn.slayer.lava import LavaNetwork
from snnhpo_mpi.snn.slayer.lava_kernels.cache import use_kernels
from snnhpo_mpi.snn.slayer.learner import Learner
from snnhpo_mpi.snn.slayer.own_network import check_architecture, counts_fault, load_architecture, own_defaults
from snnhpo_mpi.snn.training_log import Report, TrainingLog
from snnhpo_mpi.trial import Outcome, Params, Trial

SCORE_BATCH = 128  # samples scored at once


class SlayerTrainer:
    """Evaluates trials one after another; the data set stays in memory between them."""

    def __init__(self, config: StudyConfig, device: str, report: Report, checkpoints: Path | None = None) -> None:
        """Load the data.

        Args:
            config: a study whose trainer is ``slayer``.
            device: name of a torch device.
            report: takes the progress of the running trial, about every second.
            checkpoints: folder of a checkpoint at every epoch's end; None for none.

        Raises:
            ConfigError: the data are missing, damaged or too few, a kernel for the GPU is not built, or somebody's own
                network is not what the configuration asks for.
        """
        assert isinstance(config.trainer, SlayerSettings)
        self._config, self._settings = config, config.trainer
        self._device = torch.device(device)
        if self._settings.engine == "library":
            use_kernels(device)  # lava-dl would compile them here and now; the fast engine needs none
        self._report = report
        self._layers = tuple(monitor.layer for monitor in config.stopping)
        read = load if config.retrain is None else load_final
        self._split = read(config.trainer.dataset, config.study.seed, config.trainer.encoding)
        self._input_shape = input_shape(self._split.train_x.shape, config.trainer.encoding)
        if ":" in config.trainer.network:
            check_architecture(config, self._input_shape, self._split.n_classes)
        self._checkpoints = Checkpoints(checkpoints, config, self._device)

    def evaluate(self, trial: Trial) -> Outcome:
        """Train, from its checkpoint if there is one, and score unless stopped early.

        Raises:
            FloatingPointError: the loss, its gradient or the output is not finite.
            ValueError: a network of the user's returned something else than spikes and their counts.
            torch.cuda.OutOfMemoryError: the network does not fit the device.
        """
        torch.manual_seed(trial.seed)  # networks draw from torch's global generators, as lava-dl does
        generator = spike_generator(trial.seed, self._device)
        own = own_defaults(self._settings.network) if ":" in self._settings.network else {}
        params = own | defaults("slayer", self._settings.network) | self._config.fixed | dict(trial.params)
        epochs, n_train = int(params["epochs"]), len(self._split.train_y)
        stopping = EarlyStopping(self._config, n_train, self._split.n_classes)
        log = TrainingLog(trial.number, stopping, epochs * n_train, self._device, self._report)
        learner = Learner(self._network(params), params)
        parts: dict[str, Part] = {"learner": learner, "log": log, "random": RandomState(generator)}
        self._checkpoints.restore(trial, parts)
        for _ in range(log.epoch, epochs):
            log.start_epoch()
            self._train_epoch(learner, int(params["batch_size"]), generator, log)
            log.end_epoch()
            if log.should_stop:
                log.end_training()
                return log.stopped()
            self._checkpoints.save(trial, parts)
        log.end_training()
        learner.end_training()
        reader = SlayerReader(learner.network, self._settings.encoding, self._device)
        predicted = reader.predict(self._split.held_x, generator)
        save_if_wanted(self._config, trial.number, params, self._split, learner.network.state_dict())
        return log.completed(predicted, self._split.held_y.numpy(), self._split.n_classes)

    def _refuse_odd(self, output: Tensor, counts: Mapping[str, Tensor], n: int) -> None:
        """Raise unless the ``B x K`` output of ``B`` samples and their counts on the CPU can be judged."""
        if output.shape != (n, self._split.n_classes):
            wanted, found = f"{n} x {self._split.n_classes}", " x ".join(map(str, output.shape))
            raise ValueError(
                f"{self._settings.network}: the output must be samples x classes = {wanted}, found {found}"
            )
        for layer in self._layers:
            if fault := counts_fault(counts, layer, n):
                raise ValueError(f"{self._settings.network}: {fault}")

    def _network(self, params: Params) -> torch.nn.Module:
        one = self._settings
        n_classes, drawn = self._split.n_classes, one.initial_weights
        network = build_network(one.network, one.engine, self._input_shape, n_classes, params, self._layers, drawn)
        return network.to(self._device)

    def _train_epoch(self, learner: Learner, batch_size: int, generator: torch.Generator, log: TrainingLog) -> None:
        """Present every training sample once, or until a monitor says stop.

        Raises:
            ValueError: a network of the user's returned something else than spikes and their counts.
        """
        order = torch.randperm(len(self._split.train_y))
        for batch in torch.split(order, batch_size):
            classes = self._split.train_y[batch]
            samples = self._split.train_x[batch].to(self._device)
            spikes = encoded(samples, self._settings.encoding, generator).to(torch.float32)
            predicted, found, output = learner.train(spikes, classes.to(self._device))
            counts = {layer: n.cpu() for layer, n in found.items()}
            self._refuse_odd(output, counts, len(batch))
            right = (predicted.cpu() == classes).long().numpy()
            first = first_step(self._settings.network, "output")
            most = {"output": most_spikes(self._settings.encoding.steps, 0, 1, first)}
            saturated = saturated_samples(self._config.saturation, {"output": output}, most)
            log.observe({layer: counts[layer].numpy() for layer in self._layers}, classes.numpy(), right, saturated)
            if log.should_stop:
                return


@dataclass(frozen=True, slots=True)
class SlayerReader:
    """A trained network; reads classes, without dropout, and learns nothing while it does."""

    network: torch.nn.Module
    encoding: EncodingSettings
    device: torch.device

    def predict(self, images: Samples, generator: torch.Generator) -> NDArray[np.int64]:
        """Samples as ``data`` has them -> ``B`` classes."""
        predicted = []
        for first in range(0, len(images), SCORE_BATCH):
            batch = images[first : first + SCORE_BATCH].to(self.device)
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
