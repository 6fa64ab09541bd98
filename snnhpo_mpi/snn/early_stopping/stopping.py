"""Everything that may stop a training early, in the order of the search's constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.interfaces import Ints, Learnt
from snnhpo_mpi.snn.early_stopping.chance import Chance
from snnhpo_mpi.snn.early_stopping.monitor import LayerMonitors
from snnhpo_mpi.snn.early_stopping.saturation import saturation_monitors
from snnhpo_mpi.snn.early_stopping.silence import Silence
from snnhpo_mpi.trial import Curve


class EarlyStopping:
    """The rules of a configuration, applied to one training.

    Attributes:
        silence: of each watched layer, and its spikes.
    """

    def __init__(self, config: StudyConfig, n_epoch_samples: int, n_classes: int) -> None:
        self.silence = Silence(config.stopping, n_epoch_samples, n_classes)
        self._saturation = saturation_monitors(config.saturation, n_epoch_samples)
        self._chance = Chance(config.chance, n_classes)
        self._rules: dict[str, Silence | LayerMonitors | Chance] = {
            "silence": self.silence,
            "saturation": self._saturation,
            "chance": self._chance,
        }

    def start_epoch(self) -> None:
        """Restart what is counted by epoch."""
        for rule in self._rules.values():
            rule.start_epoch()

    def observe(self, learnt: Learnt, classes: Ints) -> None:
        """Count what ``B`` samples of these classes did."""
        self.silence.observe(learnt.counts, classes)
        self._saturation.observe(learnt.saturated, len(classes))
        if learnt.right is not None:
            self._chance.observe(learnt.right == 0)

    def end_epoch(self) -> None:
        """Judge the whole epoch."""
        self._chance.end_epoch()

    @property
    def should_stop(self) -> bool:
        """Whether any rule has fired."""
        return any(rule.should_stop for rule in self._rules.values())

    @property
    def constraints(self) -> tuple[float, ...]:
        """Silence and saturation in the order of the configuration, then chance; feasible iff all are <= 0."""
        return tuple(value for rule in self._rules.values() for value in rule.constraints)

    def curves(self) -> dict[str, Curve]:
        """Of silence (``silence``), and ``saturated_rate_<layer>``."""
        return self.silence.curves() | self._saturation.curves("saturated")

    def state_dict(self) -> dict[str, Any]:
        """All counts and curves, for a checkpoint."""
        return {name: rule.state_dict() for name, rule in self._rules.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        for name, rule in self._rules.items():
            rule.load_state_dict(state[name])
