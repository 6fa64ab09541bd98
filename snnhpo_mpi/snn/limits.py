"""Stopping beyond silence: layers that saturate, and networks that stay at chance; each is a constraint like silence.

    saturation  a neuron saturates on a sample if it fires at ``limit`` or more of what its refractory period allows, a
                layer if at least ``share`` of its neurons do; constraint: share of saturated samples - beta, tested one
                after another as silence is (``activity``, rule sequential)
    chance      at each epoch's end from ``after_epochs`` on: stop while the running training accuracy is not above
                chance beyond doubt; constraint: 1 / K + z sqrt((1 / K)(1 - 1 / K) / n) - accuracy, z for 99 %

Notation: B samples, N neurons, K classes, n samples of the epoch that were predicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import ChanceSettings, MonitorSettings, SaturationSettings
from snnhpo_mpi.snn.activity import Counts, Monitor
from snnhpo_mpi.snn.firing import most_spikes as most_spikes  # for the trainers, with the rest of what limits them

Shares = NDArray[np.float64]
Z_99 = 2.326  # of the normal distribution, one-sided


class Limits:
    """What else may end a training.

    Attributes:
        should_stop: whether one of them has fired; stays true.
    """

    def __init__(
        self,
        saturation: Sequence[SaturationSettings],
        chance: ChanceSettings | None,
        n_epoch_samples: int,
        n_classes: int,
    ) -> None:
        self._settings, self._chance, self._p = saturation, chance, 1.0 / n_classes
        self._monitors = [Monitor(_as_silence(settings), n_epoch_samples) for settings in saturation]
        self._n_epochs = self._n_right = self._n_predicted = 0
        self._is_at_chance = False

    def start_epoch(self) -> None:
        """Restart all counts."""
        self._n_right = self._n_predicted = 0
        for monitor in self._monitors:
            monitor.start_epoch()

    def observe(self, right: Counts | None, saturated: Mapping[str, Shares]) -> None:
        """Count a batch.

        Args:
            right: ``B``, 1 where a sample was predicted rightly; None where no prediction was made.
            saturated: layer -> ``B``, share of its neurons that saturated; of the layers that are watched.
        """
        if right is not None:
            self._n_right += int(right.sum())
            self._n_predicted += len(right)
        for settings, monitor in zip(self._settings, self._monitors, strict=True):
            # Monitor counts samples below one spike: those that do not saturate have one here.
            monitor.observe((saturated[settings.layer] < settings.share).astype(np.int64))

    def end_epoch(self) -> None:
        """Judge the epoch."""
        self._n_epochs += 1
        if self._chance is not None and self._n_epochs >= self._chance.after_epochs:
            self._is_at_chance |= self._above_chance > 0

    @property
    def _above_chance(self) -> float:
        """How much is lacking to an accuracy above chance; 0 where none was predicted, so that nothing is known."""
        n = self._n_predicted
        if not n:
            return 0.0
        return self._p + Z_99 * math.sqrt(self._p * (1 - self._p) / n) - self._n_right / n

    @property
    def should_stop(self) -> bool:
        """See the class."""
        return self._is_at_chance or any(monitor.should_stop for monitor in self._monitors)

    @property
    def constraints(self) -> tuple[float, ...]:
        """Saturation in the order of the configuration, then chance."""
        values = tuple(monitor.constraint for monitor in self._monitors)
        return values if self._chance is None else (*values, self._above_chance)

    def state_dict(self) -> dict[str, Any]:
        """All counts, for a checkpoint."""
        return {
            "monitors": [monitor.state_dict() for monitor in self._monitors],
            "counts": [self._n_epochs, self._n_right, self._n_predicted],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        for monitor, counts in zip(self._monitors, state["monitors"], strict=True):
            monitor.load_state_dict(counts)
        self._n_epochs, self._n_right, self._n_predicted = state["counts"]


def _as_silence(settings: SaturationSettings) -> MonitorSettings:
    return MonitorSettings(layer=settings.layer, alpha=1, beta=settings.beta, warm_up=settings.warm_up)


def saturated_shares(
    settings: Sequence[SaturationSettings], fired: Mapping[str, Tensor], most: Mapping[str, int]
) -> dict[str, Shares]:
    """Share of the neurons of each watched layer that fire at their limit.

    Args:
        settings: the monitors.
        fired: layer -> ``B x N`` spikes of each neuron on each sample.
        most: layer -> spikes that a neuron can fire on a sample.

    Returns:
        Layer -> ``B``.
    """
    return {
        one.layer: (fired[one.layer] >= one.limit * most[one.layer]).double().mean(1).cpu().numpy() for one in settings
    }
