"""A Diehl & Cook network's samples on a CPU: presented one by one, by compiled code (``cpu_steps``).

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
from snnhpo_mpi.snn.encode import encoded, interval_table
from snnhpo_mpi.snn.stdp.decode import SpikeTrains
from snnhpo_mpi.snn.stdp.engines.cpu_steps import Choices, Constants, Layer, Samples, Spikes, present, room_for
from snnhpo_mpi.snn.stdp.engines.machine_code import compiled
from snnhpo_mpi.snn.stdp.equations import FORMS, Equations, Lif
from snnhpo_mpi.snn.stdp.two_layers import Response, Trains

NO_IMAGES, NO_BITS = np.zeros((0, 0), np.uint8), np.zeros((0, 0, 0), np.uint8)
NO_INTERVALS, NO_WINNERS = np.zeros((0, 0), np.uint32), np.zeros((0, 0), np.int32)


class CpuEngine:
    """Presents samples; changes the weights ``M x N`` and the thresholds' rise ``N`` that it is given.

    Attributes:
        has_finite_potentials: whether they were finite at the end of all calls.
    """

    def __init__(self, constants: Equations, norm: float, reset_interval: int, w: Tensor, theta: Tensor) -> None:
        """Compile, or load what was compiled.

        Args:
            constants: of the network.
            norm: sum of the weights into a neuron after a presentation that learns.
            reset_interval: steps after which a presentation begins again from rest; 0 for never.
            w: contiguous.
            theta: of the same type.
        """
        self._eq, self._norm, self._reset_interval = constants, norm, reset_interval
        self._w, self._theta = w.numpy(), theta.numpy()
        self._code = compiled_for(w.dtype)
        self.has_finite_potentials = True

    def show(self, samples: Tensor, encoding: EncodingSettings, generator: torch.Generator, learning: bool) -> Trains:
        """Encode samples and present them; most encodings are drawn by the compiled code, seeded by the generator.

        Args:
            samples: images or binned recordings, uint8.
            encoding: how they become spikes.
            generator: all that is random here follows from it.
            learning: whether weights and thresholds change.
        """
        intervals = interval_table(encoding)
        if intervals is not None:
            shown = Samples(encoding.steps, samples.flatten(1).contiguous().numpy(), intervals, NO_BITS)
        elif encoding.name == "events":
            shown = Samples(encoding.steps, NO_IMAGES, NO_INTERVALS, samples.flatten(1, 3).contiguous().numpy())
        else:
            shown = _packed(encoded(samples, encoding, generator))
        return Trains(*(self._trains(layer) for layer in self._run(shown, learning, generator, NO_WINNERS)))

    def respond(self, spikes: Tensor, learning: bool, winners: NDArray[np.int32] = NO_WINNERS) -> Response:
        """Present spikes.

        Args:
            spikes: ``B x T x C x H x W`` bool.
            learning: whether weights and thresholds change.
            winners: ``B x T``, the neurons that win where they are over their threshold; empty to draw all.
        """
        layers = self._run(_packed(spikes), learning, torch.default_generator, winners)
        return Response(*(_raster(layer, (*spikes.shape[:2], len(self._theta))) for layer in layers))

    def _run(
        self, shown: Samples, learning: bool, generator: torch.Generator, winners: NDArray[np.int32]
    ) -> tuple[Spikes, Spikes]:
        """Present samples; the spikes of both layers."""
        seed = int(torch.randint(2**63 - 1, (1,), generator=generator))
        constants = _constants(self._eq, self._norm, self._reset_interval, shown.n_steps, learning, self._w.dtype)
        room = room_for(constants, self._w.shape, shown)
        self._code(self._w, self._theta, constants, shown, Choices(np.array([seed], np.uint64), winners), room)
        self.has_finite_potentials &= bool(np.isfinite(room.state.v_e).all() and np.isfinite(room.state.v_i).all())
        return room.excitatory, room.inhibitory

    def _trains(self, spikes: Spikes) -> SpikeTrains:
        per_sample = np.diff(spikes.first)
        sample = np.repeat(np.arange(len(per_sample)), per_sample)
        return SpikeTrains(sample, spikes.neuron[: len(sample)].astype(np.int64), len(per_sample), len(self._theta))


@functools.cache
def compiled_for(dtype: torch.dtype) -> Callable[..., Any]:
    """The compiled presentation of networks of a type; the first process of a node takes many seconds to get it."""
    weights, lif = torch.ones(1, 2, dtype=dtype).numpy(), Lif(0.0, -1.0, -1.0, 0.5, 0)
    eq = Equations(lif, lif, 0.0, 0.5, 1.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, FORMS["diehl_cook"])
    nothing = Samples(1, NO_IMAGES, NO_INTERVALS, NO_BITS)
    constants = _constants(eq, 1.0, 0, 1, False, weights.dtype)
    room, choices = room_for(constants, (1, 2), nothing), Choices(np.zeros(1, np.uint64), NO_WINNERS)
    return compiled(present, weights, weights[0], constants, nothing, choices, room)


def _constants(
    eq: Equations, norm: float, reset_interval: int, n_steps: int, learning: bool, dtype: np.dtype[Any]
) -> Constants:
    """Numbers of the network's type; thresholds neither decay nor rise where nothing is learnt."""
    real = dtype.type
    left = np.full(n_steps + 1, eq.x_decay, real)
    left[0] = 1
    e, i = (
        Layer(real(one.thresh), real(one.rest), real(one.reset), real(one.decay), one.n_blocked) for one in (eq.e, eq.i)
    )
    return Constants(
        e=e,
        i=i,
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


def _packed(spikes: Tensor) -> Samples:
    """Spikes ``B x T x C x H x W`` as bits."""
    by_input = np.moveaxis(spikes.flatten(2).numpy(), 1, 2)
    return Samples(spikes.shape[1], NO_IMAGES, NO_INTERVALS, np.packbits(by_input, axis=2))


def _raster(spikes: Spikes, shape: tuple[int, int, int]) -> Tensor:
    raster, n_spikes = np.zeros(shape, dtype=bool), spikes.first[-1]
    sample = np.repeat(np.arange(shape[0]), np.diff(spikes.first))
    raster[sample, spikes.step[:n_spikes], spikes.neuron[:n_spikes]] = True
    return torch.from_numpy(raster)
