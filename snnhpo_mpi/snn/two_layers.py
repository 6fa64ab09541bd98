"""What every engine's Diehl & Cook network is to its trainer, whichever way it computes its steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Response:
    """Spikes to a batch, ``B x T x N`` bool each."""

    excitatory: Tensor
    inhibitory: Tensor


class TwoLayers(ABC):
    """A network; weights and thresholds are all that outlasts a batch."""

    @property
    @abstractmethod
    def w(self) -> Tensor:
        """Learnt weights, ``M x N``."""

    @property
    @abstractmethod
    def theta(self) -> Tensor:
        """Rise of the excitatory thresholds [mV], ``N``."""

    @property
    @abstractmethod
    def _has_finite_potentials(self) -> bool:
        """Whether potentials were finite at the end of all presentations so far."""

    @abstractmethod
    def _present(self, spikes: Tensor, learning: bool) -> Response:
        """Present a batch ``B x T x C x H x W``."""

    def train(self, spikes: Tensor) -> Response:
        """Present a batch with learning on: weights and thresholds change at every step, norms at the end.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        return self._present(spikes, learning=True)

    def score(self, spikes: Tensor) -> Response:
        """Present a batch with weights and adaptive thresholds frozen.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        return self._present(spikes, learning=False)

    def refuse_divergence(self) -> None:
        """Raise if the network has left the finite numbers: such neurons never fire, or always do.

        It waits for the device, so not to be asked at every batch.

        Raises:
            FloatingPointError: says what is not finite.
        """
        for what, values in (("weights", self.w), ("adaptive thresholds", self.theta)):
            if not values.isfinite().all():
                raise FloatingPointError(f"training diverged: {what} are not finite")
        if not self._has_finite_potentials:
            raise FloatingPointError("training diverged: membrane potentials are not finite")

    def state_dict(self) -> dict[str, Tensor]:
        """What outlasts a batch."""
        return {"w": self.w, "theta": self.theta}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take weights and adaptive thresholds of another network of this size."""
        self.w.copy_(state["w"])
        self.theta.copy_(state["theta"])
