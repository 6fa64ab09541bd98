"""Early stopping on spikes: how silent each monitored layer is, when to stop, and the constraint that it gives.

Source: Firmin, Boulet & Talbi, arXiv 2403.00450 (samples with fewer than ``alpha`` spikes are silent, at most a share
``beta`` of them is tolerated; several monitors are OR-ed; counts restart each epoch). The sequential test is the
mixture likelihood ratio of Robbins, Ann. Math. Statist. 41 (1970), with a uniform prior.

Notation
    n samples seen in the epoch    s silent ones among them    N samples of the whole epoch    p true silent rate
    B batch    K classes

Rules
    published   every ``check_every`` samples: stop when s / N > beta; constraint s / N - beta
    sequential  at every batch: stop when the observations are 100 times likelier under p > beta than under p = beta;
                constraint s / n - beta, which is not censored at the moment of stopping: a dead network gives 1 - beta.
                A network that may need to settle is given a warm-up, which does not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from snnhpo_mpi.config import MonitorSettings
from snnhpo_mpi.trial import Curve

Counts = NDArray[np.int64]
FALSE_STOP_PROBABILITY = 0.01  # of a network whose silent rate is beta, over a whole epoch, however often one looks
CURVE_POINTS = 100  # of an epoch; a batch of one would give a curve of 48,000 points
PUBLISHED_CHECKS = 40  # the paper checks MNIST's 48,000 samples every 1,200


def log_evidence(silent: int, seen: int, beta: float) -> float:
    """Log likelihood ratio of p ~ U(beta, 1] to p = beta, after ``silent`` of ``seen`` samples.

    For p <= beta its exponential is a supermartingale, so by Ville's inequality it ever exceeds 1 / delta with
    probability at most delta: the test may be looked at after every batch.
    """
    if beta == 0.0:
        return math.inf if silent else -math.inf
    a, b = silent + 1, seen - silent + 1
    tail = 1.0 - float(betainc(a, b, beta))
    if tail <= 0.0:
        return -math.inf
    log_mixture = float(betaln(a, b)) + math.log(tail) - math.log1p(-beta)
    return log_mixture - silent * math.log(beta) - (seen - silent) * math.log1p(-beta)


class Monitor:
    """Counts the silent samples of one layer.

    Attributes:
        seen: n.
        silent: s.
        should_stop: whether the rule has fired; stays true.
    """

    def __init__(self, settings: MonitorSettings, n_epoch_samples: int) -> None:
        self.settings = settings
        self._n_epoch_samples = n_epoch_samples
        self.check_every = settings.check_every or max(1, n_epoch_samples // PUBLISHED_CHECKS)
        self._n_to_skip = settings.warm_up if settings.rule == "sequential" else 0
        self.should_stop = False
        self.start_epoch()

    def start_epoch(self) -> None:
        """Restart the counts."""
        self.seen = 0
        self.silent = 0

    def state_dict(self) -> dict[str, int]:
        """Counts for a checkpoint; a training that goes on has not been stopped."""
        return {"seen": self.seen, "silent": self.silent, "n_to_skip": self._n_to_skip}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on from the counts of a checkpoint."""
        self.seen, self.silent, self._n_to_skip = state["seen"], state["silent"], state["n_to_skip"]

    @property
    def rate(self) -> float:
        """Share of silent samples so far, 0 before the first."""
        return self.silent / self.seen if self.seen else 0.0

    @property
    def constraint(self) -> float:
        """Feasible iff <= 0; by the rule's own definition (see the top of the file)."""
        if self.settings.rule == "published":
            return self.silent / self._n_epoch_samples - self.settings.beta
        return self.rate - self.settings.beta

    def observe(self, counts: Counts) -> None:
        """Count the samples of a batch.

        Args:
            counts: ``B``, spikes of each sample in this layer.
        """
        skipped = min(self._n_to_skip, len(counts))
        self._n_to_skip -= skipped
        counts = counts[skipped:]
        checks_before = self.seen // self.check_every
        self.seen += len(counts)
        self.silent += int(np.count_nonzero(counts < self.settings.alpha))
        if self.settings.rule == "published":
            due = self.seen // self.check_every > checks_before
            self.should_stop |= due and self.silent / self._n_epoch_samples > self.settings.beta
        else:
            evidence = log_evidence(self.silent, self.seen, self.settings.beta)
            self.should_stop |= evidence > -math.log(FALSE_STOP_PROBABILITY)


class Activity:
    """All monitors of a network in training, and what they saw."""

    def __init__(self, monitors: Sequence[MonitorSettings], n_epoch_samples: int, n_classes: int) -> None:
        self._monitors = [Monitor(settings, n_epoch_samples) for settings in monitors]
        self._rates: dict[str, list[float]] = {settings.layer: [] for settings in monitors}
        self._point_every = max(1, n_epoch_samples // CURVE_POINTS)
        self._spikes = {settings.layer: np.zeros(n_classes) for settings in monitors}
        self._samples = np.zeros(n_classes)

    def start_epoch(self) -> None:
        """Restart all counts; curves go on, spikes per class are those of the last epoch."""
        self._samples[:] = 0
        for monitor in self._monitors:
            monitor.start_epoch()
            self._spikes[monitor.settings.layer][:] = 0

    def looks(self, n_samples: int, every: int, batch_size: int) -> list[int]:
        """Sizes of the parts of an epoch after each of which to look.

        Args:
            n_samples: of the epoch.
            every: samples, a multiple of ``batch_size``; and sooner where a check of the published rule is due.
            batch_size: parts consist of whole batches.
        """
        periods = {every, *(one.check_every for one in self._monitors if one.settings.rule == "published")}
        ends = {end for period in periods for end in range(period, n_samples, period)} | {n_samples}
        whole = sorted({min(-(-end // batch_size) * batch_size, n_samples) for end in ends})
        return np.diff(whole, prepend=0).tolist()

    def observe(self, counts: Mapping[str, Counts], labels: Counts) -> None:
        """Count a batch.

        Args:
            counts: layer -> ``B`` spikes of each sample; layers without a monitor are ignored.
            labels: ``B`` classes.
        """
        points_before = self._samples.sum() // self._point_every
        np.add.at(self._samples, labels, 1)
        for monitor in self._monitors:
            layer = monitor.settings.layer
            monitor.observe(counts[layer])
            np.add.at(self._spikes[layer], labels, counts[layer])
        if self._samples.sum() // self._point_every > points_before or self.should_stop:
            for layer, rate in self.silent_rates.items():
                self._rates[layer].append(rate)

    def state_dict(self) -> dict[str, Any]:
        """All counts and curves, for a checkpoint."""
        return {
            "monitors": [monitor.state_dict() for monitor in self._monitors],
            "rates": {layer: list(rates) for layer, rates in self._rates.items()},
            "spikes": {layer: sums.tolist() for layer, sums in self._spikes.items()},
            "samples": self._samples.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        for monitor, counts in zip(self._monitors, state["monitors"], strict=True):
            monitor.load_state_dict(counts)
        self._rates = {layer: list(rates) for layer, rates in state["rates"].items()}
        self._spikes = {layer: np.array(sums, np.float64) for layer, sums in state["spikes"].items()}
        self._samples = np.array(state["samples"], np.float64)

    @property
    def should_stop(self) -> bool:
        """Whether any monitor says so."""
        return any(monitor.should_stop for monitor in self._monitors)

    @property
    def constraints(self) -> tuple[float, ...]:
        """One value a monitor, in the order of the configuration."""
        return tuple(monitor.constraint for monitor in self._monitors)

    @property
    def silent_rates(self) -> dict[str, float]:
        """Layer -> share of silent samples in the epoch so far."""
        return {monitor.settings.layer: monitor.rate for monitor in self._monitors}

    @property
    def mean_spikes(self) -> dict[str, float]:
        """Layer -> mean spikes of a sample in the epoch so far."""
        n_samples = max(float(self._samples.sum()), 1.0)
        return {layer: float(sums.sum()) / n_samples for layer, sums in self._spikes.items()}

    def curves(self) -> dict[str, Curve]:
        """``silent_rate_<layer>``, at most 100 points an epoch; ``spikes_<layer>`` ``K``, mean spikes a sample."""
        rates: dict[str, Curve] = {f"silent_rate_{layer}": tuple(rates) for layer, rates in self._rates.items()}
        samples = np.maximum(self._samples, 1)
        return rates | {f"spikes_{layer}": tuple((sums / samples).tolist()) for layer, sums in self._spikes.items()}
