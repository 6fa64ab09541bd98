"""Every choice of the SCBO optimizer, with the values that measured best (results/reference/optimizer_ablations.md).

A setting has a dotted name, such as ``region.length_init``: ``bench optimizer --setting NAME=VALUE`` changes one.
Guards of floating-point arithmetic, keys of random generators and limits of libraries are no choices: they stay
constants of their modules.

Units: lengths are in sides of the unit cube, modelled values have about unit spread.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from snnhpo_mpi.errors import ConfigError

ENGINES = ("fast", "library")
ANYWHERE = 1e3  # a length that covers the cube

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """The trust region.

    Attributes:
        length_init: side at the start, of a restart too.
        length_min: a region never becomes shorter; 0.5^7 as in TuRBO.
        length_max: a region never becomes longer.
        success_tolerance: successes in a row after which the length doubles.
        failures_per_hyperparameter: failures in a row, for each hyperparameter, after which the length halves.
        failure_tolerance_min: the number of failures is never smaller.
        min_gain: relative gain over the incumbent that counts as a success; noise brings smaller ones.
        side_ratio: longest side to the mean one, and the mean one to the shortest, at most.
        search_lengths: lengths taken in turn before the first feasible trial.
        fruitless_per_hyperparameter: failures since the last improvement, for each hyperparameter, after which the
            search restarts elsewhere. A restart gives up after half as many since its own last improvement.
        fruitless_min: the number of failures is never smaller.
        fresh_per_hyperparameter: random points at which a restart begins, for each hyperparameter,
        fresh_min: and at least so many.
        fresh_chance: least probability that such a point is feasible, as the models see it.
    """

    length_init: float = 0.8
    length_min: float = 0.5**7
    length_max: float = 1.6
    success_tolerance: int = 3
    failures_per_hyperparameter: float = 1.0
    failure_tolerance_min: int = 4
    min_gain: float = 1e-3
    side_ratio: float = 10.0
    search_lengths: tuple[float, ...] = (0.8, 0.8, ANYWHERE)
    fruitless_per_hyperparameter: float = 2.0
    fruitless_min: int = 40
    fresh_per_hyperparameter: float = 0.75
    fresh_min: int = 4
    fresh_chance: float = 0.25


@dataclass(frozen=True, slots=True)
class CandidateSettings:
    """How many points a proposal is chosen from.

    Attributes:
        n_thompson: candidates of a draw.
        n_improvement: candidates of an improvement, whose variances cost more.
        n_hurried: candidates of a draw that workers wait for.
        n_screened: the best by the cheaper values, which are ranked again by the exact ones.
        n_fallback: candidates in the region when the models fail.
        hurried_asks: hurried proposals in a row that share one conditioning of the models.
        most_pending: pending trials that the models believe, the nearest to the centre.
    """

    n_thompson: int = 1024
    n_improvement: int = 512
    n_hurried: int = 256
    n_screened: int = 32
    n_fallback: int = 64
    hurried_asks: int = 16
    most_pending: int = 256


@dataclass(frozen=True, slots=True)
class LocalSearchSettings:
    """The climb from the best candidates.

    Attributes:
        n_starts: candidates that start a climb.
        most_evaluations: of the models, for all starts at once, with up to 200 trials in the models.
        evaluations_times_trials: with more trials, so many evaluations divided by their number.
        first_reach: length of a step without curvature, as a share of the box's diagonal.
        least_gain: a climb ends at a step that brings less; merits have about unit spread, or are logarithms.
        least_length: a climb ends at a step that is shorter, as a share of the whole one.
        sufficient_gain: share of the gain predicted by the gradient that a step must bring.
        straight_gain: share of that gain from which on the merit counts as straight; on a parabola it is a half.
        straight_factor: by how much the next step is longer where the merit is straight.
    """

    n_starts: int = 4
    most_evaluations: int = 40
    evaluations_times_trials: int = 8000
    first_reach: float = 0.1
    least_gain: float = 1e-6
    least_length: float = 1e-8
    sufficient_gain: float = 1e-4
    straight_gain: float = 0.8
    straight_factor: float = 4.0


@dataclass(frozen=True, slots=True)
class ThompsonSettings:
    """Draws from the posterior.

    Attributes:
        penalties: factors of the squared drawn violation, one climb after the other: a stiff one alone stalls.
        margin: distance inside the drawn constraints that the penalty aims at, so that the end is inside.
        sharpness: of the smooth maximum of the drawn constraints, climbed while no trial has a score.
        least_temperature: share of a draw's spread that remains, however many trials are pending.
        pending_unit: pending trials that halve a draw's variance.
    """

    penalties: tuple[float, ...] = (1e2, 1e4)
    margin: float = 1e-3
    sharpness: float = 10.0
    least_temperature: float = 0.5
    pending_unit: float = 5.0


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """What the models see of objectives, constraints and failures.

    Attributes:
        largest: units of the median distance at which objectives are cut, so that one value far above all others does
            not turn them into a constant.
        saturation: medians towards which violations saturate; those well below it stay linear.
        failure_share: share of failures in a neighbourhood from which on it counts as infeasible.
        plateau: share of the median violation; a least violation above it says nothing of where feasibility lies.
    """

    largest: float = 1e6
    saturation: float = 10.0
    failure_share: float = 0.25
    plateau: float = 0.999


@dataclass(frozen=True, slots=True)
class GpSettings:
    """One Gaussian process, and how its hyperparameters are fitted.

    Attributes:
        lengthscale_bounds: of each lengthscale.
        variance_bounds: of the Matern part's variance.
        trend_bounds: of the variances of the linear and the quadratic trend.
        noise_bounds: of the noise variance.
        variance_prior: mean and standard deviation of the logarithm of the variance.
        trend_deviation: standard deviation of the logarithms of the trend's variances. Their mean is minus the
            logarithm of the number of lengthscales, so that the trend's total does not grow with it.
        noise_prior: mean and standard deviation of the logarithm of the noise: wide, from exact functions to scores on
            few samples.
        mean_variance: prior variance of the constant mean; a violation may be many spreads above 0 everywhere.
        starts: of a fit, each log lengthscale, log variance, log trend, noise; lengthscale and trend are relative to
            what the number of hyperparameters suggests. Where all is noise the likelihood has a maximum too, however
            many data there are, and a start too smooth for them ends in it.
        max_steps: of the fit from one start.
        n_thorough: with more trials only the best start is followed to its end.
        n_tried: steps from the other starts.
        tolerance: relative gain at which a fit ends.
        n_fitted: trials that hyperparameters are fitted to, at most; a fit is cubic in their number.
        n_features: random features of a draw.
    """

    lengthscale_bounds: Pair = (0.01, 100.0)
    variance_bounds: Pair = (1e-3, 1e3)
    trend_bounds: Pair = (1e-6, 1e2)
    noise_bounds: Pair = (1e-7, 1.0)
    variance_prior: Pair = (0.0, 1.5)
    trend_deviation: float = 2.0
    noise_prior: Pair = (-7.0, 3.0)
    mean_variance: float = 100.0
    starts: tuple[tuple[float, float, float, float], ...] = (
        (0.0, 0.0, 0.0, 1e-2),
        (-1.2, 0.0, -3.0, 1e-4),
        (-2.4, -1.0, -1.0, 1e-4),
    )
    max_steps: int = 40
    n_thorough: int = 150
    n_tried: int = 10
    tolerance: float = 1e-6
    n_fitted: int = 250
    n_features: int = 512


@dataclass(frozen=True, slots=True)
class RefitSettings:
    """When models are fitted, and on how many trials. ``n`` counts the trials told.

    Attributes:
        n_every: up to so many, each answer brings a fit.
        growth: then one comes whenever n has grown by this factor,
        most_between: or by so many; all of them are in the models, conditioned on the anchor's hyperparameters.
        n_concurrent: from so many on, fits run during the asks and are used a stretch later, or half of a long one.
        n_modelled: most trials that a model is made of, the nearest to the incumbent.
        n_near: of them, those that a climb to an improvement looks at; its cost is quadratic in their number.
        hurried_growth: while workers wait, share of n that must be new before another fit, which slows the asks,
        hurried_between: or so many.
        calm_asks: asks in a row without a hurry that end it.
    """

    n_every: int = 20
    growth: float = 1.06
    most_between: int = 100
    n_concurrent: int = 100
    n_modelled: int = 400
    n_near: int = 200
    hurried_growth: float = 1.0
    hurried_between: int = 250
    calm_asks: int = 10


@dataclass(frozen=True, slots=True)
class ScboSettings:
    """All of them.

    Attributes:
        region: the trust region.
        candidates: how many points a proposal is chosen from.
        local_search: the climb from the best candidates.
        thompson: draws from the posterior.
        outputs: what the models see of the answers.
        gp: the Gaussian processes.
        refit: when they are fitted.
        acquisition: of every second proposal, the others are draws; a name of ``acquisition/table.py``.
        engine: who computes the models and the acquisitions, one of ``ENGINES``.
    """

    region: RegionSettings = field(default_factory=RegionSettings)
    candidates: CandidateSettings = field(default_factory=CandidateSettings)
    local_search: LocalSearchSettings = field(default_factory=LocalSearchSettings)
    thompson: ThompsonSettings = field(default_factory=ThompsonSettings)
    outputs: OutputSettings = field(default_factory=OutputSettings)
    gp: GpSettings = field(default_factory=GpSettings)
    refit: RefitSettings = field(default_factory=RefitSettings)
    acquisition: str = "log_cei"
    engine: str = "fast"


DEFAULTS = ScboSettings()


def named(settings: Any = DEFAULTS, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every setting."""
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if is_dataclass(value):
            yield from named(value, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name, value


def changed(assignments: Iterable[str], settings: ScboSettings = DEFAULTS) -> ScboSettings:
    """The settings after ``NAME=VALUE`` texts; the numbers of a tuple are separated by commas, its rows by semicolons.

    Raises:
        ConfigError: a text is no assignment, its name is unknown, or its value does not fit.
    """
    for text in assignments:
        name, equals, value = text.partition("=")
        known = dict(named(settings))
        if not equals:
            raise ConfigError(f"--setting {text}: expected NAME=VALUE")
        if name not in known:
            raise ConfigError(f"--setting {name}: there is no such setting; the settings are {', '.join(known)}")
        try:
            settings = _with(settings, name.split("."), _parsed(value, known[name]))
        except ValueError as error:
            raise ConfigError(f"--setting {name}: {error}; it is {_written(known[name])} now") from None
    return settings


def _with(settings: Any, path: Sequence[str], value: Any) -> Any:
    head, *rest = path
    return replace(settings, **{head: _with(getattr(settings, head), rest, value) if rest else value})


def _parsed(text: str, old: Any) -> Any:
    """A value of the old one's kind and size.

    Raises:
        ValueError: it is something else; the message says what is expected.
    """
    if isinstance(old, str):
        return text
    if not isinstance(old, tuple):
        return _number(text, old)
    mark, separated = (";", "semicolons") if isinstance(old[0], tuple) else (",", "commas")
    parts = text.split(mark)
    if len(parts) != len(old):
        raise ValueError(f"expected {len(old)} values separated by {separated}, found {text!r}")
    return tuple(_parsed(part, value) for part, value in zip(parts, old, strict=True))


def _number(text: str, old: float) -> float:
    whole = isinstance(old, int)
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        raise ValueError(f"expected {'an integer' if whole else 'a number'}, found {text!r}") from None
    if not math.isfinite(value) or (whole and value < 1) or (old > 0 and value < 0):
        least = "an integer of at least 1" if whole else "a number of at least 0" if old > 0 else "a finite number"
        raise ValueError(f"expected {least}, found {text!r}")
    return value


def _written(value: Any) -> str:
    """As on the command line."""
    if not isinstance(value, tuple):
        return f"{value}"
    return (";" if isinstance(value[0], tuple) else ",").join(map(_written, value))
