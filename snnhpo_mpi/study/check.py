"""What a configuration means on this machine, said before anything is run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snnhpo_mpi.config import (
    CategoricalParameter,
    IntParameter,
    PythonSettings,
    StdpSettings,
    StudyConfig,
    TorchSettings,
    as_yaml,
    expanded,
    function_file,
    when_text,
)
from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.extras import require
from snnhpo_mpi.host.device import usable_cores, visible_gpus
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.build import own_optimizer
from snnhpo_mpi.study.own_code import try_out
from snnhpo_mpi.worker.user_function import load_function

if TYPE_CHECKING:
    from snnhpo_mpi.snn.data.part import Source

N_GRID = 1000  # points of an axis over which a mean is taken
ONE_BY_ONE, IN_BATCHES = 2000, 100  # samples a second of a core: STDP's compiled code, and networks that torch computes


def describe(config: StudyConfig, import_function: bool) -> Iterator[str]:
    """Yield the report of ``snnhpo check``, line by line.

    Args:
        config: a valid configuration.
        import_function: also import the user's own function or network, which runs its module's code.

    Raises:
        ConfigError: data, library or function that the study needs is not there.
    """
    yield "# resolved configuration"
    yield as_yaml(config.model_dump(mode="json"))
    space = Space(config.searched)
    yield ""
    yield f"space        {len(space.names)} hyperparameters, {space.dim} columns for the model"
    for name, parameter in config.space.items():
        when = when_text(parameter)
        never = "" if name in space.names else ": in no trial, with what is fixed"
        yield f"  {name:<18} {_range(config, name)}{f', {when}{never}' if when else ''}"
    yield f"optimizer    {_proposer(config)}"
    yield f"constraints  {', '.join(config.constraint_names) or 'none'}"
    found = check_data(config, import_function)
    yield f"data         {found.text}"
    for source in found.sources:
        yield f"  {source}"
    if found.tree:
        yield "network"
        yield from (f"  {line}" for line in found.tree.splitlines())
    yield f"devices      {_devices(config)}"
    yield f"cost         {_cost(config)}"


def _proposer(config: StudyConfig) -> str:
    """Who proposes the trials, and from which on its models do."""
    name, initial, trials = config.optimizer.name, config.optimizer.initial, config.budget.trials
    if name not in ("scbo", "optuna_tpe", "optuna_gp"):
        return name
    if trials is not None and trials <= initial:
        return (
            f"{name}; its models propose nothing: optimizer.initial ({initial}) is not below budget.trials ({trials})"
        )
    return f"{name}; its models propose from trial {initial} on (optimizer.initial)"


def _range(config: StudyConfig, name: str) -> str:
    parameter = config.space[name]
    if isinstance(parameter, CategoricalParameter):
        return " | ".join(str(choice) for choice in parameter.choices)
    bounds = f"{parameter.low:g} .. {parameter.high:g}"
    kind = "int" if isinstance(parameter, IntParameter) else "float"
    trainer = config.trainer
    known = {} if isinstance(trainer, PythonSettings) else defaults(trainer.name, trainer.network)
    whose = "" if isinstance(trainer, TorchSettings) else "library's "
    default = f", {whose}default {known[name]:g}" if name in known else ""
    return f"{bounds} ({kind}, {parameter.scale}{default})"


@dataclass(frozen=True, slots=True)
class Found:
    """What trials are evaluated on.

    Attributes:
        text: says what was found.
        sources: the files that were read, in their order.
        tree: lines about a network of the user's, if it was tried.
    """

    text: str
    sources: tuple[Source, ...] = ()
    tree: str = ""

    def provenance(self) -> dict[str, str]:
        """The files as facts of a record: ``data_0``, ..., and their checksums once more, to be compared."""
        facts = {f"data_{number}": str(source) for number, source in enumerate(self.sources)}
        return facts | {f"data_{number}_sha256": source.sha256 for number, source in enumerate(self.sources)}

    def refuse_other(self, before: Mapping[str, Any]) -> None:
        """Raise where a study was begun with other data: scores of both could not be compared.

        Args:
            before: facts of the record.

        Raises:
            ConfigError: names the first file whose content is another.
        """
        for number, source in enumerate(self.sources):
            then = before.get(f"data_{number}_sha256", source.sha256)
            if then != source.sha256:
                raise ConfigError(
                    f"{source.path}: its content is not what this study was begun with: sha256 {then} then, "
                    f"{source.sha256} now (run --accept-config goes on with it)"
                )


def check_data(config: StudyConfig, import_function: bool, final: bool = False, *, read_own: bool = False) -> Found:
    """Find what trials are evaluated on, and say what was found.

    Args:
        config: of the study.
        import_function: import a function or network of the user's, and try it.
        final: a retraining, which is scored on test data.
        read_own: read the samples of a function of the user's, even if nothing else of theirs is imported.

    Raises:
        ConfigError: data, library or function are not there.
    """
    trainer = config.trainer
    _check_optimizer(config, import_function)
    if isinstance(trainer, PythonSettings):
        file = function_file(trainer.function, "trainer.function")
        if import_function:
            given = [trainer.function, config.pruning.rule != "none"]
            try_out("trainer.function", trainer.function, f"{__name__}:import_own", given)
        elif file and not file.is_file():
            raise ConfigError(f"trainer.function: there is no file {file} (seen from {os.getcwd()})")  # noqa: PTH109
        return Found(f"from {trainer.function}" + ("" if import_function else " (not imported: --import does)"))
    if isinstance(trainer, StdpSettings):
        require("numba", "trainer.name: stdp")
    if not isinstance(trainer, TorchSettings) and trainer.engine == "library":
        require({"stdp": "bindsnet", "slayer": "lava"}[trainer.name], "trainer.engine: library")
    data = _own_data(config, import_function or read_own, final) if trainer.dataset.function else _data(config, final)
    text, tree = data.text, ""
    if isinstance(trainer, TorchSettings):
        if import_function:
            given = [config.model_dump_json()]
            tree = try_out("trainer.network", trainer.network, f"{__name__}:try_network", given)
        text += f"; for {trainer.network}" + ("" if import_function else " (not imported: --import does)")
    return Found(text, data.sources, tree)


def _data(config: StudyConfig, final: bool) -> Found:
    """The samples of a study, read by way of the node's cache."""
    from snnhpo_mpi.snn.data import load, load_final, refuse_labels

    trainer = config.trainer
    assert not isinstance(trainer, PythonSettings)
    split = (load_final if final else load)(trainer.dataset, config.study.seed, trainer.encoding)
    refuse_labels(trainer.dataset, split, config.objectives[0])
    held = "test" if final else "held-out"
    shape = " x ".join(str(size) for size in split.train_x.shape[1:4])
    encoding = trainer.encoding
    if encoding.name == "direct" and encoding.steps > 1:
        alike = len(split.train_x.shape) == 4
        shape += f" (C x H x W, {'the same' if alike else 'another'} in each of {encoding.steps} steps)"
    many = "s" * (split.n_classes > 1)
    labels = f"{split.n_classes} " + ("classes" if split.train_y.ndim == 1 else f"number{many} to predict")
    text = (
        f"{trainer.dataset.function or trainer.dataset.name}: {len(split.train_y):,} training and "
        f"{len(split.held_y):,} {held} samples, {shape}, {labels}"
    )
    return Found(text, split.sources)


def _own_data(config: StudyConfig, reads: bool, final: bool) -> Found:
    """The samples of a function of the user's, which may do and raise anything: read in a process of its own."""
    trainer = config.trainer
    assert not isinstance(trainer, PythonSettings) and trainer.dataset.function is not None
    target = trainer.dataset.function
    if reads:
        given = [config.model_dump_json(), final]
        answer = json.loads(try_out("trainer.dataset.function", target, f"{__name__}:read_data", given))
        from snnhpo_mpi.snn.data.part import Source

        return Found(answer["text"], tuple(Source(**one) for one in answer["sources"]))
    file = function_file(target, "trainer.dataset.function")
    if file and not file.is_file():
        raise ConfigError(f"trainer.dataset.function: there is no file {file} (seen from {os.getcwd()})")  # noqa: PTH109
    return Found(f"from {target} (not read: --import does)")


def read_data(config: str, final: bool) -> str:
    """Read samples of a user's function into the node's cache; called in a process of its own.

    Args:
        config: JSON of the study's.
        final: a retraining, which is scored on test data.

    Returns:
        What was found, as JSON.

    Raises:
        ConfigError: they are not what the study needs.
    """
    found = _data(StudyConfig.model_validate_json(config), final)
    return json.dumps({"text": found.text, "sources": [asdict(source) for source in found.sources]})


def _check_optimizer(config: StudyConfig, import_function: bool) -> None:
    """Find what the optimizer needs.

    Raises:
        ConfigError: it is not there.
    """
    optimizer = config.optimizer
    if optimizer.study is not None:
        expanded(optimizer.study, "optimizer.study")
    if optimizer.name in ("optuna_tpe", "optuna_gp"):
        from snnhpo_mpi.optim.optuna_search import optuna_library

        optuna_library(optimizer.name)
    if optimizer.function is not None:
        file = function_file(optimizer.function, "optimizer.function")
        if import_function:
            given = [config.model_dump_json()]
            try_out("optimizer.function", optimizer.function, f"{__name__}:try_optimizer", given)
        elif file and not file.is_file():
            raise ConfigError(f"optimizer.function: there is no file {file} (seen from {os.getcwd()})")  # noqa: PTH109


def try_optimizer(config: str) -> None:
    """Make the user's optimizer and ask it once; called in a process of its own.

    Args:
        config: JSON of the study's.

    Raises:
        ConfigError: it is none.
    """
    own_optimizer(StudyConfig.model_validate_json(config)).ask()


def try_network(config: str) -> str:
    """Build and try a network of the user's; called in a process of its own.

    Args:
        config: JSON of the study's.

    Returns:
        What was found, line by line.

    Raises:
        ConfigError: it is not what the study needs.
    """
    study = StudyConfig.model_validate_json(config)
    assert isinstance(study.trainer, TorchSettings)
    from snnhpo_mpi.snn.data import load
    from snnhpo_mpi.snn.torch.learner import TorchTask

    split = load(study.trainer.dataset, study.study.seed, study.trainer.encoding)
    return "\n".join(TorchTask(study, split, "cpu").tried())


def import_own(function: str, prunes: bool) -> None:
    """Import a user's function, whose module may do and raise anything; called in a process of its own.

    Raises:
        ConfigError: it cannot be imported.
    """
    try:
        load_function(function, prunes)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"trainer.function: importing {function} failed: {said(error)}") from error


def _devices(config: StudyConfig) -> str:
    gpus = visible_gpus(os.environ)
    used = gpus if config.workers.gpus == "auto" else gpus[: config.workers.gpus]
    where = f"GPUs {', '.join(used)}" if used else "no GPU, so trials run on the CPU"
    return f"{where}; {usable_cores()} cores"


def _cost(config: StudyConfig) -> str:
    limits = [f"{config.budget.trials:,} trials"] if config.budget.trials else []
    limits += [_span(config.budget.wall_time)] if config.budget.wall_time else []
    budget = " or ".join(limits)
    if isinstance(config.trainer, PythonSettings):
        return f"{budget}; a trial at most {_span(config.trainer.time_limit)}"
    samples = _mean_epochs(config) * config.trainer.dataset.train + config.trainer.dataset.held_out
    text = f"{budget}; an average trial, if not stopped early, presents {samples:,.0f} samples"
    if config.budget.trials:
        n_samples = config.budget.trials * samples
        pace = _pace(config)
        text += f", the search {n_samples:,.0f}: {_span(n_samples / pace)} of one worker at {pace:,} samples a second"
    return text


def _pace(config: StudyConfig) -> int:
    """A round number of samples that a worker presents in a second; ``check --trial`` measures it."""
    trainer = config.trainer
    one_by_one = isinstance(trainer, StdpSettings) and trainer.engine == "fast" and trainer.batch_size == 1
    return ONE_BY_ONE if one_by_one else IN_BATCHES


def _span(seconds: float) -> str:
    """A time in the unit that fits it."""
    unit, name = next(((unit, name) for unit, name in ((3600, "h"), (60, "min")) if seconds >= unit), (1, "s"))
    return f"{seconds / unit:.3g} {name}"


def _mean_epochs(config: StudyConfig) -> float:
    """Of trials drawn evenly from the space, on its scale."""
    assert not isinstance(config.trainer, PythonSettings)
    default = float(config.fixed.get("epochs", defaults(config.trainer.name, config.trainer.network)["epochs"]))
    space = Space(config.searched)
    if "epochs" not in space.names:
        return default
    if "epochs" in space.needs:  # where it does not exist there are the library's
        points = np.random.default_rng(0).random((N_GRID, space.dim))
        return float(np.mean([float(space.decode(x).get("epochs", default)) for x in points]))
    alone = Space({"epochs": config.space["epochs"]})
    points = np.eye(alone.dim) if alone.dim > 1 else (np.arange(N_GRID)[:, None] + 0.5) / N_GRID
    return float(np.mean([float(alone.decode(x)["epochs"]) for x in points]))
