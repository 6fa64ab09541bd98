"""Constrained problems with known difficulty, each as a search space and an evaluation of a trial.

``ackley10``, ``keane30``, ``speed_reducer``, ``welded_beam`` and ``pressure_vessel`` are the literature's, noise-free
and minimised; the silent-network problems are ours (``silent.py``), noisy and maximised.

Sources: Eriksson & Poloczek 2021 (Ackley with two constraints); Keane 1994; Golinski 1973 (speed reducer); Coello
Coello & Mezura-Montes 2002 (welded beam, pressure vessel; as in ``botorch.test_functions``).

Notation
    d variables    m constraints, feasible iff all <= 0    x  d  in the problem's own units
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import FloatParameter
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ACCURACY, Outcome, Params, State, Trial

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Problem:
    """A benchmark problem.

    Attributes:
        name: as on the command line.
        space: of its variables.
        n_constraints: m.
        n_initial: size of the initial design that the model-based methods share.
        minimised: whether the problem's own value is -objective.
        evaluate: trial -> outcome; noise comes from the trial's seed.
        value: params -> the problem's own value without noise; None where only measured objectives are known.
        mean_seconds: outcome and params -> mean duration in virtual seconds.
        duration_sigma: of the log of the virtual durations; at 1 the slowest of a hundred takes ten times the median.
        optimum: the best value that is known, without noise; None: not stated.
    """

    name: str
    space: Space
    n_constraints: int
    n_initial: int
    minimised: bool
    evaluate: Callable[[Trial], Outcome]
    value: Callable[[Params], float] | None
    mean_seconds: Callable[[Params, Outcome], float]
    duration_sigma: float = 1.0
    optimum: float | None = None


def exact_problem(
    name: str, bounds: list[tuple[float, float]], n_initial: int, function: Callable[[Array], tuple[float, list[float]]]
) -> Problem:
    """A noise-free minimisation over floats ``x0, x1, ...`` from x -> (value, constraints)."""
    space = Space({f"x{i}": FloatParameter(type="float", low=low, high=high) for i, (low, high) in enumerate(bounds)})

    def at(params: Params) -> tuple[float, list[float]]:
        return function(np.array([float(params[name]) for name in space.names]))

    def evaluate(trial: Trial) -> Outcome:
        value, constraints = at(trial.params)
        return Outcome(trial.number, State.COMPLETED, {ACCURACY: -value}, tuple(float(c) for c in constraints))

    middle = np.array([(low + high) / 2 for low, high in bounds])
    return Problem(
        name, space, len(function(middle)[1]), n_initial, True, evaluate, lambda params: at(params)[0], lambda p, o: 1.0
    )


def ackley(x: Array) -> tuple[float, list[float]]:
    """Ackley's function under sum(x) <= 0 and norm(x) <= 5; optimum 0 at 0."""
    value = -20.0 * math.exp(-0.2 * math.sqrt(float(np.mean(x**2)))) - math.exp(float(np.cos(2 * np.pi * x).mean()))
    return value + 20.0 + math.e, [float(x.sum()), float(np.linalg.norm(x)) - 5.0]


def keane_bump(x: Array) -> tuple[float, list[float]]:
    """Keane's bump: many local optima on the edge of prod(x) >= 0.75."""
    squared = np.cos(x) ** 2
    scale = math.sqrt(float(np.arange(1, len(x) + 1) @ x**2))
    value = -abs(float((squared**2).sum() - 2.0 * np.prod(squared))) / max(scale, 1e-3)
    return value, [0.75 - float(np.prod(x)), float(x.sum()) - 7.5 * len(x)]


def speed_reducer(x: Array) -> tuple[float, list[float]]:
    """Weight of a gearbox, textbook form with 11 constraints; optimum 2994.4."""
    b, m, z, l1, l2, d1, d2 = (float(v) for v in x)
    weight = 0.7854 * b * m**2 * (3.3333 * z**2 + 14.9334 * z - 43.0934) - 1.508 * b * (d1**2 + d2**2)
    weight += 7.4777 * (d1**3 + d2**3) + 0.7854 * (l1 * d1**2 + l2 * d2**2)
    return weight, [
        27.0 / (b * m**2 * z) - 1.0,
        397.5 / (b * m**2 * z**2) - 1.0,
        1.93 * l1**3 / (m * z * d1**4) - 1.0,
        1.93 * l2**3 / (m * z * d2**4) - 1.0,
        math.sqrt((745.0 * l1 / (m * z)) ** 2 + 16.9e6) / (110.0 * d1**3) - 1.0,
        math.sqrt((745.0 * l2 / (m * z)) ** 2 + 157.5e6) / (85.0 * d2**3) - 1.0,
        m * z / 40.0 - 1.0,
        5.0 * m / b - 1.0,
        b / (12.0 * m) - 1.0,
        (1.5 * d1 + 1.9) / l1 - 1.0,
        (1.1 * d2 + 1.9) / l2 - 1.0,
    ]


def welded_beam(x: Array) -> tuple[float, list[float]]:
    """Cost of a welded beam; optimum 1.7249 with the textbook's buckling load, 1.587 with BoTorch's, 36 times it."""
    h, length, t, b = (float(v) for v in x)
    load, span, young, shear = 6000.0, 14.0, 30e6, 12e6
    radius = math.sqrt(0.25 * (length**2 + (h + t) ** 2))
    polar = 2.0 * math.sqrt(2.0) * h * length * (length**2 / 12.0 + 0.25 * (h + t) ** 2)
    direct, torsion = load / (math.sqrt(2.0) * h * length), load * (span + length / 2.0) * radius / polar
    stress = math.sqrt(direct**2 + direct * torsion * length / radius + torsion**2)
    buckling = 4.013 * young * t * b**3 * 6.0 / span**2 * (1.0 - 0.25 * t * math.sqrt(young / shear) / span)
    cost = 1.10471 * h**2 * length + 0.04811 * t * b * (14.0 + length)
    return cost, [
        stress - 13_600.0,
        6.0 * load * span / (b * t**2) - 30_000.0,
        h - b,
        0.10471 * h**2 + 0.04811 * t * b * (14.0 + length) - 5.0,
        4.0 * load * span**3 / (young * t**3 * b) - 0.25,
        load - buckling,
    ]


def pressure_vessel(x: Array) -> tuple[float, list[float]]:
    """Cost of a pressure vessel; its plates come in sixteenths of an inch, which makes steps; optimum 6059.9."""
    shell, head, radius, length = (float(v) for v in x)
    shell_plate, head_plate = (round(v / 0.0625) * 0.0625 for v in (shell, head))
    cost = 0.6224 * shell_plate * radius * length + 1.7781 * head_plate * radius**2
    cost += 3.1661 * shell_plate**2 * length + 19.84 * shell_plate**2 * radius
    return cost, [
        0.0193 * radius - shell,
        0.00954 * radius - head,
        1_296_000.0 - math.pi * radius**2 * length - 4.0 / 3.0 * math.pi * radius**3,
        length - 240.0,
    ]
