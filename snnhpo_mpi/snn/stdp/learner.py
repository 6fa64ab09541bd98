"""How a Diehl & Cook network learns by STDP: its part of the training loop in ``snn/trainer.py``.

Learning sees no labels. They serve to fit a decoder on the spikes of training; while it trains, each batch is read by
the decoder fitted on the samples before it, which gives the running training accuracy.

Axis order is ours, ``B x T x C x H x W``; the networks put time first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snnhpo_mpi.config import EncodingSettings, StdpSettings, StudyConfig
from snnhpo_mpi.hyperparameters.firing import most_spikes
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.interfaces import Learnt
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows, Samples
from snnhpo_mpi.snn.early_stopping.monitor import Events
from snnhpo_mpi.snn.early_stopping.saturation import saturated_samples
from snnhpo_mpi.snn.encodings import input_shape
from snnhpo_mpi.snn.stdp.decode import ABSTAIN, Decoder, Ints, Known, decoder_of, decoder_state
from snnhpo_mpi.snn.stdp.equations import FORMS, Form
from snnhpo_mpi.snn.stdp.one_by_one import OneByOne
from snnhpo_mpi.snn.stdp.readout import Readout
from snnhpo_mpi.snn.stdp.two_layers import Trains, TwoLayers
from snnhpo_mpi.trial import Params

LOOK_EVERY = 32  # training samples, about: then monitors and decoder look at their spikes
SCORE_BATCH, SCORE_BYTES = 256, 2**28  # most samples scored at once, and most bytes of their spikes


@dataclass(frozen=True, slots=True)
class StdpTask:
    """What all trials of a study share.

    Attributes:
        config: a study whose trainer is ``stdp``.
        split: its data.
        device: where networks are, by torch's name.
    """

    config: StudyConfig
    split: Split
    device: str

    @property
    def settings(self) -> StdpSettings:
        """Of the trainer."""
        assert isinstance(self.config.trainer, StdpSettings)
        return self.config.trainer

    @property
    def defaults(self) -> Params:
        """Of all hyperparameters."""
        return defaults("stdp", self.settings.network)

    def prepare(self) -> None:
        """Compile the engine now, so that no trial is charged with it."""
        if self.device == "cpu" and self.settings.engine == "fast":
            from snnhpo_mpi.snn.stdp.engines.cpu import compiled_for

            compiled_for(np.float32)

    def learner(self, params: Params, seed: int) -> StdpLearner:
        """A new network with these hyperparameters."""
        return StdpLearner(self, params, seed)


class StdpLearner:
    """A Diehl & Cook network, and the decoder that follows its training; see ``Learner``."""

    def __init__(self, task: StdpTask, params: Params, seed: int) -> None:
        """Draw the initial weights."""
        self._task, self._settings, self._params, self._seed = task, task.settings, params, seed
        self.batch_size = self._settings.batch_size
        self.look_every = self.batch_size * max(1, LOOK_EVERY // self.batch_size)
        kind, n_samples = self._settings.readout, self._settings.readout_samples
        self._readout = Readout(str(params["decoder"]), task.split.n_classes, kind, n_samples)
        shape = input_shape(task.split.train_x.shape, self._settings.encoding)
        self._network = build_network(self._settings, params, math.prod(shape), task.device, seed)
        self._reader: StdpReader | None = None

    def order(self, epoch: int) -> Ints:
        """See ``Learner``."""
        rng = np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(epoch,)))
        return rng.permutation(len(self._task.split.train_y))

    def learn(self, rows: Ints) -> Learnt:
        """See ``Learner``."""
        split = self._task.split
        trains = self._network.teach(split.train_x[rows], self._settings.encoding, self.batch_size)
        right = self._readout.observe(trains.excitatory, split.train_y[rows])
        counts = {layer: one.per_sample() for layer, one in trains.layers.items()}
        return Learnt(counts, right, self._saturated(trains))

    def _saturated(self, trains: Trains) -> dict[str, Events]:
        """Layer -> ``B``, whether the sample saturates it, where that is watched."""
        encoding, watched = self._settings.encoding, self._task.config.saturation
        most = {
            layer: most_spikes(encoding.steps, float(self._params[f"{layer[0]}_refrac"]), encoding.dt_ms)
            for layer in (one.layer for one in watched)
        }
        return saturated_samples(watched, {layer: trains.layers[layer].counts().toarray() for layer in most}, most)

    def refuse_divergence(self) -> None:
        """See ``Learner``: a network that has left the finite numbers is not silent."""
        self._network.refuse_divergence()

    def end_epoch(self) -> None:
        """See ``Learner``."""
        self._readout.end_epoch()

    def end_training(self) -> None:
        """See ``Learner``: fit the decoder, for which training samples are shown again in an order of their own."""
        shown = self.order(int(self._params["epochs"]) + 1)
        decoder = self._readout.fit(lambda n: self._read(shown[:n]))
        no_answer = 0 if self._settings.readout == "published" else ABSTAIN
        self._reader = StdpReader(self._network, decoder, self._settings.encoding, no_answer)

    def _read(self, rows: Ints) -> Iterator[Known]:
        """Spikes of some training samples with learning off, and their classes."""
        encoding, split = self._settings.encoding, self._task.split
        at_once = samples_at_once(self._network, encoding)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            yield self._network.read(split.train_x[part], encoding).excitatory, split.train_y[part]

    def predict(self, samples: Rows) -> Ints:
        """See ``Learner``."""
        assert self._reader is not None
        return self._reader.predict(samples)

    def saved(self) -> dict[str, Any]:
        """See ``Learner``."""
        assert self._reader is not None
        return self._reader.state()

    def state_dict(self) -> dict[str, Any]:
        """See ``Learner``."""
        return {"network": self._network.state_dict(), "readout": self._readout.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """See ``Learner``."""
        self._network.load_state_dict(state["network"])
        self._readout.load_state_dict(state["readout"])


@dataclass(frozen=True, slots=True)
class StdpReader:
    """A trained network with its decoder; reads classes, and learns nothing while it does.

    Attributes:
        network: gives the spikes.
        decoder: gives their classes.
        encoding: of the samples.
        no_answer: class of a sample for which nothing speaks: 0 in the published experiments, else ``ABSTAIN``.
    """

    network: TwoLayers
    decoder: Decoder
    encoding: EncodingSettings
    no_answer: int = ABSTAIN

    def classify(self, images: Samples, seed: int) -> Ints:
        """As ``predict``; all that is random follows from a seed."""
        self.network.seed(seed)
        return self.predict(images)

    def predict(self, images: Rows | Samples) -> Ints:
        """Samples as ``data`` has them -> ``B`` classes, ``no_answer`` where nothing speaks for any.

        Raises:
            FloatingPointError: the network has left the finite numbers.
        """
        batch_size = samples_at_once(self.network, self.encoding)
        predicted = []
        for first in range(0, len(images), batch_size):
            batch = images[first : first + batch_size]
            predicted.append(self.decoder.predict(self.network.read(batch, self.encoding).excitatory))
        self.network.refuse_divergence()
        classes = np.concatenate(predicted)
        return np.where(classes == ABSTAIN, self.no_answer, classes)

    def state(self) -> dict[str, Any]:
        """What was learnt, for ``reader_of``."""
        network = self.network.state_dict()
        learnt = {"network": {name: network[name] for name in ("w", "theta")}, "decoder": decoder_state(self.decoder)}
        return {**learnt, "no_answer": self.no_answer}


def samples_at_once(network: TwoLayers, encoding: EncodingSettings) -> int:
    """How many samples to present together where nothing is learnt."""
    n_inputs, n_neurons = network.size
    bytes_per_sample = encoding.steps * (n_inputs + 2 * n_neurons)
    return max(1, min(SCORE_BATCH, SCORE_BYTES // bytes_per_sample))


def reader_of(saved: Mapping[str, Any], device: str) -> StdpReader:
    """The reader of a saved network (its keys: ``saved``), whose state is made of arrays."""
    encoding = EncodingSettings.model_validate(saved["encoding"])
    n_inputs, form = math.prod(input_shape((1, *saved["input_shape"]), encoding)), FORMS[saved["network"]]
    network: TwoLayers
    if device == "cpu":
        network = OneByOne(saved["params"], n_inputs, encoding.dt_ms, 0, form)
    else:
        network = _in_batches("fast", saved["params"], n_inputs, encoding.dt_ms, device, form)
    network.load_state_dict(saved["state"]["network"])
    state = saved["state"]
    return StdpReader(network, decoder_of(state["decoder"]), encoding, state.get("no_answer", ABSTAIN))


def build_network(settings: StdpSettings, params: Params, n_inputs: int, device: str, seed: int) -> TwoLayers:
    """The network of a configuration, by its engine, for ``n_inputs`` inputs.

    On a core that learns from one sample at a time it needs no torch.
    """
    form, dt_ms = FORMS[settings.network], settings.encoding.dt_ms
    if settings.engine == "fast" and device == "cpu" and settings.batch_size == 1:
        return OneByOne(params, n_inputs, dt_ms, seed, form)
    import torch

    torch.manual_seed(seed)
    return _in_batches(settings.engine, params, n_inputs, dt_ms, device, form)


def _in_batches(engine: str, params: Params, n_inputs: int, dt_ms: float, device: str, form: Form) -> TwoLayers:
    """A network of tensors, drawn from torch's generators."""
    import torch

    if engine == "library":
        from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork

        return BindsnetNetwork(params, n_inputs, dt_ms, torch.device(device), form)
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook

    return DiehlCook(params, n_inputs, dt_ms, torch.device(device), form)
