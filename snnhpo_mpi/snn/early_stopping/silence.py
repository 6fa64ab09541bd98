"""Stop a training whose samples leave a layer silent; each watched layer gives one constraint.

A sample with fewer than ``alpha`` spikes in a layer is silent there, and at most a share ``beta`` of silent samples is
tolerated (rules: ``monitor``). Source: Firmin, Boulet & Talbi, arXiv 2403.00450.

Notation: B samples of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import MonitorSettings
from snnhpo_mpi.snn.early_stopping.monitor import LayerMonitors, Monitor, Published, Sequential
from snnhpo_mpi.trial import Curve

Counts = NDArray[np.int64]
PUBLISHED_CHECKS = 40  # the paper checks MNIST's 48,000 samples every 1,200


def monitor_of(settings: MonitorSettings, n_epoch_samples: int) -> Monitor:
    """The monitor of one layer, by its rule."""
    if settings.rule == "sequential":
        return Monitor(Sequential(settings.beta), settings.warm_up)
    check_every = settings.check_every or max(1, n_epoch_samples // PUBLISHED_CHECKS)
    return Monitor(Published(settings.beta, check_every, n_epoch_samples))


class Silence:
    """The silent samples of each watched layer, and the spikes of each class there."""

    def __init__(self, settings: Sequence[MonitorSettings], n_epoch_samples: int, n_classes: int) -> None:
        self._alpha = {one.layer: one.alpha for one in settings}
        self._monitors = LayerMonitors(
            {one.layer: monitor_of(one, n_epoch_samples) for one in settings}, n_epoch_samples
        )
        self._spikes = {layer: np.zeros(n_classes) for layer in self._alpha}
        self._samples = np.zeros(n_classes)

    def start_epoch(self) -> None:
        """Restart all counts; curves go on, spikes per class are those of the last epoch."""
        self._monitors.start_epoch()
        self._samples[:] = 0
        for sums in self._spikes.values():
            sums[:] = 0

    def observe(self, counts: Mapping[str, Counts], labels: Counts) -> None:
        """Count a batch.

        Args:
            counts: layer -> ``B`` spikes of each sample, or ``L x B`` of the layers that one name stands for; layers
                that are not watched are ignored.
            labels: ``B`` classes.
        """
        self._monitors.observe({layer: counts[layer] < alpha for layer, alpha in self._alpha.items()}, len(labels))
        np.add.at(self._samples, labels, 1)
        for layer, sums in self._spikes.items():
            np.add.at(sums, labels, np.atleast_2d(counts[layer]).sum(0))

    def looks(self, n_samples: int, every: int, batch_size: int) -> list[int]:
        """Sizes of the parts of an epoch after each of which to look.

        Args:
            n_samples: of the epoch.
            every: samples, a multiple of ``batch_size``; and sooner where a check of the published rule is due.
            batch_size: parts consist of whole batches.
        """
        periods = {every} | self._monitors.check_periods
        ends = {end for period in periods for end in range(period, n_samples, period)} | {n_samples}
        whole = sorted({min(-(-end // batch_size) * batch_size, n_samples) for end in ends})
        return [end - start for start, end in zip([0, *whole], whole, strict=False)]

    @property
    def should_stop(self) -> bool:
        """Whether a layer is too silent."""
        return self._monitors.should_stop

    @property
    def constraints(self) -> tuple[float, ...]:
        """One value a layer, in the order of the configuration."""
        return self._monitors.constraints

    @property
    def rates(self) -> dict[str, float]:
        """Layer -> share of silent samples in the epoch so far."""
        return self._monitors.rates

    @property
    def mean_spikes(self) -> dict[str, float]:
        """Layer -> mean spikes of a sample in the epoch so far."""
        n_samples = max(float(self._samples.sum()), 1.0)
        return {layer: float(sums.sum()) / n_samples for layer, sums in self._spikes.items()}

    def curves(self) -> dict[str, Curve]:
        """``silent_rate_<layer>``, at most 100 points an epoch; ``spikes_<layer>`` ``K``, mean spikes a sample."""
        samples = np.maximum(self._samples, 1)
        spikes = {f"spikes_{layer}": tuple((sums / samples).tolist()) for layer, sums in self._spikes.items()}
        return self._monitors.curves("silent") | spikes

    def state_dict(self) -> dict[str, Any]:
        """All counts and curves, for a checkpoint."""
        return {
            "monitors": self._monitors.state_dict(),
            "spikes": {layer: sums.tolist() for layer, sums in self._spikes.items()},
            "samples": self._samples.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._monitors.load_state_dict(state["monitors"])
        self._spikes = {layer: np.array(sums, np.float64) for layer, sums in state["spikes"].items()}
        self._samples = np.array(state["samples"], np.float64)
