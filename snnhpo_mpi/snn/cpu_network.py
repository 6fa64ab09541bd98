"""A Diehl & Cook network on a CPU: samples are presented one by one, by compiled code (``cpu_steps``).

Notation: B samples, P pixels, M inputs, T steps, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.cpu_steps import Choices, Constants, Layer, Samples, present
from snnhpo_mpi.snn.decode import SpikeTrains
from snnhpo_mpi.snn.encode import encoded, interval_table
from snnhpo_mpi.snn.equations import FORMS, INITIAL_WEIGHT, Equations, Form, Lif, equations, numbers
from snnhpo_mpi.snn.machine_code import compiled
from snnhpo_mpi.snn.two_layers import Response, Trains, TwoLayers
from snnhpo_mpi.trial import Params

NO_IMAGES, NO_BITS = np.zeros((0, 0), np.uint8), np.zeros((0, 0, 0), np.uint8)
NO_INTERVALS = np.zeros((0, 0), np.uint32)
NO_WINNERS = np.zeros((0, 0), np.int32)


class CpuNetwork(TwoLayers):
    """One network."""

    def __init__(
        self,
        params: Params,
        n_inputs: int,
        dt_ms: float,
        form: Form = FORMS["diehl_cook"],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Build the network, its weights drawn from torch's generator, as ``DiehlCook`` draws them.

        Args:
            params: a value of every hyperparameter of the network's table.
            n_inputs: M.
            dt_ms: time step.
            form: which of the networks.
            dtype: of weights and potentials.
        """
        value = numbers(params)
        n = int(value["map_size"])
        self._w = (INITIAL_WEIGHT * torch.rand(n_inputs, n)).to(dtype)
        self._theta = torch.zeros(n, dtype=dtype)
        self._equations = equations(params, form, dt_ms, dtype)
        self._norm, self._reset_interval = value["norm"], int(value.get("reset_interval", 0))
        total = self._w.sum(0, keepdim=True)
        self._w.mul_(self._norm / total.masked_fill_(total == 0, 1.0))
        self._code = _code(dtype)

    @property
    def w(self) -> Tensor:
        """See ``TwoLayers``."""
        return self._w

    @property
    def theta(self) -> Tensor:
        """See ``TwoLayers``."""
        return self._theta

    def show(self, samples: Tensor, encoding: EncodingSettings, generator: torch.Generator, learning: bool) -> Trains:
        """See ``TwoLayers``; times between spikes are drawn by the compiled code, with a seed from the generator."""
        intervals = interval_table(encoding)
        if intervals is not None:
            shown = Samples(encoding.steps, samples.flatten(1).contiguous().numpy(), intervals, NO_BITS)
        elif encoding.name == "events":
            shown = Samples(encoding.steps, NO_IMAGES, NO_INTERVALS, samples.flatten(1, 3).contiguous().numpy())
        else:
            shown = _packed(encoded(samples, encoding, generator))
        excitatory, inhibitory = self._run(shown, learning, _seed(generator))
        return Trains(self._trains(excitatory), self._trains(inhibitory))

    def _present(self, spikes: Tensor, learning: bool) -> Response:
        return self.respond(spikes, learning)

    def respond(self, spikes: Tensor, learning: bool, winners: NDArray[np.int32] = NO_WINNERS) -> Response:
        """Present samples one by one.

        Args:
            spikes: ``B x T x C x H x W`` bool.
            learning: whether weights and thresholds change.
            winners: ``B x T``, neurons that win the steps in which they are over their threshold; empty to draw all.
        """
        shape = (*spikes.shape[:2], len(self.theta))
        layers = self._run(_packed(spikes), learning, _seed(None), winners)
        return Response(*(_raster(layer, shape) for layer in layers))

    def _run(self, shown: Samples, learning: bool, seed: int, winners: NDArray[np.int32] = NO_WINNERS) -> Any:
        """Two of ``cpu_steps``' spikes, of either layer."""
        w, theta = self._w.numpy(), self._theta.numpy()
        constants = _constants(self._equations, self._norm, self._reset_interval, shown.n_steps, learning, w.dtype)
        return self._code(w, theta, constants, shown, Choices(np.array([seed], np.uint64), winners))

    def _trains(self, spikes: Any) -> SpikeTrains:
        per_sample = np.diff(spikes.first)
        sample = np.repeat(np.arange(len(per_sample)), per_sample)
        return SpikeTrains(sample, spikes.neuron.astype(np.int64), len(per_sample), len(self.theta))


def _constants(
    eq: Equations, norm: float, reset_interval: int, n_steps: int, learning: bool, dtype: np.dtype[Any]
) -> Constants:
    """Numbers of the network's type; without learning nothing is left to decay or to rise."""
    real = dtype.type
    left = np.full(n_steps + 1, eq.x_decay, real)
    left[0] = 1
    layers = [Layer(*map(real, (one.thresh, one.rest, one.reset, one.decay)), one.n_blocked) for one in (eq.e, eq.i)]
    return Constants(
        *layers,
        theta_plus=real(eq.theta_plus if learning else 0.0),
        theta_decay=real(eq.theta_decay if learning else 1.0),
        nu_pre=real(eq.nu_pre),
        nu_post=real(eq.nu_post),
        x_left=np.cumprod(left),
        y_decay=real(eq.y_decay),
        strength_exc=real(eq.strength_exc),
        strength_inh=real(eq.strength_inh),
        norm=real(norm),
        one_winner=eq.form.one_winner,
        by_distance=eq.form.by_distance,
        reset_interval=reset_interval or n_steps,
        learning=learning,
        learns=eq.learns,
    )


@functools.cache
def _code(dtype: torch.dtype) -> Callable[..., Any]:
    """The compiled presentation of networks of a type."""
    value = {"thresh": 0.0, "rest": -1.0, "reset": -1.0, "decay": 0.5, "n_blocked": 0}
    eq = Equations(Lif(**value), Lif(**value), 0.0, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, FORMS["diehl_cook"])
    weights = torch.zeros(1, 2, dtype=dtype).numpy()
    return compiled(present, weights, weights[0].copy(), _constants(eq, 1.0, 0, 1, False, weights.dtype), 
        Samples(1, NO_IMAGES, NO_INTERVALS, NO_BITS), Choices(np.zeros(1, np.uint64), NO_WINNERS))


def _packed(spikes: Tensor) -> Samples:
    """Spikes ``B x T x C x H x W`` as bits."""
    by_input = np.moveaxis(spikes.flatten(2).numpy(), 1, 2)
    return Samples(spikes.shape[1], NO_IMAGES, NO_INTERVALS, np.packbits(by_input, axis=2))


def _raster(spikes: Any, shape: tuple[int, int, int]) -> Tensor:
    raster = np.zeros(shape, dtype=bool)
    raster[np.repeat(np.arange(shape[0]), np.diff(spikes.first)), spikes.step, spikes.neuron] = True
    return torch.from_numpy(raster)


def _seed(generator: torch.Generator | None) -> int:
    """A seed for the compiled code from a generator of torch, None for its global one."""
    return int(torch.randint(2**63 - 1, (1,), generator=generator))
