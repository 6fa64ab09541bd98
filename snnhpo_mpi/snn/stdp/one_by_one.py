"""Diehl & Cook networks on one core, which see one sample after another; what they compute is in ``engines.cpu``.

The same networks as ``diehl_cook``, without torch, which alone takes more memory and time to start than all of this.

Notation: M inputs, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.draws import Draws, spike_seed
from snnhpo_mpi.snn.stdp.engines.cpu import CpuEngine
from snnhpo_mpi.snn.stdp.engines.cpu_steps import Reals
from snnhpo_mpi.snn.stdp.equations import FORMS, INITIAL_WEIGHT, Form, Real, equations, numbers, refuse_overflow
from snnhpo_mpi.snn.stdp.two_layers import Bytes, Trains, TwoLayers
from snnhpo_mpi.trial import Params


class OneByOne(TwoLayers):
    """One network.

    Attributes:
        w: learnt weights, ``M x N``.
        theta: rise of the excitatory thresholds [mV], ``N``.
        engine: presents samples, and changes both with them.
    """

    def __init__(
        self,
        params: Params,
        n_inputs: int,
        dt_ms: float,
        seed: int,
        form: Form = FORMS["diehl_cook"],
        real: Real = np.float32,
    ) -> None:
        """Build the network.

        Args:
            params: a value of every hyperparameter of the network's table.
            n_inputs: M.
            dt_ms: time step.
            seed: of the trial; the weights follow from it, and all that is drawn later.
            form: which of the networks.
            real: of weights and potentials.

        Raises:
            FloatingPointError: a hyperparameter is no finite number of this type.
        """
        refuse_overflow(params, real)
        value = numbers(params)
        n, norm = int(value["map_size"]), value["norm"]
        self.w: Reals = Draws(seed).uniform((n_inputs, n)).astype(real, copy=False)
        self.w *= np.float32(INITIAL_WEIGHT)
        # The library normalises after each presentation only; a large norm would leave the first one silent.
        with np.errstate(over="ignore", invalid="ignore"):  # ``refuse_divergence`` tells
            total = self.w.sum(0, dtype=np.float64)
            self.w *= (norm / np.where(total > 0, total, 1.0)).astype(real)
        self.theta = np.zeros(n, real)
        constants = equations(params, form, dt_ms, real)
        self.engine = CpuEngine(constants, norm, int(value.get("reset_interval", 0)), self.w, self.theta)
        self.seed(seed)

    @property
    def size(self) -> tuple[int, int]:
        """See ``TwoLayers``."""
        return len(self.w), len(self.theta)

    def seed(self, seed: int) -> None:
        """See ``TwoLayers``."""
        self._random = Draws(spike_seed(seed))

    def teach(self, samples: Bytes, encoding: EncodingSettings, batch_size: int) -> Trains:
        """See ``TwoLayers``."""
        assert batch_size == 1
        return self.engine.show(samples, encoding, self._random, learning=True)

    def read(self, samples: Bytes, encoding: EncodingSettings) -> Trains:
        """See ``TwoLayers``."""
        return self.engine.show(samples, encoding, self._random, learning=False)

    def state_dict(self) -> dict[str, Any]:
        """See ``TwoLayers``."""
        return {"w": self.w, "theta": self.theta, "random": self._random.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``TwoLayers``."""
        self.w[:], self.theta[:] = state["w"], state["theta"]
        if "random" in state:
            self._random.load_state_dict(state["random"])

    def _what_is_not_finite(self) -> str | None:
        if not np.isfinite(self.w).all():
            return "weights"
        if not np.isfinite(self.theta).all():
            return "adaptive thresholds"
        return None if self.engine.has_finite_potentials else "membrane potentials"
