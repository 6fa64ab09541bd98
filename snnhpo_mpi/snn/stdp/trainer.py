"""Train a Diehl & Cook network by STDP, stop it when it is silent, and score it on held-out data.

Learning sees no labels. They serve to fit a decoder on the spikes of training; while it trains, each batch is read by
the decoder fitted on the samples before it, which gives the running training accuracy.

Axis order is ours, ``B x T x C x H x W``; the networks put time first.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.config import EncodingSettings, StdpSettings, StudyConfig
from snnhpo_mpi.hyperparameters.firing import most_spikes
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.checkpoint import Checkpoints, Part
from snnhpo_mpi.snn.data import load, load_final
from snnhpo_mpi.snn.data.part import Rows
from snnhpo_mpi.snn.early_stopping.monitor import Events
from snnhpo_mpi.snn.early_stopping.saturation import saturated_samples
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.snn.encodings import input_shape
from snnhpo_mpi.snn.save_network import save_if_wanted
from snnhpo_mpi.snn.stdp.decode import Decoder, Ints, Known, decoder_of, decoder_state
from snnhpo_mpi.snn.stdp.equations import FORMS
from snnhpo_mpi.snn.stdp.readout import Readout
from snnhpo_mpi.snn.stdp.two_layers import Bytes, Trains, TwoLayers
from snnhpo_mpi.snn.training_log import Report, TrainingLog
from snnhpo_mpi.trial import Outcome, Params, Trial

LOOK_EVERY = 32  # training samples, about: then monitors and decoder look at their spikes
SCORE_BATCH, SCORE_BYTES = 256, 2**28  # most samples scored at once, and most bytes of their spikes


class StdpTrainer:
    """Evaluates trials one after another; the data set stays in memory between them."""

    def __init__(self, config: StudyConfig, device: str, report: Report, checkpoints: Path | None = None) -> None:
        """Load the data.

        Args:
            config: a study whose trainer is ``stdp``.
            device: ``cpu``, or as torch calls it.
            report: takes the progress of the running trial, about every second.
            checkpoints: folder of a checkpoint at every epoch's end; None for none.

        Raises:
            ConfigError: the data are missing, damaged or too few.
        """
        assert isinstance(config.trainer, StdpSettings)
        self._config, self._settings = config, config.trainer
        self._device = device
        self._report = report
        read = load if config.retrain is None else load_final
        self._split = read(config.trainer.dataset, config.study.seed, config.trainer.encoding)
        self._checkpoints = Checkpoints(checkpoints, config, self._device)
        if device == "cpu" and config.trainer.engine == "fast":
            from snnhpo_mpi.snn.stdp.engines.cpu import compiled_for

            compiled_for(np.float32)  # now, so that no trial is charged with it

    def evaluate(self, trial: Trial) -> Outcome:
        """Train, from its checkpoint if there is one, and score unless stopped early.

        Raises:
            FloatingPointError: the training diverged.
            torch.cuda.OutOfMemoryError: the network does not fit the device.
        """
        gc.collect()  # networks' parts refer to one another: a device's memory must not wait for a sweep by chance
        params = defaults("stdp", self._settings.network) | self._config.fixed | dict(trial.params)
        epochs, n_train = int(params["epochs"]), len(self._split.train_y)
        stopping = EarlyStopping(self._config, n_train, self._split.n_classes)
        log = TrainingLog(trial.number, stopping, epochs * n_train, self._device, self._report)
        readout = Readout(
            str(params["decoder"]), self._split.n_classes, self._settings.readout, self._settings.readout_samples
        )
        shape = input_shape(self._split.train_x.shape, self._settings.encoding)
        network = build_network(self._settings, params, math.prod(shape), self._device, trial.seed)
        parts: dict[str, Part] = {"network": network, "readout": readout, "log": log}
        self._checkpoints.restore(trial, parts)
        for epoch in range(log.epoch + 1, epochs + 1):
            log.start_epoch()
            self._train_epoch(network, _shuffled(n_train, trial.seed, epoch), log, readout, params)
            log.end_epoch()
            if log.should_stop:
                log.end_training()
                return log.stopped()
            readout.end_epoch()
            self._checkpoints.save(trial, parts)
        log.end_training()
        shown = _shuffled(n_train, trial.seed, epochs + 1)
        decoder = readout.fit(lambda n: self._read(network, shown[:n]))
        reader = StdpReader(network, decoder, self._settings.encoding)
        predicted = reader.predict(self._split.held_x)
        if self._settings.readout == "published":
            predicted = np.maximum(predicted, 0)  # no answer counts as class 0 there
        save_if_wanted(self._config, trial.number, params, self._split, reader.state())
        return log.completed(predicted, self._split.held_y, self._split.n_classes)

    def _read(self, network: TwoLayers, which: Ints) -> Iterator[Known]:
        """Spikes of some training samples with learning off, and their classes."""
        encoding = self._settings.encoding
        at_once = samples_at_once(network, encoding)
        for first in range(0, len(which), at_once):
            part = which[first : first + at_once]
            yield network.read(self._split.train_x[part], encoding).excitatory, self._split.train_y[part]

    def _train_epoch(
        self,
        network: TwoLayers,
        order: Ints,
        log: TrainingLog,
        readout: Readout,
        params: Params,
    ) -> None:
        """Present every training sample once, or until a monitor says stop.

        Raises:
            FloatingPointError: the network has left the finite numbers, which is no silence.
        """
        settings, batch_size = self._settings, self._settings.batch_size
        every = batch_size * max(1, LOOK_EVERY // batch_size)
        looks = np.cumsum(log.stopping.silence.looks(len(order), every, batch_size))
        for part in np.split(order, looks[:-1]):
            trains = network.teach(self._split.train_x[part], settings.encoding, batch_size)
            classes = self._split.train_y[part]
            right = readout.observe(trains.excitatory, classes)
            counts = {layer: one.per_sample() for layer, one in trains.layers.items()}
            log.observe(counts, classes, right, self._saturated(trains, params))
            if log.should_stop:
                break
        network.refuse_divergence()

    def _saturated(self, trains: Trains, params: Params) -> dict[str, Events]:
        """Layer -> ``B``, whether the sample saturates it, where that is watched."""
        encoding, watched = self._settings.encoding, self._config.saturation
        most = {
            layer: most_spikes(encoding.steps, float(params[f"{layer[0]}_refrac"]), encoding.dt_ms)
            for layer in (one.layer for one in watched)
        }
        fired = {layer: trains.layers[layer].counts().toarray() for layer in most}
        return saturated_samples(watched, fired, most)


@dataclass(frozen=True, slots=True)
class StdpReader:
    """A trained network with its decoder; reads classes, and learns nothing while it does."""

    network: TwoLayers
    decoder: Decoder
    encoding: EncodingSettings

    def classify(self, images: Bytes, seed: int) -> Ints:
        """As ``predict``, with spikes that follow from a seed."""
        self.network.seed(seed)
        return self.predict(images)

    def predict(self, images: Rows | Bytes) -> Ints:
        """Samples as ``data`` has them -> ``B`` classes, ``ABSTAIN`` where nothing speaks for any.

        Raises:
            FloatingPointError: the network has left the finite numbers.
        """
        batch_size = samples_at_once(self.network, self.encoding)
        predicted = []
        for first in range(0, len(images), batch_size):
            batch = images[first : first + batch_size]
            predicted.append(self.decoder.predict(self.network.read(batch, self.encoding).excitatory))
        self.network.refuse_divergence()
        return np.concatenate(predicted)

    def state(self) -> dict[str, Any]:
        """What was learnt, for ``reader_of``."""
        network = self.network.state_dict()
        return {"network": {name: network[name] for name in ("w", "theta")}, "decoder": decoder_state(self.decoder)}


def samples_at_once(network: TwoLayers, encoding: EncodingSettings) -> int:
    """How many samples to present together where nothing is learnt."""
    n_inputs, n_neurons = network.size
    bytes_per_sample = encoding.steps * (n_inputs + 2 * n_neurons)
    return max(1, min(SCORE_BATCH, SCORE_BYTES // bytes_per_sample))


def reader_of(saved: Mapping[str, Any], device: str) -> StdpReader:
    """The reader of a saved network (its keys: ``saved``), whose state is made of arrays."""
    encoding = EncodingSettings.model_validate(saved["encoding"])
    n_inputs = math.prod(input_shape((1, *saved["input_shape"]), encoding))
    network = _fast_network(saved["network"], saved["params"], n_inputs, encoding.dt_ms, device, 0, 1)
    state = saved["state"]
    network.load_state_dict(state["network"])
    return StdpReader(network, decoder_of(state["decoder"]), encoding)


def build_network(settings: StdpSettings, params: Params, n_inputs: int, device: str, seed: int) -> TwoLayers:
    """The network of a configuration, by its engine, for ``n_inputs`` inputs.

    On a core that learns from one sample at a time it is one that needs no torch.
    """
    if settings.engine == "library":
        import torch

        from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork

        torch.manual_seed(seed)
        form = FORMS[settings.network]
        return BindsnetNetwork(params, n_inputs, settings.encoding.dt_ms, torch.device(device), form)
    dt_ms, batch_size = settings.encoding.dt_ms, settings.batch_size
    return _fast_network(settings.network, params, n_inputs, dt_ms, device, seed, batch_size)


def _fast_network(
    name: str, params: Params, n_inputs: int, dt_ms: float, device: str, seed: int, batch_size: int
) -> TwoLayers:
    if device == "cpu" and batch_size == 1:
        from snnhpo_mpi.snn.stdp.one_by_one import OneByOne

        return OneByOne(params, n_inputs, dt_ms, seed, FORMS[name])
    import torch

    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook

    torch.manual_seed(seed)
    return DiehlCook(params, n_inputs, dt_ms, torch.device(device), FORMS[name])


def _shuffled(n: int, seed: int, epoch: int) -> Ints:
    """Order of the training samples in an epoch, ``n``."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,))).permutation(n)
