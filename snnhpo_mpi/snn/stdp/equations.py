"""The equations of a Diehl & Cook network as numbers, and what is the same however their steps are computed.

    potential   v <- rest + exp(-dt / tc) (v - rest) + current, unless refractory; fires at v >= threshold, v <- reset
    threshold   thresh + theta;  theta <- exp(-B dt / tc_theta) theta, then + theta_plus at each spike of any sample
    trace       x <- exp(-dt / tc_trace) x, then 1 at a spike
    weights     w <- clamp(w - nu_pre s_x^T trace_y + nu_post trace_x^T s_y, 0, 1), summed over the batch

The order of operations, and with it the rounding of steps, is that of BindsNET 0.3.4 (``LIFNodes``,
``DiehlAndCookNodes``, ``AdaptiveLIFNodes``, ``PostPre``); but there a threshold decays B times as slowly in batches of
B. Source: Diehl & Cook, Front. Comput. Neurosci. 2015, sections 2.1 and 2.2.

Notation: B samples, T steps, M inputs, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.trial import Params

Real = type[np.float32] | type[np.float64]  # of weights and potentials
WEIGHT_MIN, WEIGHT_MAX = 0.0, 1.0
INITIAL_WEIGHT = 0.3  # of the library: uniform on [0, 0.3], before normalisation


@dataclass(frozen=True, slots=True)
class Form:
    """What differs between the networks.

    Attributes:
        one_winner: at most one excitatory neuron of a sample fires in a step, drawn among those over their threshold.
        by_distance: inhibition grows with the distance of two neurons, up to ``strength_inh``.
    """

    one_winner: bool
    by_distance: bool


FORMS = {
    "diehl_cook": Form(one_winner=True, by_distance=False),
    "diehl_cook_distance": Form(one_winner=False, by_distance=True),
}


@dataclass(frozen=True, slots=True)
class Lif:
    """Constants of a layer: potentials [mV], what a step leaves of them, and steps without input after a spike."""

    thresh: float
    rest: float
    reset: float
    decay: float
    n_blocked: int


@dataclass(frozen=True, slots=True)
class Equations:
    """All constants of one network, in steps rather than [ms].

    Attributes:
        e: excitatory neurons.
        i: inhibitory neurons.
        theta_plus: rise of an adaptive threshold at a spike [mV].
        theta_decay: what a step of one sample leaves of it.
        tc_theta: its time constant.
        nu_pre: learning rate at presynaptic spikes.
        nu_post: learning rate at postsynaptic spikes.
        x_decay: what a step leaves of an input's trace.
        y_decay: what a step leaves of an excitatory neuron's trace.
        strength_exc: excitatory -> inhibitory [mV].
        strength_inh: inhibitory -> excitatory [mV].
        form: which network.
    """

    e: Lif
    i: Lif
    theta_plus: float
    theta_decay: float
    tc_theta: float
    nu_pre: float
    nu_post: float
    x_decay: float
    y_decay: float
    strength_exc: float
    strength_inh: float
    form: Form

    def theta_left(self, n_samples: int) -> float:
        """What a step leaves of a threshold's rise: a step of a batch takes as long as one of each of its samples."""
        return self.theta_decay if n_samples == 1 else math.exp(-n_samples / self.tc_theta)

    @property
    def learns(self) -> bool:
        """Whether weights change at all."""
        return self.nu_pre > 0 or self.nu_post > 0


def equations(params: Params, form: Form, dt_ms: float, real: Real) -> Equations:
    """From hyperparameters to constants of a step; what a step leaves is rounded to the nearest number of ``real``."""
    value = numbers(params)

    def left(tc_ms: float) -> float:
        return float(real(np.exp(-float(real(dt_ms) / real(tc_ms)))))

    def lif(layer: str) -> Lif:
        return Lif(
            thresh=value[f"{layer}_thresh"],
            rest=value[f"{layer}_rest"],
            reset=value[f"{layer}_reset"],
            decay=left(value[f"{layer}_tc_decay"]),
            n_blocked=_blocked_steps(value[f"{layer}_refrac"], dt_ms, real),
        )

    return Equations(
        e=lif("e"),
        i=lif("i"),
        theta_plus=value["theta_plus"],
        theta_decay=left(value["tc_theta_decay"]),
        tc_theta=value["tc_theta_decay"] / dt_ms,
        nu_pre=value["nu_pre"],
        nu_post=value["nu_post"],
        x_decay=left(value["x_tc_trace"]),
        y_decay=left(value["e_tc_trace"]),
        strength_exc=value["strength_exc"],
        strength_inh=value["strength_inh"],
        form=form,
    )


def numbers(params: Params) -> dict[str, float]:
    """The hyperparameters that are numbers."""
    return {name: float(number) for name, number in params.items() if not isinstance(number, str)}


def refuse_overflow(params: Params, real: Real) -> None:
    """Raise where a hyperparameter is no finite number in the type that the network computes with.

    Raises:
        FloatingPointError: names it.
    """
    for name, number in numbers(params).items():
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(real(number))
        if not is_finite:
            raise FloatingPointError(f"training diverged: {name} = {number:g} is no finite number in {real.__name__}")


def _blocked_steps(refrac_ms: float, dt_ms: float, real: Real) -> int:
    """Steps after a spike without input: the library counts down by ``dt_ms`` for as long as the count is above 0."""
    left, dt, steps = real(refrac_ms), real(dt_ms), 0
    while left > 0:
        left, steps = left - dt, steps + 1
    return steps


def distance_inhibition(n: int, strength: float) -> NDArray[np.float64]:
    """Inhibition between ``n`` neurons on a line: 0 of itself, ``strength`` between its ends, ``N x N`` [mV]."""
    place = np.arange(n, dtype=np.float64)
    return strength * np.abs(place[:, None] - place) / max(n - 1, 1)
