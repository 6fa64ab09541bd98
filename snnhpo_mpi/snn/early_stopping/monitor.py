"""Counts what happens to the samples of an epoch, and decides by a rule when it happened too often.

What is counted is a 0/1 vector: a sample is silent (``silence``), saturated (``saturation``) or wrong (``chance``).
Where a monitor stands for several layers, each is counted by itself, and the one with most events decides.

Notation
    n samples seen in the epoch    k of them with the event    N samples of the whole epoch    beta tolerated rate

Rules
    published   every ``check_every`` samples: stop when k / N > beta; constraint k / N - beta
    sequential  at every batch: stop when the observations are 100 times likelier under p > beta than under p = beta;
                constraint k / n - beta, which is not censored at the moment of stopping: a dead network gives 1 - beta.
                A network that may need to settle is given a warm-up, which does not count.

Source of the published rule: Firmin, Boulet & Talbi, arXiv 2403.00450 (counts restart each epoch).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.snn.early_stopping.sequential_test import exceeds
from snnhpo_mpi.trial import Curve

Events = NDArray[np.bool_]
CURVE_POINTS = 100  # of an epoch; a batch of one would give a curve of 48,000 points


class Rule(Protocol):
    """What counts mean."""

    def stops(self, k: int, n: int, n_before: int) -> bool:
        """Whether to stop after a batch that took the samples seen from ``n_before`` to ``n``."""
        ...

    def constraint(self, k: int, n: int) -> float:
        """Feasible iff <= 0."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """The published rule; ``n_epoch_samples``: N."""

    beta: float
    check_every: int
    n_epoch_samples: int

    def stops(self, k: int, n: int, n_before: int) -> bool:
        """See ``Rule``."""
        is_due = n // self.check_every > n_before // self.check_every
        return is_due and self.constraint(k, n) > 0

    def constraint(self, k: int, n: int) -> float:
        """See ``Rule``."""
        return k / self.n_epoch_samples - self.beta


@dataclass(frozen=True, slots=True)
class Sequential:
    """The sequential rule."""

    beta: float

    def stops(self, k: int, n: int, n_before: int) -> bool:
        """See ``Rule``."""
        return exceeds(k, n, self.beta)

    def constraint(self, k: int, n: int) -> float:
        """See ``Rule``."""
        return (k / n if n else 0.0) - self.beta


class Monitor:
    """Counts one kind of event.

    Attributes:
        rule: decides.
        n: samples seen in the epoch.
        should_stop: whether the rule has fired; stays true.
    """

    def __init__(self, rule: Rule, warm_up: int = 0) -> None:
        """Count nothing yet; the first ``warm_up`` samples of the training never count."""
        self.rule = rule
        self._n_to_skip = warm_up
        self.should_stop = False
        self.start_epoch()

    def start_epoch(self) -> None:
        """Restart the counts."""
        self.n = 0
        self._ks = np.zeros(1, np.int64)  # of each layer

    @property
    def k(self) -> int:
        """Samples with the event; of several layers the most."""
        return int(self._ks.max())

    @property
    def rate(self) -> float:
        """Share of samples with the event so far, 0 before the first."""
        return self.k / self.n if self.n else 0.0

    @property
    def constraint(self) -> float:
        """Feasible iff <= 0; by the rule's own definition."""
        return self.rule.constraint(self.k, self.n)

    def observe(self, events: Events) -> None:
        """Count a batch: ``B``, whether the event happened to the sample; ``L x B`` of several layers."""
        layers = np.atleast_2d(events)
        skipped = min(self._n_to_skip, layers.shape[1])
        self._n_to_skip -= skipped
        counted = layers[:, skipped:]
        n_before = self.n
        self.n += counted.shape[1]
        self._ks = self._ks + np.count_nonzero(counted, axis=1)
        self.should_stop |= self.rule.stops(self.k, self.n, n_before)

    def state_dict(self) -> dict[str, Any]:
        """Counts for a checkpoint; a training that goes on has not been stopped."""
        return {"n": self.n, "k": self._ks.tolist(), "n_to_skip": self._n_to_skip}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the counts of a checkpoint."""
        self.n, self._n_to_skip = state["n"], state["n_to_skip"]
        self._ks = np.atleast_1d(np.array(state["k"], np.int64))


class LayerMonitors:
    """A monitor of one kind of event for each watched layer, and the curves of their rates."""

    def __init__(self, monitors: Mapping[str, Monitor], n_epoch_samples: int) -> None:
        """Hand in layer -> monitor, in the order of the constraints."""
        self._monitors = monitors
        self._rates: dict[str, list[float]] = {layer: [] for layer in monitors}
        self._point_every = max(1, n_epoch_samples // CURVE_POINTS)
        self._n_seen = 0

    def start_epoch(self) -> None:
        """Restart all counts; curves go on."""
        self._n_seen = 0
        for monitor in self._monitors.values():
            monitor.start_epoch()

    def observe(self, events: Mapping[str, Events], n_samples: int) -> None:
        """Count a batch of ``n_samples``: layer -> ``B`` or ``L x B``, whether the event happened to the sample."""
        for layer, monitor in self._monitors.items():
            monitor.observe(events[layer])
        points_before = self._n_seen // self._point_every
        self._n_seen += n_samples
        if self._n_seen // self._point_every > points_before or self.should_stop:
            for layer, rate in self.rates.items():
                self._rates[layer].append(rate)

    @property
    def check_periods(self) -> set[int]:
        """Samples between two checks, of the rules that do not check every batch."""
        rules = (monitor.rule for monitor in self._monitors.values())
        return {rule.check_every for rule in rules if isinstance(rule, Published)}

    @property
    def should_stop(self) -> bool:
        """Whether the rule of any layer has fired."""
        return any(monitor.should_stop for monitor in self._monitors.values())

    @property
    def constraints(self) -> tuple[float, ...]:
        """One value a layer."""
        return tuple(monitor.constraint for monitor in self._monitors.values())

    @property
    def rates(self) -> dict[str, float]:
        """Layer -> share of samples with the event in the epoch so far."""
        return {layer: monitor.rate for layer, monitor in self._monitors.items()}

    def curves(self, event: str) -> dict[str, Curve]:
        """``<event>_rate_<layer>``, at most 100 points an epoch."""
        return {f"{event}_rate_{layer}": tuple(rates) for layer, rates in self._rates.items()}

    def state_dict(self) -> dict[str, Any]:
        """All counts and curves, for a checkpoint."""
        return {
            "monitors": {layer: monitor.state_dict() for layer, monitor in self._monitors.items()},
            "rates": {layer: list(rates) for layer, rates in self._rates.items()},
            "n_seen": self._n_seen,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        for layer, monitor in self._monitors.items():
            monitor.load_state_dict(state["monitors"][layer])
        self._rates = {layer: list(rates) for layer, rates in state["rates"].items()}
        self._n_seen = state["n_seen"]
