"""Train one configuration to its end, whatever its monitors say, and keep what they saw.

The ordinary trainer trains it, by its public path; only its monitors are kept from stopping it. What it shows them is
then replayed through the real rules, so that a table can say when each of them would have stopped the training.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

from snnhpo_mpi.bench.tabulated import FIRST_POSITION, POSITIONS_PER_OCTAVE, K
from snnhpo_mpi.config import MonitorSettings, StudyConfig
from snnhpo_mpi.interfaces import Ints, Learnt, Trainer
from snnhpo_mpi.snn.early_stopping.chance import AboveChance
from snnhpo_mpi.snn.early_stopping.monitor import Monitor, Sequential
from snnhpo_mpi.snn.early_stopping.silence import PUBLISHED_CHECKS, monitor_of
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping
from snnhpo_mpi.trial import Trial


@dataclass(frozen=True, slots=True)
class Look:
    """What the trainer showed its monitors of a batch.

    Attributes:
        counts: layer -> ``B`` spikes of each sample.
        right: ``B``, 1 where the running decoder was right; None where it made no prediction.
        saturated: layer -> ``B``, whether the sample saturates it.
        seconds: of the processor, since the start of the training.
    """

    counts: dict[str, np.ndarray]
    right: np.ndarray | None
    saturated: dict[str, np.ndarray]
    seconds: float

    def __len__(self) -> int:
        return len(next(iter(self.counts.values())))


@contextlib.contextmanager
def watched() -> Iterator[list[Look]]:
    """Let no monitor stop a training; the looks come into the list that this gives."""
    looks: list[Look] = []
    observe, began = EarlyStopping.observe, time.process_time()

    def keep(self: EarlyStopping, learnt: Learnt, classes: Ints) -> None:
        counts = {layer: np.array(one) for layer, one in learnt.counts.items()}
        right = None if learnt.right is None else np.array(learnt.right)
        observe(self, learnt, classes)
        looks.append(Look(counts, right, dict(learnt.saturated), time.process_time() - began))

    with mock.patch.multiple(EarlyStopping, observe=keep, should_stop=property(lambda self: False)):
        yield looks


def measured(trainer: Trainer, config: StudyConfig, trial: Trial) -> dict[str, Any]:
    """What a row of the table says of a trial, its curve among it."""
    began = time.process_time()
    try:
        with watched() as looks:
            outcome = trainer.evaluate(trial)
    except FloatingPointError as error:
        return {"state": "failed", "error": str(error), "seconds": time.process_time() - began}
    n_train = config.trainer.dataset.train
    return {
        "state": "completed",
        "score": outcome.metrics["accuracy"],
        "n": config.trainer.dataset.held_out,
        "seconds": time.process_time() - began,
        "train_seconds": looks[-1].seconds,
        "curve": curve(config, looks, n_train),
        "stops": stops(config, looks, n_train),
        "stopped": stopped(config, looks, n_train),
    }


def curve(config: StudyConfig, looks: list[Look], n_train: int) -> dict[str, list[float]]:
    """Counts since the start of the training, at geometric positions and at each epoch's end; one list a column."""
    samples = np.cumsum([len(look) for look in looks])
    n_octaves = 1 + int(np.log2(max(samples[-1] / FIRST_POSITION, 1)))
    wanted = FIRST_POSITION * 2.0 ** (np.arange(n_octaves * POSITIONS_PER_OCTAVE + 1) / POSITIONS_PER_OCTAVE)
    wanted = np.concatenate([wanted[wanted < samples[-1]], np.arange(n_train, samples[-1] + 1, n_train)])
    rows = np.unique(np.searchsorted(samples, wanted))
    columns = {
        "samples": samples,
        "predicted": np.cumsum([0 if look.right is None else len(look) for look in looks]),
        "right": np.cumsum([0 if look.right is None else int(look.right.sum()) for look in looks]),
        "seconds": np.array([round(look.seconds, 4) for look in looks]),
    }
    for one in config.stopping:
        counts = [look.counts[one.layer] for look in looks]
        columns[f"silent_{one.layer}"] = np.cumsum([int((each < one.alpha).sum()) for each in counts])
        columns[f"spikes_{one.layer}"] = np.cumsum([int(each.sum()) for each in counts])
    for one in config.saturation:
        columns[f"saturated_{one.layer}"] = np.cumsum([int(look.saturated[one.layer].sum()) for look in looks])
    return {name: column[rows].tolist() for name, column in columns.items()}


def stops(config: StudyConfig, looks: list[Look], n_train: int) -> dict[str, int | None]:
    """Rule and layer -> samples seen at which it would have stopped the training; None for never."""
    sizes = [len(look) for look in looks]
    found = {}
    for one in config.stopping:
        silent = np.concatenate([look.counts[one.layer] < one.alpha for look in looks])
        sequential = monitor_of(one.model_copy(update={"rule": "sequential"}), n_train)
        found[f"sequential_{one.layer}"] = _first_stop(sequential, silent, sizes, n_train)
        published = monitor_of(_published(one), n_train)
        checks = [max(1, n_train // PUBLISHED_CHECKS)] * (len(silent) // max(1, n_train // PUBLISHED_CHECKS))
        found[f"published_{one.layer}"] = _first_stop(published, silent, checks, n_train)
    for one in config.saturation:
        events = np.concatenate([look.saturated[one.layer] for look in looks])
        monitor = Monitor(Sequential(one.beta), one.warm_up)
        found[f"saturation_{one.layer}"] = _first_stop(monitor, events, sizes, n_train)
    found["chance"] = _at_chance(looks, n_train)
    return found


def _published(one: MonitorSettings) -> MonitorSettings:
    return MonitorSettings(layer=one.layer, alpha=one.alpha, beta=one.beta, rule="published")


def _first_stop(monitor: Monitor, events: np.ndarray, sizes: list[int], n_train: int) -> int | None:
    """Show a monitor all events in batches of these sizes, none of which crosses an epoch's end."""
    seen = 0
    for size in sizes:
        if seen % n_train == 0:
            monitor.start_epoch()
        monitor.observe(events[seen : seen + size])
        seen += size
        if monitor.should_stop:
            return seen
    return None


def _at_chance(looks: list[Look], n_train: int) -> int | None:
    """End of the first epoch whose predictions are not better than guessing beyond doubt."""
    seen = wrong = n = 0
    for look in looks:
        seen += len(look)
        if look.right is not None:
            wrong, n = wrong + int((look.right == 0).sum()), n + len(look)
        if seen % n_train == 0:
            if AboveChance(1.0 / K).constraint(wrong, n) > 0:
                return seen
            wrong = n = 0
    return None


def stopped(config: StudyConfig, looks: list[Look], n_train: int) -> Mapping[str, Any] | None:
    """What the search would have been told by the configuration's own rules, had they been obeyed; None: trained on.

    Constraints are those of the moment of stopping; otherwise those of the last epoch stand in ``constraints``.
    """
    monitors = {one.layer: monitor_of(one, n_train) for one in config.stopping}
    seen, right, n, accuracy = 0, 0, 0, 0.0
    for look in looks:
        if seen % n_train == 0:
            right = n = 0
            for monitor in monitors.values():
                monitor.start_epoch()
        for one in config.stopping:
            monitors[one.layer].observe(look.counts[one.layer] < one.alpha)
        seen += len(look)
        if look.right is not None:
            right, n = right + int(look.right.sum()), n + len(look)
        accuracy = right / n if n else accuracy
        if any(monitor.should_stop for monitor in monitors.values()):
            break
    constraints = [monitor.constraint for monitor in monitors.values()]
    is_stopped = any(monitor.should_stop for monitor in monitors.values())
    return {"at": seen if is_stopped else None, "score": accuracy, "constraints": constraints}
