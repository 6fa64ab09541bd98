"""The one training loop: train a network, stop it when it is silent or cannot win, and score it on held-out data.

How a network is built and learns is its learner's (``stdp/learner.py``, ``slayer/learner.py``, ``torch/learner.py``).
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.interfaces import Ints, Learner, PrunedAt, Report
from snnhpo_mpi.snn.checkpoint import Checkpoints, Part
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.snn.interim import InterimReports
from snnhpo_mpi.snn.save_network import save_network
from snnhpo_mpi.snn.training_log import TrainingLog
from snnhpo_mpi.trial import Outcome, Params, Trial


@dataclass(frozen=True, slots=True)
class NetworkTrainer:
    """Evaluates trials one after another; the data stay in memory between them.

    Attributes:
        config: of the study.
        split: what is trained on, and what the score is measured on.
        defaults: of all hyperparameters.
        build: a new learner, from a value of every hyperparameter and a seed.
        device: where it trains.
        report: takes the progress of the running trial, about every second, and its interim results.
        pruned_at: says whether it is to stop, as it cannot win.
        checkpoints: a training goes on from its own, which every epoch's end renews.
        networks: folder for the trained networks; None to forget them.
    """

    config: StudyConfig
    split: Split
    defaults: Params
    build: Callable[[Params, int], Learner]
    device: str
    report: Report
    pruned_at: PrunedAt
    checkpoints: Checkpoints
    networks: Path | None = None

    def evaluate(self, trial: Trial) -> Outcome:
        """Train, from its checkpoint if there is one, and score unless stopped early.

        Raises:
            FloatingPointError: the training diverged.
            ValueError: a network of the user's returned something else than at the beginning.
            torch.cuda.OutOfMemoryError: the network does not fit the device.
        """
        gc.collect()  # networks' parts refer to one another: a device's memory must not wait for a sweep by chance
        params = {**self.defaults, **self.config.fixed, **trial.params}
        epochs, n_train = int(params["epochs"]), len(self.split.train_y)
        n_classes = self.split.n_classes if self.split.train_y.ndim == 1 else 1
        stopping = EarlyStopping(self.config, n_train, n_classes)
        interim = None
        if self.config.pruning.rule != "none" and not trial.repeat:
            interim = InterimReports(trial.number, epochs * n_train, self.report, self.pruned_at)
        objective = self.config.objectives[0]
        log = TrainingLog(
            trial.number, stopping, epochs * n_train, self.device, self.report, interim=interim, objective=objective
        )
        learner = self.build(params, trial.seed)
        parts: dict[str, Part] = {"learner": learner, "log": log}
        self.checkpoints.restore(trial, parts)
        for epoch in range(log.epoch + 1, epochs + 1):
            log.start_epoch()
            self._train_epoch(learner, learner.order(epoch), log)
            if not log.pruned:  # else the epoch is not whole
                log.end_epoch()
            if log.should_stop:
                log.end_training()
                return log.stopped()
            learner.end_epoch()
            self.checkpoints.save(trial, parts)
        log.end_training()
        learner.end_training()
        predicted = learner.predict(self.split.held_x)
        if self.networks is not None:
            path = self.networks / f"trial_{trial.number:03d}.pt"
            save_network(path, self.config, params, self.split, learner.saved())
        return log.completed(predicted, self.split.held_y, self.split.n_classes)

    def _train_epoch(self, learner: Learner, order: Ints, log: TrainingLog) -> None:
        """Present every training sample once, or until a rule says stop."""
        classes = self.split.train_y
        lengths = log.stopping.silence.looks(len(order), learner.look_every, learner.batch_size)
        for rows in np.split(order, np.cumsum(lengths)[:-1]):
            log.observe(learner.learn(rows), classes[rows])
            if log.should_stop:
                break
        learner.refuse_divergence()
