"""Trust region of constrained Bayesian optimization: pure counters and geometry.

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO), section 3; Eriksson et al., NeurIPS 2019 (TuRBO), section 2.
Asynchrony: a trial is credited to the *generation* (the stretch of constant length) in which it was proposed, so that
a burst of late answers from a larger region does not shrink the present one.

Notation
    d   encoded columns      x   d   in [0, 1]^d      w   d   relative side lengths, geometric mean 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.settings import RegionSettings

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrustRegion:
    """Side length of the region and what changes it.

    Attributes:
        settings: its bounds and tolerances.
        failure_tolerance: failures in a row after which the length halves.
        length: base side, in units of the cube's side.
        success_counter: successes in a row in this generation.
        failure_counter: failures in a row in this generation.
        generation: how often the length has changed.
        fruitless: failures since the last improvement.
    """

    settings: RegionSettings
    failure_tolerance: int
    length: float
    success_counter: int = 0
    failure_counter: int = 0
    generation: int = 0
    fruitless: int = 0


def first_region(n_hyperparameters: int, settings: RegionSettings) -> TrustRegion:
    """Region at the start of a study."""
    failures = math.ceil(n_hyperparameters * settings.failures_per_hyperparameter)
    return TrustRegion(settings, max(settings.failure_tolerance_min, failures), settings.length_init)


def step(region: TrustRegion, improved: bool, generation: int) -> TrustRegion:
    """Region after one more answer.

    Args:
        region: before it.
        improved: whether the answer became the incumbent.
        generation: of the region when the trial was proposed. An improvement always counts; a failure only if the
            trial was proposed at the present length.
    """
    if improved:
        region = replace(region, success_counter=region.success_counter + 1, failure_counter=0, fruitless=0)
        if region.success_counter < region.settings.success_tolerance:
            return region
        return _resized(region, min(2.0 * region.length, region.settings.length_max))
    if generation != region.generation:
        return region
    failures, fruitless = region.failure_counter + 1, region.fruitless + 1
    region = replace(region, failure_counter=failures, success_counter=0, fruitless=fruitless)
    if failures < region.failure_tolerance:
        return region
    return _resized(region, max(region.length / 2.0, region.settings.length_min))


def _resized(region: TrustRegion, length: float) -> TrustRegion:
    return replace(region, length=length, success_counter=0, failure_counter=0, generation=region.generation + 1)


def relative_sides(lengthscales: Array, side_ratio: float) -> Array:
    """Lengthscales ``d`` -> w: sides in proportion to them, geometric mean 1, at most ``side_ratio``:1 either way."""
    log_w = np.log(lengthscales)
    log_w = np.clip(log_w - log_w.mean(), -np.log(side_ratio), np.log(side_ratio))
    w: Array = np.exp(log_w - log_w.mean())
    return w


def box(center: Array, length: float, sides: Array) -> tuple[Array, Array]:
    """Lower and upper corner, each ``d``, of the region around ``center``, cut to the unit cube."""
    half = 0.5 * length * sides
    return np.clip(center - half, 0.0, 1.0), np.clip(center + half, 0.0, 1.0)
