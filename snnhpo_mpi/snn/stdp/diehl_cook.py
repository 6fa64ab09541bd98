"""Diehl & Cook networks: two layers, the first of which learns its input by STDP, a batch at a time.

    input - all to all, learnt by STDP -> excitatory <-> inhibitory

One-to-one excitation of the inhibitory layer, which inhibits all *other* excitatory neurons: all alike, with one winner
a step at most (``diehl_cook``: Diehl & Cook, Front. Comput. Neurosci. 2015; BindsNET 0.3.4, ``DiehlAndCook2015``), or
the more the farther away they are on a line (``diehl_cook_distance``: the gesture network of Firmin, Boulet & Talbi,
arXiv 2403.00450, section 4, with the sign that inhibits). Every synapse takes one step.

The same as ``engines.bindsnet``, which is the library's own, without its full lateral matrices: their spikes are equal.
A core that learns from one sample at a time has ``one_by_one``.

Notation: B samples, T steps, M inputs, N excitatory neurons, and as many inhibitory ones. Time goes first in here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.stdp.engines.dense import DenseSteps
from snnhpo_mpi.snn.stdp.equations import FORMS, INITIAL_WEIGHT, Form, Real, equations, numbers, refuse_overflow
from snnhpo_mpi.snn.stdp.in_batches import InBatches, Response
from snnhpo_mpi.snn.stdp.two_layers import Bytes, Trains
from snnhpo_mpi.snn.triton_available import fuses
from snnhpo_mpi.trial import Params

if TYPE_CHECKING:
    from snnhpo_mpi.snn.stdp.engines.cpu import CpuEngine
    from snnhpo_mpi.snn.stdp.engines.triton import FusedSteps


class DiehlCook(InBatches):
    """One network."""

    def __init__(
        self,
        params: Params,
        n_inputs: int,
        dt_ms: float,
        device: torch.device,
        form: Form = FORMS["diehl_cook"],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Build the network, its weights drawn from torch's generator.

        Args:
            params: a value of every hyperparameter of the network's table.
            n_inputs: M.
            dt_ms: time step.
            device: where it lives.
            form: which of the networks.
            dtype: of weights and potentials.

        Raises:
            FloatingPointError: a hyperparameter is no finite number of this type.
        """
        super().__init__(device)
        real: Real = np.float64 if dtype == torch.float64 else np.float32
        refuse_overflow(params, real)
        value = numbers(params)
        n = int(value["map_size"])
        self._reset_interval = int(value.get("reset_interval", 0))
        self._norm = value["norm"]
        self._w = (INITIAL_WEIGHT * torch.rand(n_inputs, n)).to(device, dtype)
        self._theta = torch.zeros(n, device=device, dtype=dtype)
        constants = equations(params, form, dt_ms, real)
        self._steps = _engine(self.w)(constants, self.w, self.theta)
        self._one_by_one: CpuEngine | None = None
        if device.type == "cpu":  # where reading sample by sample is quicker
            from snnhpo_mpi.snn.stdp.engines.cpu import CpuEngine

            self._one_by_one = CpuEngine(
                constants, self._norm, self._reset_interval, self.w.numpy(), self.theta.numpy()
            )
        # The library normalises after each presentation only; a large norm would leave the first batch silent.
        self._normalize()

    @property
    def w(self) -> Tensor:
        """See ``InBatches``."""
        return self._w

    @property
    def theta(self) -> Tensor:
        """See ``InBatches``."""
        return self._theta

    @property
    def _has_finite_potentials(self) -> bool:
        one_by_one = self._one_by_one is None or self._one_by_one.has_finite_potentials
        return one_by_one and bool(self._steps.has_finite_potentials)

    def _present(self, spikes: Tensor, learning: bool) -> Response:
        """A presentation begins from rest, and again every ``reset_interval`` steps."""
        if self._one_by_one is not None and not learning:
            rasters = self._one_by_one.respond(spikes.flatten(2).numpy(), learning, _Draws(None).integer())
            return Response(*map(torch.from_numpy, rasters))
        steps = spikes.flatten(2).transpose(0, 1)
        interval = self._reset_interval or len(steps)
        shape = (*steps.shape[:2], len(self.theta))
        record = [torch.empty(shape, dtype=torch.bool, device=steps.device) for _ in range(2)]
        for start in range(0, len(steps), interval):
            part = slice(start, start + interval)
            self._steps.run(steps[part].contiguous(), record[0][part], record[1][part], learning)
            if learning:
                self._normalize()
        return Response(*(spikes.transpose(0, 1) for spikes in record))

    def read(self, samples: Bytes, encoding: EncodingSettings) -> Trains:
        """See ``TwoLayers``."""
        if self._one_by_one is not None:
            return self._one_by_one.show(samples, encoding, _Draws(self._generator), learning=False)
        return super().read(samples, encoding)

    def _normalize(self) -> None:
        """Scale the weights into each neuron to their sum."""
        total = self.w.abs().sum(0, keepdim=True)
        self.w.mul_(self._norm / total.masked_fill_(total == 0, 1.0))


def _engine(w: Tensor) -> type[DenseSteps] | type[FusedSteps]:
    """Steps of a batch."""
    if not fuses(w):
        return DenseSteps
    from snnhpo_mpi.snn.stdp.engines.triton import FusedSteps

    return FusedSteps


@dataclass(frozen=True, slots=True)
class _Draws:
    """Random numbers of a generator of torch on a CPU; None for the global one."""

    generator: torch.Generator | None

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """See ``cpu_input.Random``."""
        drawn: NDArray[np.float32] = torch.rand(shape, generator=self.generator).numpy()
        return drawn

    def integer(self) -> int:
        """See ``cpu_input.Random``."""
        return int(torch.randint(2**63 - 1, (1,), generator=self.generator))
