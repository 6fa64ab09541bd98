"""Stop a training that has learnt nothing: at an epoch's end its accuracy is not above chance beyond doubt.

It is judged from the end of epoch ``after_epochs`` on, by the running training accuracy.

Notation: p = 1 / K, the accuracy of guessing among K classes; n samples of the epoch that were predicted, k of them
wrongly. Constraint: p + z sqrt(p (1 - p) / n) - (n - k) / n, z for 99 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snnhpo_mpi.config import ChanceSettings
from snnhpo_mpi.snn.early_stopping.monitor import Events, Monitor

Z_99 = 2.326  # of the normal distribution, one-sided


@dataclass(frozen=True, slots=True)
class AboveChance:
    """How many samples may be wrong; ``p``: the accuracy of guessing."""

    p: float

    def stops(self, k: int, n: int, n_before: int) -> bool:
        """See ``monitor.Rule``: never within an epoch, whose first samples meet an untrained network."""
        return False

    def constraint(self, k: int, n: int) -> float:
        """See ``monitor.Rule``: what is lacking to an accuracy above chance; 0 where nothing is known."""
        if not n:
            return 0.0
        return self.p + Z_99 * math.sqrt(self.p * (1 - self.p) / n) - (n - k) / n


class Chance:
    """The wrong predictions of each epoch.

    Attributes:
        should_stop: whether an epoch ended at chance; stays true.
    """

    def __init__(self, settings: ChanceSettings | None, n_classes: int) -> None:
        """Watch ``n_classes``; without settings nothing is judged."""
        self._settings = settings
        self._monitor = Monitor(AboveChance(1.0 / n_classes))
        self._n_epochs = 0
        self.should_stop = False

    def start_epoch(self) -> None:
        """Restart the counts."""
        self._monitor.start_epoch()

    def observe(self, wrong: Events) -> None:
        """Count the predictions of a batch: ``B``, whether the class was wrong."""
        self._monitor.observe(wrong)

    def end_epoch(self) -> None:
        """Judge the epoch."""
        self._n_epochs += 1
        if self._settings is not None and self._n_epochs >= self._settings.after_epochs:
            self.should_stop |= self._monitor.constraint > 0

    @property
    def constraints(self) -> tuple[float, ...]:
        """One value if it is watched."""
        return () if self._settings is None else (self._monitor.constraint,)

    def state_dict(self) -> dict[str, Any]:
        """All counts, for a checkpoint."""
        return {"monitor": self._monitor.state_dict(), "n_epochs": self._n_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._monitor.load_state_dict(state["monitor"])
        self._n_epochs = state["n_epochs"]
