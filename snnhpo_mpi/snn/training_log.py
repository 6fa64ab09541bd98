"""What is known of a training: progress by the clock, and in the end its metrics, curves and outcome.

Running training score of classes: the share of right ones among the samples of the epoch that were predicted *before*
they changed the network, or while they did; that of the epoch before until the first prediction; 0 where none was ever
made. Of a regression: R2 of the numbers told, in the same way.
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
from snnhpo_mpi.snn.r2 import RunningR2, r2
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
        objective: str = ACCURACY,
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
            objective: accuracy, or r2 of a regression.
        """
        self.stopping = stopping
        self.n_samples = 0
        self._number, self._n_planned, self._device = number, n_planned, device
        self._report, self._clock, self._interim = report, clock, interim
        self._objective = objective
        self._fit = RunningR2()  # of a regression
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
        self._fit.restart()
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
        """Running training accuracy, or R2; None before the first prediction."""
        if (fit := self._fit.value) is not None:
            return fit
        if self._n_predicted:
            return self._n_right / self._n_predicted
        return self._accuracies[-1] if self._accuracies else None

    @property
    def n_predicted(self) -> int:
        """Predictions that the running training accuracy is a share of."""
        return self._n_predicted or self._n_before

    def observe(self, learnt: Learnt, labels: NDArray[Any]) -> None:
        """Take in what samples did, and report if a second has passed; labels: ``B`` classes, or ``B x K`` numbers."""
        if learnt.answers is not None:
            self._fit.observe(learnt.answers, labels)
        self.stopping.observe(learnt, labels if labels.ndim == 1 else np.zeros(len(labels), np.int64))
        self.n_samples += len(labels)
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
            accuracy=self.accuracy if self._objective == ACCURACY else None,
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
            "fit": self._fit.state_dict(),
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
        self._fit.load_state_dict(state["fit"])
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

    def completed(self, predicted: NDArray[Any], labels: NDArray[Any], n_classes: int) -> Outcome:
        """The outcome of a network that has just read the held-out data.

        Args:
            predicted: ``M`` classes read, negative where it gave none; or ``M x K`` numbers.
            labels: ``M``, the true ones; or ``M x K``.
            n_classes: K.
        """
        score_seconds = self._clock() - self._started - self._train_seconds
        is_regression = self._objective != ACCURACY
        score = r2(predicted, labels) if is_regression else float(np.mean(predicted == labels))
        metrics = self._metrics(score_seconds) | {self._objective: score}
        outcome = self._outcome(State.COMPLETED, score, len(predicted), metrics)
        if is_regression:
            return outcome
        table = confusion(predicted, labels, n_classes).tolist()
        return replace(outcome, curves={**outcome.curves, "confusion": table})

    def _metrics(self, score_seconds: float) -> dict[str, float]:
        resumed = {} if self._resumed_after is None else {"resumed_after_epoch": float(self._resumed_after)}
        spikes = {f"spikes_{layer}": mean for layer, mean in self.stopping.silence.mean_spikes.items()}  # a sample
        return (
            resumed
            | spikes
            | {
                f"train_{self._objective}": self._accuracies[-1],
                "train_seconds": self._train_seconds,
                "score_seconds": score_seconds,
                "n_samples": float(self.n_samples),
                "n_samples_planned": float(self._n_planned),
                "peak_memory_mb": self._peak_mb(),
            }
        )

    def _peak_mb(self) -> float:
        return max(self._peak_memory_mb, _peak_memory_mb(self._device))

    def _outcome(self, state: State, score: float, n: int, metrics: dict[str, float]) -> Outcome:
        return Outcome(
            number=self._number,
            state=state,
            objectives={self._objective: score},
            n_scored=n if self._objective == ACCURACY else None,  # its error is that of a share of n samples
            constraints=self.stopping.constraints,
            metrics=metrics,
            curves={f"train_{self._objective}": tuple(self._accuracies)} | self.stopping.curves(),
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
