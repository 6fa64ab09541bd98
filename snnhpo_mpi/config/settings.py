"""The study's configuration: typed, frozen settings of one YAML file; ``reference`` writes its keys as Markdown.

Settings have no behaviour; what they must satisfy together stands in ``validation``.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.fields import FieldInfo

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.config.text import function_target, network_name, path_text
from snnhpo_mpi.hyperparameters.ranges import RANGES
from snnhpo_mpi.trial import ACCURACY, ParamValue

if TYPE_CHECKING:
    DatasetName = str
else:
    DatasetName = Literal[tuple(DATASETS)]

Scale = Literal["linear", "log", "reverse_log"]
RESOLVED = 1e-12  # share of a range's upper end that reverse_log can still tell from it
LARGE_INT = 2**48  # up to here the borders between integers are exact to a 32nd
MIN_VALUES = 1000  # floating-point numbers between the bounds of a real hyperparameter
_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_NAMED = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:s|min|h|d)\s*)+")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")  # [days-]hours:minutes:seconds, as Slurm writes it


def _within(name: str) -> FieldInfo:
    """The range of a number, from the table of all of them."""
    known = RANGES[name]
    bounds: dict[str, Any] = {"ge": known.low, ("lt" if known.below else "le"): known.high}
    if known.kind is float:
        bounds["allow_inf_nan"] = False
    field: FieldInfo = Field(**bounds)
    return field


def parse_duration(value: Any) -> float:
    """``20h``, ``1h 30min``, ``1-12:00:00`` or a number of seconds -> seconds.

    Raises:
        ValueError: none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < sys.float_info.max else math.inf
    text = str(value).strip()
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if _NAMED.fullmatch(text):
        return sum(float(n) * _UNITS_S[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)", text))
    raise ValueError("a duration such as 90s, 10min, 1h 30min, 20h, 2d, 20:00:00 or a number of seconds is needed")


def _plain_value(value: Any) -> Any:
    """A value that a hyperparameter can have: text or a number that is the same again after it was written."""
    if isinstance(value, bool):
        raise ValueError('a number or text is needed: for a switch write 0 and 1, or "true" and "false" in quotes')
    if not isinstance(value, int | float | str):
        raise ValueError("a number or text is needed")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a finite number is needed")
    return value


def _auto_or(name: str) -> BeforeValidator:
    """``auto`` or an integer, said in one sentence."""
    known = RANGES[name]

    def check(value: Any) -> Any:
        is_count = isinstance(value, int) and not isinstance(value, bool) and known.low <= value <= known.high
        if value != "auto" and not is_count:
            raise ValueError(f"auto or an integer from {known.low} to {known.high} is needed")
        return value

    return BeforeValidator(check)


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    _within("wall_time"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["20h", "10min", 90]}),
]
Number = Annotated[float, _within("real")]
Integer = Annotated[int, _within("integer")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
Path = Annotated[str, AfterValidator(path_text)]
Value = Annotated[
    ParamValue, BeforeValidator(_plain_value), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
]


class Settings(BaseModel):
    """Root of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StudySettings(Settings):
    """Which study this is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    """Folder of the results: letters, digits, ``_ . -``."""
    seed: Annotated[int, _within("seed")] = 1
    """Everything random follows from it and a trial's number."""


class BudgetSettings(Settings):
    """When the search ends: whichever comes first."""

    trials: Annotated[int, _within("trials")] | None = None
    """Trials asked, whatever became of them."""
    wall_time: Duration | None = None
    """Of one job; the time left of a Slurm job is found by itself. When it is over and ``trials`` are left, the search
    is to be resumed (exit code 75); without ``trials`` the budget is spent (exit code 0)."""
    stop_before_end: Duration = 600.0
    """How long before the end running trials are given to finish."""
    max_failures: Annotated[int, _within("max_failures")] | None = 10
    """Trials that may fail in a row before the search ends with exit code 1 and the reason; more where failing is
    usual. None or 0: any number."""


class OptimizerSettings(Settings):
    """How hyperparameters are proposed."""

    name: Literal["scbo", "sobol", "random", "replay"] = "scbo"
    """``scbo`` learns; ``sobol`` and ``random`` do not; ``replay`` repeats the configurations of another study."""
    engine: Literal["fast", "library"] = "fast"
    """``scbo`` only. Who computes its models: ``fast`` is our own core, ``library`` BoTorch and GPyTorch, which takes
    many times as long for each proposal."""
    initial: Annotated[int, _within("initial")] = 20
    """Sobol points before the first model."""
    study: Path | None = None
    """``replay`` only: the results folder whose configurations are evaluated again, in order, after the baseline if
    there is one."""


class DatasetSettings(Settings):
    """What is learnt, and the seeded split of its *training* set."""

    name: DatasetName
    """One of those that ``snnhpo data list`` shows."""
    path: Path | None = None
    """Folder of the data, environment variables allowed; none for a data set that a package ships."""
    train: Annotated[int, _within("train")]
    """Training samples."""
    held_out: Annotated[int, _within("held_out")]
    """Held-out samples, scored for the objective."""


class EncodingSettings(Settings):
    """How a sample becomes spike trains."""

    name: Literal[
        "poisson", "poisson_intervals", "bernoulli", "latency", "rank_order", "receptive_fields", "events"
    ] = "poisson"
    """``events`` for recordings, the others for images; ``poisson_intervals`` is the published encoder."""
    steps: Annotated[int, _within("steps")]
    """Time steps T of a sample."""
    dt_ms: Annotated[float, _within("dt_ms")] = 1.0
    """Length of a time step of the network."""
    max_rate_hz: Annotated[float, _within("max_rate_hz")] | None = None
    """``poisson`` and ``poisson_intervals``: firing rate at full intensity."""
    max_probability: Annotated[float, _within("max_probability")] | None = None
    """``bernoulli``: probability of a spike in a step at full intensity."""
    fields: Annotated[int, _within("fields")] | None = None
    """``receptive_fields``: neurons for each pixel."""
    window_ms: Annotated[float, _within("window_ms")] | None = None
    """``events``: recorded time that a step holds; by default each recording is divided into T equal parts."""
    denoise_ms: Annotated[float, _within("denoise_ms")] = 0.0
    """``events``: drop events without another one at a neighbouring pixel in this time before them; 0 drops none."""
    downsample: Annotated[int, _within("downsample")] = 1
    """``events``: side of the squares of pixels that are merged."""

    @model_validator(mode="after")
    def _own_keys(self) -> EncodingSettings:
        for key in dict.fromkeys(key for keys in ENCODING_KEYS.values() for key in keys):
            owners = [name for name, keys in ENCODING_KEYS.items() if key in keys]
            is_given = getattr(self, key) != type(self).model_fields[key].default
            if self.name in owners:
                if ENCODING_KEYS[self.name][key] and not is_given:
                    raise ValueError(f"encoding {self.name} needs {key}")
            elif is_given:
                whose = f"encoding{'s' * (len(owners) > 1)} {' and '.join(owners)}"
                raise ValueError(f"{key} belongs to the {whose}, not to {self.name}")
        return self


ENCODING_KEYS: Mapping[str, Mapping[str, bool]] = {
    "poisson": {"max_rate_hz": True},
    "poisson_intervals": {"max_rate_hz": True},
    "bernoulli": {"max_probability": True},
    "receptive_fields": {"fields": True},
    "events": {"window_ms": False, "denoise_ms": False, "downsample": False},
}
"""Keys that not every encoding takes, and whether it needs them."""


class StdpSettings(Settings):
    """Spike-timing-dependent plasticity, with BindsNET."""

    name: Literal["stdp"]
    """Learning without labels; a decoder reads the classes from the spikes."""
    network: Literal["diehl_cook", "diehl_cook_distance"] = "diehl_cook"
    """With ``diehl_cook_distance`` the inhibition between two neurons grows with their distance."""
    engine: Literal["fast", "library"] = "fast"
    """``fast`` is our own implementation, ``library`` BindsNET's own loop, whose results it equals."""
    dataset: DatasetSettings
    """What is learnt."""
    encoding: EncodingSettings
    """How it becomes spikes."""
    batch_size: Annotated[int, _within("batch_size")] = 1
    """Samples whose weight changes are summed: 1 is published, and the fastest on a CPU; more keep a GPU busy."""
    readout: Literal["frozen", "latest", "published"] = "frozen"
    """What the decoder is fitted on: training samples shown again with learning off, the latest ones as they were when
    they were learnt, or, as published, rates and counts of the whole training added up."""
    readout_samples: Annotated[int, _within("readout_samples")] = 50_000
    """``frozen`` and ``latest``: so many samples, or all if fewer."""
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""

    @model_validator(mode="after")
    def _own_keys(self) -> StdpSettings:
        if self.readout == "published" and self.readout_samples != type(self).model_fields["readout_samples"].default:
            raise ValueError("readout_samples belongs to the readouts frozen and latest, not to published")
        return self


class SlayerSettings(Settings):
    """Surrogate gradients, with lava-dl's SLAYER."""

    name: Literal["slayer"]
    """Learning with labels, by gradients."""
    network: Annotated[str, AfterValidator(network_name)] = "csnn"
    """``csnn``, ``csnn_gesture``, ``dense``, or your own as ``package.module:Class``."""
    engine: Literal["fast", "library"] = "fast"
    """``fast`` is our own implementation, ``library`` lava-dl's own loop, whose results it equals."""
    dataset: DatasetSettings
    """What is learnt."""
    encoding: EncodingSettings
    """How it becomes spikes."""
    initial_weights: Literal["scaled", "library"] = "scaled"
    """Of our networks. ``library``: as lava-dl draws them, of which rounding erases most in a layer of more than 1,024
    inputs and all of more than 4,096. ``scaled``: scaled up in such layers, so that half of them stay."""
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""

    @model_validator(mode="after")
    def _own_keys(self) -> SlayerSettings:
        if ":" in self.network and self.initial_weights != type(self).model_fields["initial_weights"].default:
            raise ValueError("initial_weights is for our networks: one of your own draws its weights by itself")
        return self


class PythonSettings(Settings):
    """Evaluation by a function of yours."""

    name: Literal["python"]
    """Calls a function, which may stop early by itself."""
    function: Annotated[str, AfterValidator(function_target)]
    """``package.module:function`` or ``path/to/file.py:function``."""
    constraints: tuple[Name, ...] = ()
    """A name for each constraint value that the function returns."""
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""


Trainer = Annotated[StdpSettings | SlayerSettings | PythonSettings, Field(discriminator="name")]


class MonitorSettings(Settings):
    """Early stopping on one layer's silence, and one constraint of the search."""

    layer: str
    """Name of the layer."""
    alpha: Annotated[int, _within("alpha")]
    """Fewest spikes for a sample to count as active."""
    beta: Annotated[float, _within("beta")]
    """Largest tolerated share of silent samples."""
    rule: Literal["sequential", "published"] = "sequential"
    """``sequential`` tests about every 32 samples, ``published`` every ``check_every`` samples as the paper does."""
    check_every: Annotated[int, _within("check_every")] | None = None
    """``published`` only: samples between checks; by default a fortieth of the training samples."""
    warm_up: Annotated[int, _within("warm_up")] = 0
    """``sequential`` only: first samples of the training that do not count; surrogate-gradient learning may quieten a
    network for some batches before it learns."""


class SaturationSettings(Settings):
    """Early stopping on a layer that fires as fast as it can, and one constraint of the search."""

    layer: str
    """Name of the layer."""
    limit: Annotated[float, _within("limit")] = 0.9
    """Share of the spikes that the refractory period allows, from which on a neuron counts as saturated."""
    share: Annotated[float, _within("share")] = 0.5
    """Of the layer's neurons: with so many saturated, a sample counts as saturated."""
    beta: Annotated[float, _within("beta")] = 0.1
    """Largest tolerated share of saturated samples."""
    warm_up: Annotated[int, _within("warm_up")] = 0
    """First samples of the training that do not count."""


class ChanceSettings(Settings):
    """Early stopping of a network that has learnt nothing, and one constraint of the search."""

    after_epochs: Annotated[int, _within("after_epochs")]
    """From the end of this epoch on, a running training accuracy not above chance (at 99 %) stops the training."""


class PruningSettings(Settings):
    """Stop a trial that cannot win, by what it reports while it trains."""

    rule: Literal["none", "gain", "asha", "median"] = "none"
    """``gain`` predicts the final score by what finished trials still gained from there on; ``asha`` lets a quarter of
    the trials pass each rung, a rung being four times as far as the one before; ``median`` stops what is worse than
    the median of the finished trials."""
    spare: Annotated[float, _within("spare")] = 0.05
    """Share of the trials that finish whatever they report, so that what is learnt of gains stays honest."""


class FinalistsSettings(Settings):
    """Train the best few configurations again at the budget's end, and choose among them by what that gives."""

    count: Annotated[int, _within("count")]
    """How many configurations, the best by the search's own scores."""
    repeats: Annotated[int, _within("repeats")] = 3
    """Trainings of each, with other seeds and on other splits of the training set."""


class WorkerSettings(Settings):
    """What a worker rank gets."""

    gpus: Annotated[Literal["auto"] | Annotated[int, _within("gpus")], _auto_or("gpus")] = "auto"
    """GPUs of a node to use; 0 trains on the CPU."""
    trials_per_gpu: Annotated[int, _within("trials_per_gpu")] = 1
    """Ranks that share one GPU."""
    threads: Annotated[Literal["auto"] | Annotated[int, _within("threads")], _auto_or("threads")] = "auto"
    """CPU threads of an evaluator."""
    fresh_process: bool = False
    """A new process for each trial, so that nothing which a trial leaves in its process reaches the next one."""
    heartbeat_timeout: Duration = 120.0
    """A rank silent for longer is given up and its trial sent out again."""


class RecordSettings(Settings):
    """How the record is written."""

    flush_every: Duration = 30.0
    """Between snapshots of ``study.h5``; the journal is written at once."""


class FloatParameter(Settings):
    """A real hyperparameter."""

    type: Literal["float"]
    """A real number."""
    low: Number
    """Smallest value."""
    high: Number
    """Largest value."""
    scale: Scale = "linear"
    """``log`` spreads orders of magnitude evenly; ``reverse_log`` is dense near ``high``. Both need ``low`` > 0."""

    @model_validator(mode="after")
    def _bounds(self) -> FloatParameter:
        _check_bounds(self.low, self.high, self.scale)
        if self.high - self.low < MIN_VALUES * math.ulp(max(abs(self.low), abs(self.high))):
            raise ValueError(
                f"low ({self.low!r}) and high ({self.high!r}) are too close: fewer than {MIN_VALUES} floating-point "
                "numbers lie between them"
            )
        return self


class IntParameter(Settings):
    """An integer hyperparameter, both bounds included."""

    type: Literal["int"]
    """A whole number."""
    low: Integer
    """Smallest value."""
    high: Integer
    """Largest value."""
    scale: Scale = "linear"
    """``log`` spreads orders of magnitude evenly; ``reverse_log`` is dense near ``high``. Both need ``low`` > 0."""

    @model_validator(mode="after")
    def _bounds(self) -> IntParameter:
        _check_bounds(self.low, self.high, self.scale)
        largest = max(abs(self.low), abs(self.high))
        if self.high - self.low < MIN_VALUES and largest > LARGE_INT:
            raise ValueError(
                f"low ({self.low}) and high ({self.high}) are too close: beyond {LARGE_INT} integers must be at least "
                f"{MIN_VALUES} apart, as floating-point numbers are coarse there"
            )
        return self


class CategoricalParameter(Settings):
    """An unordered hyperparameter."""

    type: Literal["categorical"]
    """One of some values without an order."""
    choices: Annotated[tuple[Value, ...], Field(min_length=2)]
    """Two or more different values."""

    @model_validator(mode="after")
    def _distinct(self) -> CategoricalParameter:
        first: dict[ParamValue, ParamValue] = {}
        for choice in self.choices:
            if choice in first:
                raise ValueError(f"a choice stands twice: {first[choice]!r} and {choice!r} are the same value")
            first[choice] = choice
        return self


def _check_bounds(low: float, high: float, scale: Scale) -> None:
    """Raise ``ValueError`` where the values between the bounds could not be told apart as floating-point numbers."""
    if not low < high:
        raise ValueError(f"low ({low:g}) must be below high ({high:g})")
    if not math.isfinite(high - low):
        raise ValueError(f"high - low must be at most {sys.float_info.max:.3g}, found {low:g} to {high:g}")
    if scale == "linear":
        return
    if low <= 0:
        raise ValueError(f"scale {scale} needs low > 0, found {low:g}")
    if low < sys.float_info.min or not math.isfinite(high / low):
        raise ValueError(
            f"scale {scale} needs low of at least {sys.float_info.min:.3g} and high / low of at most "
            f"{sys.float_info.max:.3g}, found {low:g} to {high:g}"
        )
    if scale == "reverse_log" and low < high * RESOLVED:
        raise ValueError(f"scale reverse_log needs low of at least {RESOLVED:g} high, found {low:g} to {high:g}")


Parameter = FloatParameter | IntParameter | CategoricalParameter


class BaselineSettings(Settings):
    """A known configuration: evaluated as trial 0, and what the best found is compared with."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """For the report."""
    params: dict[str, Value]
    """Value of each searched hyperparameter; of our networks those alone that differ from the library's defaults."""


def _one_objective(names: Any) -> Any:
    """Raise ``ValueError`` where a list has more objectives than one, or none; whatever each is."""
    if not isinstance(names, list | tuple):
        return names
    if len(names) != 1:
        raise ValueError(f"a list with exactly one objective is needed, such as [{ACCURACY}]")
    return tuple(names)


class StudyConfig(Settings):
    """One experiment."""

    study: StudySettings
    """Which study this is."""
    budget: BudgetSettings
    """When the search ends."""
    objectives: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1), BeforeValidator(_one_objective)] = (
        ACCURACY,
    )
    """What is maximised, a list with one name: ``accuracy``, or what the objective of a python function is called."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """How hyperparameters are proposed."""
    trainer: Trainer
    """What is trained, on what."""
    stopping: tuple[MonitorSettings, ...] = ()
    """Silent layers that stop a training, a list."""
    saturation: tuple[SaturationSettings, ...] = ()
    """Saturated layers that stop a training, a list."""
    chance: ChanceSettings | None = None
    """Whether a network that learns nothing is stopped."""
    pruning: PruningSettings = PruningSettings()
    """Whether trials that cannot win are stopped, and by which rule."""
    finalists: FinalistsSettings | None = None
    """Whether the best configurations are trained again at the end."""
    workers: WorkerSettings = WorkerSettings()
    """What each worker rank gets."""
    record: RecordSettings = RecordSettings()
    """How the record is written."""
    fixed: dict[Name, Value] = {}
    """Any hyperparameter that is not searched."""
    space: Annotated[dict[Name, Annotated[Parameter, Field(discriminator="type")]], Field(min_length=1)]
    """What is searched."""
    baseline: BaselineSettings | None = None
    """A known configuration to compare with."""

    @property
    def constraint_names(self) -> tuple[str, ...]:
        """One name a constraint, in the order of the outcomes' values."""
        if isinstance(self.trainer, PythonSettings):
            return self.trainer.constraints
        names = [f"silent_{monitor.layer}" for monitor in self.stopping]
        names += [f"saturated_{monitor.layer}" for monitor in self.saturation]
        return (*names, "at_chance") if self.chance else tuple(names)
