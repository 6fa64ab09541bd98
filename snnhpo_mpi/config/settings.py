"""The study's configuration: typed, frozen settings of one YAML file; ``reference`` writes its keys as Markdown.

Settings have no behaviour; what they must satisfy together stands in ``validation``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.config.parameters import Parameter, searched_space
from snnhpo_mpi.config.text import function_target, loss_name
from snnhpo_mpi.config.values import Duration, Name, Path, Settings, Value, auto_or, within
from snnhpo_mpi.hyperparameters.losses import DEFAULT_LOSS
from snnhpo_mpi.trial import ACCURACY

if TYPE_CHECKING:
    DatasetName = str
else:
    DatasetName = Literal[tuple(DATASETS)]


class StudySettings(Settings):
    """Which study this is."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    """Folder of the results: letters, digits, ``_ . -``."""
    seed: Annotated[int, within("seed")] = 1
    """Everything random follows from it and a trial's number."""


class BudgetSettings(Settings):
    """When the search ends: whichever comes first."""

    trials: Annotated[int, within("trials")] | None = None
    """Trials asked, whatever became of them."""
    wall_time: Duration | None = None
    """Of one job; the time left of a Slurm job is found by itself. When it is over and ``trials`` are left, the search
    is to be resumed (exit code 75); without ``trials`` the budget is spent (exit code 0)."""
    stop_before_end: Duration = 600.0
    """How long before the end running trials are given to finish."""
    max_failures: Annotated[int, within("max_failures")] | None = 10
    """Trials that may fail in a row before the search ends with exit code 1 and the reason; more where failing is
    usual. None or 0: any number."""


class OptimizerSettings(Settings):
    """How hyperparameters are proposed."""

    name: Literal["scbo", "sobol", "random", "replay", "optuna_tpe", "optuna_gp", "python"] = "scbo"
    """``scbo`` learns; ``sobol`` and ``random`` do not; ``replay`` repeats the configurations of another study;
    ``optuna_tpe`` and ``optuna_gp`` are Optuna's (``pip install 'snnhpo_mpi[optuna]'``); ``python`` is one of yours."""
    engine: Literal["fast", "library"] = "fast"
    """``scbo`` only. Who computes its models: ``fast`` is our own core, ``library`` BoTorch and GPyTorch, which takes
    many times as long for each proposal."""
    initial: Annotated[int, within("initial")] = 20
    """Sobol points before the first model; of ``optuna_tpe`` and ``optuna_gp`` random trials told before theirs."""
    study: Path | None = None
    """``replay`` only: the results folder whose configurations are evaluated again, in order, after the baseline if
    there is one."""
    function: Annotated[str, AfterValidator(function_target)] | None = None
    """``python`` only: the class of your optimizer, ``path/to/file.py:Class`` or ``package.module:Class``."""


class DatasetSettings(Settings):
    """What is learnt, and the seeded split of its *training* set."""

    name: DatasetName
    """One of those that ``snnhpo data list`` shows."""
    path: Path | None = None
    """Folder of the data, environment variables allowed; none for a data set that a package ships. ``python``: a file
    or folder that the function gets as its argument."""
    function: Annotated[str, AfterValidator(function_target)] | None = None
    """``python`` only: ``path/to/file.py:function`` or ``package.module:function`` that returns samples and labels."""
    test_function: Annotated[str, AfterValidator(function_target)] | None = None
    """``python`` only: the same for test samples, which a retraining is scored on; without it, those that the search
    left untouched."""
    train: Annotated[int, within("train")]
    """Training samples."""
    held_out: Annotated[int, within("held_out")]
    """Held-out samples, scored for the objective."""

    @model_validator(mode="after")
    def _own_keys(self) -> DatasetSettings:
        if self.name == "python" and self.function is None:
            raise ValueError("data set python needs function, such as mydata.py:load")
        if self.name != "python" and (self.function or self.test_function):
            raise ValueError(f"function and test_function belong to the data set python, not to {self.name}")
        return self


class EncodingSettings(Settings):
    """How a sample becomes spike trains."""

    name: Literal[
        "poisson",
        "poisson_intervals",
        "bernoulli",
        "latency",
        "rank_order",
        "receptive_fields",
        "events",
        "none",
        "direct",
    ] = "poisson"
    """``events`` for recordings, ``none`` for spikes of a function of yours, the others for images;
    ``poisson_intervals`` is the published encoder, ``direct`` the image itself as current at every step."""
    steps: Annotated[int, within("steps")]
    """Time steps T of a sample."""
    dt_ms: Annotated[float, within("dt_ms")] = 1.0
    """Length of a time step of the network."""
    max_rate_hz: Annotated[float, within("max_rate_hz")] | None = None
    """``poisson`` and ``poisson_intervals``: firing rate at full intensity."""
    max_probability: Annotated[float, within("max_probability")] | None = None
    """``bernoulli``: probability of a spike in a step at full intensity."""
    fields: Annotated[int, within("fields")] | None = None
    """``receptive_fields``: neurons for each pixel."""
    window_ms: Annotated[float, within("window_ms")] | None = None
    """``events``: recorded time that a step holds; by default each recording is divided into T equal parts."""
    denoise_ms: Annotated[float, within("denoise_ms")] = 0.0
    """``events``: drop events without another one at a neighbouring pixel in this time before them; 0 drops none."""
    downsample: Annotated[int, within("downsample")] = 1
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
    batch_size: Annotated[int, within("batch_size")] = 1
    """Samples whose weight changes are summed: 1 is published, and the fastest on a CPU; more keep a GPU busy."""
    readout: Literal["frozen", "latest", "published"] = "frozen"
    """What the decoder is fitted on: training samples shown again with learning off, the latest ones as they were when
    they were learnt, or, as published, rates and counts of the whole training added up."""
    readout_samples: Annotated[int, within("readout_samples")] = 50_000
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
    network: Literal["csnn", "csnn_gesture", "dense"] = "csnn"
    """Convolutional, convolutional for gestures, or one hidden layer; one of your own has ``trainer: torch``."""
    engine: Literal["fast", "library"] = "fast"
    """``fast`` is our own implementation, ``library`` lava-dl's own loop, whose results it equals."""
    dataset: DatasetSettings
    """What is learnt."""
    encoding: EncodingSettings
    """How it becomes spikes."""
    initial_weights: Literal["scaled", "library"] = "scaled"
    """``library``: as lava-dl draws them, of which rounding erases most in a layer of more than 1,024
    inputs and all of more than 4,096. ``scaled``: scaled up in such layers, so that half of them stay."""
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""


class TorchSettings(Settings):
    """Any spiking network of torch, with whatever library it is made."""

    name: Literal["torch"]
    """Learning with labels, by gradients."""
    network: Annotated[str, AfterValidator(function_target)]
    """``path/to/file.py:Class`` or ``package.module:Class``: a ``torch.nn.Module``, or a function that makes one."""
    layout: Literal["BTN", "TBN", "BNT", "step", "BN"]
    """What ``forward`` takes: samples B, steps T and features N in this order; with ``step`` it is called once a time
    step, with ``BN`` once without time, for a network that repeats its input by itself."""
    features: Literal["auto", "CHW", "flat"] = "auto"
    """Whether N are three axes, channels x height x width, or one; ``auto`` tries them in this order."""
    output: Annotated[int, within("output")] = 0
    """Which element of what ``forward`` returns is read, from 0, where it returns several."""
    loss: Annotated[str, AfterValidator(loss_name)] = DEFAULT_LOSS
    """What is made small, and how the answer is read: ``rate_cross_entropy``, ``count_cross_entropy``,
    ``max_cross_entropy``, ``last_cross_entropy``, ``count_mean_square``, ``rate``, ``max``; of a regression
    ``mean_square``, ``last_mean_square``; or a function of yours as ``path/to/file.py:function``."""
    dataset: DatasetSettings
    """What is learnt."""
    encoding: EncodingSettings
    """How it becomes spikes."""
    time_limit: Duration = 6 * 3600.0
    """A trial over it is failed."""


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


Trainer = Annotated[StdpSettings | SlayerSettings | TorchSettings | PythonSettings, Field(discriminator="name")]


class MonitorSettings(Settings):
    """Early stopping on one layer's silence, and one constraint of the search."""

    layer: str
    """Name of the layer. ``trainer: torch``: the path of a module, such as ``lif1``, or ``auto``, which is the largest
    share among all layers that spike."""
    alpha: Annotated[int, within("alpha")]
    """Fewest spikes for a sample to count as active."""
    beta: Annotated[float, within("beta")]
    """Largest tolerated share of silent samples."""
    rule: Literal["sequential", "published"] = "sequential"
    """``sequential`` tests about every 32 samples, ``published`` every ``check_every`` samples as the paper does."""
    check_every: Annotated[int, within("check_every")] | None = None
    """``published`` only: samples between checks; by default a fortieth of the training samples."""
    warm_up: Annotated[int, within("warm_up")] = 0
    """``sequential`` only: first samples of the training that do not count; surrogate-gradient learning may quieten a
    network for some batches before it learns."""


class SaturationSettings(Settings):
    """Early stopping on a layer that fires as fast as it can, and one constraint of the search."""

    layer: str
    """Name of the layer."""
    limit: Annotated[float, within("limit")] = 0.9
    """Share of the spikes that the refractory period allows, from which on a neuron counts as saturated."""
    share: Annotated[float, within("share")] = 0.5
    """Of the layer's neurons: with so many saturated, a sample counts as saturated."""
    beta: Annotated[float, within("beta")] = 0.1
    """Largest tolerated share of saturated samples."""
    warm_up: Annotated[int, within("warm_up")] = 0
    """First samples of the training that do not count."""


class ChanceSettings(Settings):
    """Early stopping of a network that has learnt nothing, and one constraint of the search."""

    after_epochs: Annotated[int, within("after_epochs")]
    """From the end of this epoch on, a running training accuracy not above chance (at 99 %) stops the training."""


class PruningSettings(Settings):
    """Stop a trial that cannot win, by what it reports while it trains."""

    rule: Literal["none", "gain", "asha", "median"] = "none"
    """``gain`` predicts the final score by what finished trials still gained from there on; ``asha`` lets a quarter of
    the trials pass each rung, a rung being four times as far as the one before; ``median`` stops what is worse than
    the median of the finished trials."""
    spare: Annotated[float, within("spare")] = 0.05
    """Share of the trials that finish whatever they report, so that what is learnt of gains stays honest."""


class FinalistsSettings(Settings):
    """Train the best few configurations again at the budget's end, and choose among them by what that gives."""

    count: Annotated[int, within("count")]
    """How many configurations, the best by the search's own scores."""
    repeats: Annotated[int, within("repeats")] = 3
    """Trainings of each, with other seeds and on other splits of the training set."""


class WorkerSettings(Settings):
    """What a worker rank gets."""

    gpus: Annotated[Literal["auto"] | Annotated[int, within("gpus")], auto_or("gpus")] = "auto"
    """GPUs of a node to use; 0 trains on the CPU."""
    trials_per_gpu: Annotated[int, within("trials_per_gpu")] = 1
    """Ranks that share one GPU."""
    threads: Annotated[Literal["auto"] | Annotated[int, within("threads")], auto_or("threads")] = "auto"
    """CPU threads of an evaluator."""
    fresh_process: bool = False
    """A new process for each trial, so that nothing which a trial leaves in its process reaches the next one."""
    heartbeat_timeout: Duration = 120.0
    """A rank silent for longer is given up and its trial sent out again."""


class RecordSettings(Settings):
    """How the record is written."""

    flush_every: Duration = 30.0
    """Between snapshots of ``study.h5``; the journal is written at once."""


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
    fixed: dict[Name, Value] = Field(default={})
    """Any hyperparameter that is not searched."""
    space: Annotated[dict[Name, Annotated[Parameter, Field(discriminator="type")]], Field(min_length=1)]
    """What is searched."""
    baseline: BaselineSettings | None = None
    """A known configuration to compare with."""

    @property
    def searched(self) -> dict[str, Parameter]:
        """Those of ``space`` that exist in some trial: fixed values have decided the conditions on them."""
        return searched_space(self.space, self.fixed)

    @property
    def constraint_names(self) -> tuple[str, ...]:
        """One name a constraint, in the order of the outcomes' values."""
        if isinstance(self.trainer, PythonSettings):
            return self.trainer.constraints
        names = [f"silent_{monitor.layer}" for monitor in self.stopping]
        names += [f"saturated_{monitor.layer}" for monitor in self.saturation]
        return (*names, "at_chance") if self.chance else tuple(names)
