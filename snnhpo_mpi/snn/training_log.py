"""What is known of a training: progress by the clock, and in the end its metrics, curves and outcome.

Running training accuracy: right ones among the samples of the epoch that were predicted *before* they changed the
network, or while they did; that of the epoch before until the first prediction; 0 where none was ever made.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Ints, Learnt, Report
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.snn.interim import InterimReports
from snnhpo_mpi.trial import ACCURACY, Outcome, Progress, State

REPORT_EVERY_S = 1.0


class TrainingLog:
    """Follows the training of one trial.

    Attributes:
        stopping: the rules that may stop it.
        n_samples: training samples seen, over all epochs.
        epoch: the one under way, from 1; 0 before the first.
    """

    def __init__(
        self,
        number: int,
        stopping: EarlyStopping,
        n_planned: int,
        device: str,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
        interim: InterimReports | None = None,
    ) -> None:
        """Start the clock.

        Args:
            number: of the trial.
            stopping: the rules that may stop it.
            n_planned: training samples over all epochs, if it is not stopped.
            device: where it trains: ``cpu``, or as torch calls it.
            report: takes the progress, about every second.
            clock: in seconds.
            interim: what the trial shows on its way; None where nobody decides by that.
        """
        self.stopping = stopping
        self.n_samples = 0
        self._number, self._n_planned, self._device = number, n_planned, device
        self._report, self._clock, self._interim = report, clock, interim
        self._accuracies: list[float] = []
        self._n_before = 0  # predictions behind the latest of them
        self._n_right = self._n_predicted = self.epoch = 0
        self._started = self._reported = clock()
        self._peak_memory_mb = 0.0  # before the checkpoint that it goes on from
        self._resumed_after: int | None = None
        _restart_peak_memory(device)

    def start_epoch(self) -> None:
        """Close the epoch before, if any, and restart what is counted by epoch."""
        if self.epoch:
            self._accuracies.append(self.accuracy or 0.0)
        self.epoch += 1
        self._n_before = self.n_predicted
        self._n_right = self._n_predicted = 0
        self.stopping.start_epoch()

    def end_epoch(self) -> None:
        """Let the whole epoch be judged."""
        self.stopping.end_epoch()

    @property
    def should_stop(self) -> bool:
        """Whether the training is to end here, and not to be scored."""
        return self.stopping.should_stop or self.pruned

    @property
    def pruned(self) -> bool:
        """Whether it was said that the trial cannot win; asks for the latest word."""
        return self._interim is not None and self._interim.pruned

    @property
    def accuracy(self) -> float | None:
        """Running training accuracy; None before the first prediction."""
        if self._n_predicted:
            return self._n_right / self._n_predicted
        return self._accuracies[-1] if self._accuracies else None

    @property
    def n_predicted(self) -> int:
        """Predictions that the running training accuracy is a share of."""
        return self._n_predicted or self._n_before

    def observe(self, learnt: Learnt, classes: Ints) -> None:
        """Take in what ``B`` samples of these classes did, and report if a second has passed."""
        self.stopping.observe(learnt, classes)
        self.n_samples += len(classes)
        if learnt.right is not None:
            self._n_right += int(learnt.right.sum())
            self._n_predicted += len(learnt.right)
        if self._interim is not None:
            self._interim.observe(learnt)
            if self._interim.is_due(self.n_samples):
                self._interim.report(self.n_samples, self._clock() - self._started, self.stopping)
        if self._clock() - self._reported >= REPORT_EVERY_S:
            self._reported = self._clock()
            self._report(self._progress())

    def _progress(self) -> Progress:
        return Progress(
            number=self._number,
            epoch=self.epoch,
            n_samples=self.n_samples,
            n_samples_planned=self._n_planned,
            accuracy=self.accuracy,
            silent_rate=self.stopping.silence.rates,
            spikes=self.stopping.silence.mean_spikes,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything at the end of an epoch, for a checkpoint."""
        return {
            "epoch": self.epoch,
            "n_samples": self.n_samples,
            "accuracies": list(self._accuracies),
            "n_right": self._n_right,
            "n_predicted": self._n_predicted,
            "n_before": self._n_before,
            "seconds": self._clock() - self._started,
            "peak_memory_mb": self._peak_mb(),
            "stopping": self.stopping.state_dict(),
            "interim": {} if self._interim is None else self._interim.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on behind the epoch of a checkpoint; the time in between does not count."""
        self.epoch, self.n_samples = state["epoch"], state["n_samples"]
        self._accuracies = list(state["accuracies"])
        self._n_right, self._n_predicted = state["n_right"], state["n_predicted"]
        self._n_before = state["n_before"]
        self._started = self._clock() - state["seconds"]
        self._peak_memory_mb, self._resumed_after = state["peak_memory_mb"], self.epoch
        self.stopping.load_state_dict(state["stopping"])
        if self._interim is not None and state["interim"]:
            self._interim.load_state_dict(state["interim"])

    def end_training(self) -> None:
        """Stop the clock of training; what follows is scoring."""
        self._accuracies.append(self.accuracy or 0.0)
        self._train_seconds = self._clock() - self._started

    def stopped(self) -> Outcome:
        """The outcome of a network that was stopped: not scored, its objective is its running training accuracy.

        That of a pruned one is as of the report that decided, so that it does not depend on when the word arrived.
        """
        metrics = self._metrics(score_seconds=0.0) | {"stopped_at": float(self.n_samples)}
        if self.stopping.should_stop or self._interim is None:
            return self._outcome(State.STOPPED, self._accuracies[-1], self.n_predicted, metrics)
        outcome = self._outcome(State.PRUNED, self._accuracies[-1], self.n_predicted, metrics)
        return self._interim.as_decided(outcome)

    def completed(self, predicted: Ints, classes: Ints, n_classes: int) -> Outcome:
        """The outcome of a network that has just read the held-out data.

        Args:
            predicted: ``M`` classes read, negative where it gave none.
            classes: ``M``, the true ones.
            n_classes: K.
        """
        score_seconds = self._clock() - self._started - self._train_seconds
        accuracy = float(np.mean(predicted == classes))
        metrics = self._metrics(score_seconds) | {"accuracy": accuracy}
        outcome = self._outcome(State.COMPLETED, accuracy, len(predicted), metrics)
        table = confusion(predicted, classes, n_classes).tolist()
        return replace(outcome, curves={**outcome.curves, "confusion": table})

    def _metrics(self, score_seconds: float) -> dict[str, float]:
        resumed = {} if self._resumed_after is None else {"resumed_after_epoch": float(self._resumed_after)}
        spikes = {f"spikes_{layer}": mean for layer, mean in self.stopping.silence.mean_spikes.items()}  # a sample
        return (
            resumed
            | spikes
            | {
                "train_accuracy": self._accuracies[-1],
                "train_seconds": self._train_seconds,
                "score_seconds": score_seconds,
                "n_samples": float(self.n_samples),
                "n_samples_planned": float(self._n_planned),
                "peak_memory_mb": self._peak_mb(),
            }
        )

    def _peak_mb(self) -> float:
        return max(self._peak_memory_mb, _peak_memory_mb(self._device))

    def _outcome(self, state: State, accuracy: float, n: int, metrics: dict[str, float]) -> Outcome:
        return Outcome(
            number=self._number,
            state=state,
            objectives={ACCURACY: accuracy},
            n_scored=n,
            constraints=self.stopping.constraints,
            metrics=metrics,
            curves={"train_accuracy": tuple(self._accuracies)} | self.stopping.curves(),
        )


def confusion(predicted: Ints, classes: Ints, n_classes: int) -> NDArray[np.float64]:
    """How often each class was read as which, ``K x (K + 1)``: a row a true class, the last column for no answer."""
    column = np.where(predicted < 0, n_classes, predicted)
    counts = np.bincount(classes * (n_classes + 1) + column, minlength=n_classes * (n_classes + 1))
    return counts.reshape(n_classes, n_classes + 1).astype(np.float64)


def _restart_peak_memory(device: str) -> None:
    """Let the peak begin at what is used now, so that a trial is not charged with its predecessors'."""
    if device != "cpu":
        import torch

        torch.cuda.init()  # type: ignore[no-untyped-call]  # there are no statistics before
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):  # not everywhere allowed; the peak is then the process's
            Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_mb(device: str) -> float:
    """Of the GPU's allocations, or of the whole process on a CPU."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
