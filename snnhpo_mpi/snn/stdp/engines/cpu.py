"""A Diehl & Cook network's samples on a CPU: presented one by one, by compiled code (``cpu_steps``).

Notation: B samples, M inputs, T steps, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.stdp.decode import SpikeTrains, join
from snnhpo_mpi.snn.stdp.engines.cpu_input import NO_BITS, NO_IMAGES, NO_INTERVALS, Bytes, Random, shown, shown_bits
from snnhpo_mpi.snn.stdp.engines.cpu_steps import (
    Choices,
    Constants,
    Layer,
    Reals,
    Samples,
    Spikes,
    most_spikes,
    present,
    room_for,
)
from snnhpo_mpi.snn.stdp.engines.machine_code import compiled
from snnhpo_mpi.snn.stdp.equations import FORMS, Equations, Lif, Real
from snnhpo_mpi.snn.stdp.two_layers import Trains

NO_WINNERS = np.zeros((0, 0), np.int32)
MOST_SPIKES = 2**20  # of a layer that there is room for at a time
Rasters = tuple[NDArray[np.bool_], NDArray[np.bool_]]  # ``B x T x N`` of the excitatory and the inhibitory layer


class CpuEngine:
    """Presents samples; changes the weights ``M x N`` and the thresholds' rise ``N`` that it is given.

    Attributes:
        has_finite_potentials: whether they were finite at the end of all calls.
    """

    def __init__(self, constants: Equations, norm: float, reset_interval: int, w: Reals, theta: Reals) -> None:
        """Compile, or load what was compiled.

        Args:
            constants: of the network.
            norm: sum of the weights into a neuron after a presentation that learns.
            reset_interval: steps after which a presentation begins again from rest; 0 for never.
            w: contiguous.
            theta: of the same type.
        """
        self._eq, self._norm, self._reset_interval = constants, norm, reset_interval
        self._w, self._theta = w, theta
        self._code = compiled_for(np.float64 if w.dtype == np.float64 else np.float32)
        self.has_finite_potentials = True

    def show(self, samples: Bytes, encoding: EncodingSettings, random: Random, learning: bool) -> Trains:
        """Encode samples and present them.

        Args:
            samples: images or binned recordings.
            encoding: how they become spikes.
            random: all that is random here follows from it.
            learning: whether weights and thresholds change.
        """
        parts = self._run(shown(samples, encoding, random), learning, random.integer(), NO_WINNERS)
        excitatory, inhibitory = zip(*([self._trains(layer) for layer in layers] for layers in parts), strict=True)
        return Trains(join(excitatory), join(inhibitory))

    def respond(
        self, spikes: NDArray[np.bool_], learning: bool, seed: int = 0, winners: NDArray[np.int32] = NO_WINNERS
    ) -> Rasters:
        """Present spikes.

        Args:
            spikes: ``B x T x M``.
            learning: whether weights and thresholds change.
            seed: of the choice among neurons over their threshold.
            winners: ``B x T``, the neurons that win where they are over their threshold; empty to draw all.
        """
        bits = np.packbits(np.moveaxis(spikes, 1, 2), axis=2)
        parts = list(self._run(shown_bits(bits, spikes.shape[1]), learning, seed, winners))
        return self._rasters([e for e, _ in parts], spikes), self._rasters([i for _, i in parts], spikes)

    def _run(
        self, samples: Samples, learning: bool, seed: int, winners: NDArray[np.int32]
    ) -> Iterator[tuple[Spikes, Spikes]]:
        """Present samples; the spikes of both layers, in parts that there is room for."""
        constants = _constants(self._eq, self._norm, self._reset_interval, samples.n_steps, learning, self._w.dtype)
        choices = Choices(np.array([seed], np.uint64), winners)
        n_samples = max(len(samples.images), len(samples.bits))
        at_once = max(1, MOST_SPIKES // max(most_spikes(constants, len(self._theta), samples.n_steps)))
        for first in range(0, n_samples, at_once):
            part = slice(first, first + at_once)
            now = samples._replace(images=samples.images[part], bits=samples.bits[part])
            room = room_for(constants, self._w.shape, now)
            self._code(self._w, self._theta, constants, now, choices._replace(winners=winners[part]), room)
            self.has_finite_potentials &= bool(np.isfinite(room.state.v_e).all() and np.isfinite(room.state.v_i).all())
            yield room.excitatory, room.inhibitory

    def _trains(self, spikes: Spikes) -> SpikeTrains:
        per_sample = np.diff(spikes.first)
        return SpikeTrains.of(per_sample, spikes.neuron[: spikes.first[-1]], len(self._theta))

    def _rasters(self, parts: Sequence[Spikes], like: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.concatenate([_raster(part, (like.shape[1], len(self._theta))) for part in parts])


def _raster(spikes: Spikes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Spikes as ``B x T x N``, of which ``shape`` is the latter two."""
    per_sample, n_spikes = np.diff(spikes.first), spikes.first[-1]
    raster = np.zeros((len(per_sample), *shape), dtype=bool)
    raster[np.repeat(np.arange(len(per_sample)), per_sample), spikes.step[:n_spikes], spikes.neuron[:n_spikes]] = True
    return raster


@functools.cache
def compiled_for(real: Real) -> Callable[..., Any]:
    """The compiled presentation of networks of a type; the first process of a node takes many seconds to get it."""
    weights, lif = np.ones((1, 2), real), Lif(0.0, -1.0, -1.0, 0.5, 0)
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
