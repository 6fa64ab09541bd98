"""Train a convolutional network by SLAYER's surrogate gradients, stop it when it is silent, score it on held-out data.

Axis order is ours, ``B x T x C x H x W``, in the data and in spike encoding; here it becomes lava-dl's
``B x C x H x W x T``. Sources: Shrestha & Orchard, NeurIPS 2018; lava-dl 0.6.0, ``slayer.loss``.

Notation: B samples, T steps, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.config import SlayerSettings, StudyConfig
from snnhpo_mpi.snn.activity import Activity
from snnhpo_mpi.snn.checkpoint import Checkpoints, Part, RandomState
from snnhpo_mpi.snn.csnn import Csnn, slayer
from snnhpo_mpi.snn.data import load
from snnhpo_mpi.snn.encode import poisson, spike_generator
from snnhpo_mpi.snn.parameters import defaults
from snnhpo_mpi.snn.training import Report, TrainingLog
from snnhpo_mpi.trial import Outcome, Params, Trial

TRUE_RATE, FALSE_RATE = 0.2, 0.03  # spikes a step wanted of the right and of each wrong output neuron
SCORE_BATCH = 128  # samples scored at once
Loss = Callable[[Tensor, Tensor], Tensor]


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
            ConfigError: the data are missing, damaged or too few.
        """
        assert isinstance(config.trainer, SlayerSettings)
        self._config, self._settings = config, config.trainer
        self._device = torch.device(device)
        self._report = report
        self._split = load(config.trainer.dataset, config.study.seed)
        self._checkpoints = Checkpoints(checkpoints, config, self._device)

    def evaluate(self, trial: Trial) -> Outcome:
        """Train, from its checkpoint if there is one, and score unless stopped early.

        Raises:
            FloatingPointError: the loss or its gradient is not finite.
            torch.cuda.OutOfMemoryError: the network does not fit the device.
        """
        torch.manual_seed(trial.seed)  # lava-dl draws weights and dropout from torch's global generators
        generator = spike_generator(trial.seed, self._device)
        params = defaults("slayer", self._settings.network) | self._config.fixed | dict(trial.params)
        epochs, n_train = int(params["epochs"]), len(self._split.train_y)
        activity = Activity(self._config.stopping, n_train, self._split.n_classes)
        log = TrainingLog(trial.number, activity, epochs * n_train, self._device, self._report)
        learner = Learner(self._network(params), params)
        parts: dict[str, Part] = {"learner": learner, "log": log, "random": RandomState(generator)}
        self._checkpoints.restore(trial, parts)
        for _ in range(log.epoch, epochs):
            log.start_epoch()
            self._train_epoch(learner, int(params["batch_size"]), generator, log)
            if activity.should_stop:
                log.end_training()
                return log.stopped()
            self._checkpoints.save(trial, parts)
        log.end_training()
        return log.completed(self._score(learner, generator))

    def _network(self, params: Params) -> Csnn:
        layers = tuple(monitor.layer for monitor in self._config.stopping)
        n_channels, height, width = self._split.train_x.shape[1:]
        network = Csnn((n_channels, height, width), self._split.n_classes, params, layers)
        return network.to(self._device)

    def _train_epoch(self, learner: Learner, batch_size: int, generator: torch.Generator, log: TrainingLog) -> None:
        """Present every training sample once, or until a monitor says stop."""
        order = torch.randperm(len(self._split.train_y))
        for batch in torch.split(order, batch_size):
            classes = self._split.train_y[batch]
            spikes = self._encode(self._split.train_x[batch], generator)
            predicted, counts = learner.train(spikes, classes.to(self._device))
            right = (predicted.cpu() == classes).long().numpy()
            log.observe({layer: n.cpu().numpy() for layer, n in counts.items()}, classes.numpy(), right)
            if log.activity.should_stop:
                return

    def _score(self, learner: Learner, generator: torch.Generator) -> float:
        """Held-out accuracy."""
        n_right = 0
        for batch in torch.split(torch.arange(len(self._split.held_y)), SCORE_BATCH):
            predicted = learner.predict(self._encode(self._split.held_x[batch], generator))
            n_right += int((predicted.cpu() == self._split.held_y[batch]).sum())
        return n_right / len(self._split.held_y)

    def _encode(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """``B x C x H x W`` uint8 -> ``B x C x H x W x T`` spikes, 0 or 1."""
        encoding = self._settings.encoding
        images = images.to(self._device)
        spikes = poisson(images, encoding.steps, encoding.max_rate_hz, encoding.dt_ms, generator)
        return spikes.to(torch.float32).movedim(1, -1)


class Learner:
    """A network, and how it learns from a batch.

    Whatever the loss, the class read is that of the output neuron with most spikes, the first of several.
    """

    def __init__(self, network: Csnn, params: Params) -> None:
        """Start with fresh moments of the gradient.

        Args:
            network: changes as it learns.
            params: the hyperparameters of the ``csnn`` table.
        """
        self._network = network
        self._loss = loss_of(str(params["decoder"]))
        self._optimizer = torch.optim.Adam(network.parameters(), lr=float(params["learning_rate"]))

    def state_dict(self) -> dict[str, Any]:
        """The network and the moments of its gradient."""
        return {"network": self._network.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Learn on from there."""
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])

    def train(self, spikes: Tensor, classes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Predict a batch, and take one step down its loss.

        Args:
            spikes: ``B x C x H x W x T``.
            classes: ``B``.

        Returns:
            Predicted classes ``B``; layer -> ``B`` spikes of each sample, both of before the step.

        Raises:
            FloatingPointError: the loss or its gradient is not finite.
        """
        self._network.train()
        self._optimizer.zero_grad()
        output, counts = self._network(spikes)
        loss = self._loss(output, classes)
        loss.backward()  # type: ignore[no-untyped-call]
        # A gradient that is not a number can come with a finite loss: weights of NaN give no spikes.
        slope = torch.nn.utils.get_total_norm([p.grad for p in self._network.parameters() if p.grad is not None])
        if not math.isfinite((loss + slope).item()):
            raise FloatingPointError(f"training diverged: loss {loss.item():g}, norm of its gradient {slope.item():g}")
        self._optimizer.step()
        return output.detach().sum(-1).argmax(1), counts

    @torch.no_grad()
    def predict(self, spikes: Tensor) -> Tensor:
        """``B x C x H x W x T`` -> ``B`` classes, without dropout."""
        self._network.eval()
        output, _ = self._network(spikes)
        predicted: Tensor = output.sum(-1).argmax(1)
        return predicted


def loss_of(decoder: str) -> Loss:
    """Output spikes ``B x K x T`` and classes ``B`` -> loss, summed over the batch."""
    if decoder == "rate":
        rate: Loss = slayer.loss.SpikeRate(true_rate=TRUE_RATE, false_rate=FALSE_RATE)
        return rate
    # The library's default takes the logarithm of a share of spikes: infinite when the right neuron is silent.
    maximum: Loss = slayer.loss.SpikeMax(mode="softmax")
    return maximum
