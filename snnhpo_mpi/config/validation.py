"""What must hold for a configuration as a whole; all faults in one message, with file, line, key and what is allowed.

A fault that an option of the command line brought names that option, wherever in the file the fault shows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from snnhpo_mpi.config.condition_faults import condition_faults
from snnhpo_mpi.config.conditions import existing, exists, needs
from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.config.document import Document, KeyPath, apply_override, dotted, read_document
from snnhpo_mpi.config.faults import Fault, faults_of, shown, suggest
from snnhpo_mpi.config.parameters import CategoricalParameter, IntParameter, Parameter, conditions, outside, when_text
from snnhpo_mpi.config.reach import reach_faults
from snnhpo_mpi.config.settings import (
    BaselineSettings,
    DatasetSettings,
    EncodingSettings,
    PythonSettings,
    StudyConfig,
    TorchSettings,
)
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.hyperparameter import Hyperparameter
from snnhpo_mpi.hyperparameters.losses import LOSSES, loss_kind
from snnhpo_mpi.hyperparameters.networks import LAYERS, defaults, hyperparameters
from snnhpo_mpi.hyperparameters.neurons import NEURONS
from snnhpo_mpi.hyperparameters.ranges import EXACT
from snnhpo_mpi.trial import ACCURACY, ParamValue

log = logging.getLogger(__name__)


def load_config(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """The settings of ``load``, for those who need no more."""
    return load(path, overrides)[0]


def load(
    path: Path, overrides: Sequence[str] = (), options: Mapping[str, str] = MappingProxyType({})
) -> tuple[StudyConfig, Document]:
    """Read, override and validate a configuration.

    Args:
        path: the YAML file; read once, as it may be a pipe.
        overrides: ``key.key=value`` texts of ``--set``, applied in order.
        options: other options that stand for such a text, such as ``--trials 5``; applied last.

    Returns:
        The settings, and the document that knows where each key stands.

    Raises:
        ConfigError: names file, line, key, what was found and what is allowed, for every fault found.
    """
    document = read_document(path)
    for assignment in overrides:
        apply_override(document, assignment)
    for option, assignment in options.items():
        apply_override(document, assignment, option)
    return validate(document), document


def validate(document: Document) -> StudyConfig:
    """Data of a document -> settings.

    Raises:
        ConfigError: as ``load``.
    """
    config, faults = _checked(document.data)
    if faults and _is_baseline_displaced(document, faults):
        log.warning("the baseline is left out: %s", _said(document, faults))
        document.data["baseline"] = None
        config, faults = _checked(document.data)
    if config is None or faults:
        raise ConfigError(_said(document, faults))
    return config


def _checked(data: Any) -> tuple[StudyConfig | None, list[Fault]]:
    if not isinstance(data, dict):
        return None, [((), f"a mapping with the keys {', '.join(StudyConfig.model_fields)} is needed")]
    try:
        # By way of JSON, where strict types accept a list for a tuple and refuse text for a number.
        config = StudyConfig.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        return None, list(faults_of(data, error))
    if faults := list(condition_faults(config)):
        return config, faults
    config = _with_whole_baseline(config)
    faults = list(_inconsistencies(config))
    return config, faults or list(reach_faults(config))


def _said(document: Document, faults: Sequence[Fault]) -> str:
    """All faults, a line each.

    Faults between keys are looked for only where every key is right by itself: data before an option of which that does
    not hold cannot tell whether they had them.
    """
    are_between_keys = _checked(document.data)[0] is not None
    stages = [(option, *_checked(before)) for option, before in document.before]
    known = [(option, set(found)) for option, config, found in stages if config is not None or not are_between_keys]
    return "\n".join(dict.fromkeys(_line(document, fault, known) for fault in faults))


def _line(document: Document, fault: Fault, stages: Sequence[tuple[str, set[Fault]]]) -> str:
    """A fault, and where it comes from: the last option without which it does not show, or the file."""
    path, text = fault
    brought_by = next((option for option, before in reversed(stages) if fault not in before), None)
    if brought_by is None:
        return f"{document.where(path)}: {text}"
    return f"{brought_by}, key {dotted(path)}: {text}" if path else f"{brought_by}: {text}"


def _is_baseline_displaced(document: Document, faults: Sequence[Fault]) -> bool:
    """Whether the file is right, and options that do not speak of the baseline moved the space away from it."""
    by_options = [path for path, line in document.lines.items() if isinstance(line, str)]
    return (
        bool(document.before)
        and all(path[:1] == ("baseline",) for path, _ in faults)
        and all(path[0] != "baseline" for path in by_options)
        and not _checked(document.before[0][1])[1]
    )


# Faults between keys.


def _inconsistencies(config: StudyConfig) -> Iterator[Fault]:
    if config.budget.trials is None and config.budget.wall_time is None:
        yield ("budget",), "needs trials, wall_time or both"
    if config.budget.wall_time is not None and config.budget.wall_time <= config.budget.stop_before_end:
        yield (
            ("budget", "wall_time"),
            f"must be more than stop_before_end ({config.budget.stop_before_end:g} s), or no trial could start",
        )
    if (config.optimizer.name == "replay") != (config.optimizer.study is not None):
        yield ("optimizer", "study"), "is the results folder that replay follows: needed by replay, and by nothing else"
    if (config.optimizer.name == "python") != (config.optimizer.function is not None):
        yield (
            ("optimizer", "function"),
            "is the class of one's own optimizer, path/to/file.py:Class: needed by python, and by nothing else",
        )
    if config.optimizer.engine != "fast" and config.optimizer.name != "scbo":
        yield ("optimizer", "engine"), f"belongs to scbo, found {config.optimizer.name}"
    for name in [name for name in config.fixed if name in config.space]:
        yield ("fixed", name), "is searched too (space): a hyperparameter is either fixed or searched"
    if isinstance(config.trainer, PythonSettings):
        yield from _inexact_values(config, {})
        for key in ("stopping", "saturation", "chance"):
            if getattr(config, key):
                yield (key,), "monitors need a spiking trainer; a python function stops itself"
        for index, name in enumerate(config.trainer.constraints):
            if name in config.trainer.constraints[:index]:
                yield ("trainer", "constraints", index), f"the constraint {name} stands twice: each needs its own name"
    else:
        table = hyperparameters(config.trainer.name, config.trainer.network)
        if not isinstance(config.trainer, TorchSettings):  # whose class is asked, when it is imported
            yield from _unknown_names(config, table)
            yield from _unknown_layers(config, LAYERS[config.trainer.network])
            yield from _neuron_faults(config, table)
        yield from _value_faults(config, table)
        yield from _inexact_values(config, table)
        yield from _repeated_layers(config)
        yield from _encoding_faults(config.trainer.name, config.trainer.dataset, config.trainer.encoding)
        if isinstance(config.trainer, TorchSettings):
            yield from _torch_faults(config, config.trainer)
        else:
            yield from _saturation_faults(config)
        yield from _rule_faults(config)
        yield from _objective_faults(config)
        name = config.trainer.dataset.name
        if (package := DATASETS[name].package) and config.trainer.dataset.path is not None:
            yield ("trainer", "dataset", "path"), f"is not used by {name}, which comes with {package}"
    yield from _baseline_faults(config)
    trials = config.budget.trials
    if config.finalists is not None and trials is not None and config.finalists.count > trials:
        yield (
            ("finalists", "count"),
            f"must be at most the {trials} trials of the budget, found {config.finalists.count}",
        )


def _objective_faults(config: StudyConfig) -> Iterator[Fault]:
    """Networks are scored by accuracy, or by R2 where the loss is that of a regression."""
    trainer, measures = config.trainer, ACCURACY
    by: str = trainer.name
    if isinstance(trainer, TorchSettings):
        measures, by = loss_kind(trainer.loss).score, f"the loss {trainer.loss}"
    for index, name in enumerate(config.objectives):
        if name != measures:
            said = f"what {by} measures" if by == trainer.name else f"how answers to {by} are scored"
            yield ("objectives", index), f"must be {measures}, which is {said}, found {shown(name)}"
    if measures != ACCURACY:
        if config.chance is not None:
            yield ("chance",), f"is for classes: {by} is one of a regression"
        if config.pruning.rule != "none":
            yield ("pruning", "rule"), f"must be none: {by} is one of a regression, whose trials report no accuracy"


def _encoding_faults(trainer: str, dataset: DatasetSettings, encoding: EncodingSettings) -> Iterator[Fault]:
    kind, where = DATASETS[dataset.name].kind, ("trainer", "encoding", "name")
    is_recording = kind == "recordings"
    if kind != "own" and is_recording != (encoding.name == "events"):
        needed = "events" if is_recording else "one for images: poisson, bernoulli, latency, ..."
        yield where, f"must be {needed}, as {dataset.name} is data of that kind"
    elif kind != "own" and encoding.name == "none":
        yield where, f"must be one for images: poisson, bernoulli, latency, ..., as {dataset.name} has no spikes"
    if encoding.name == "direct" and trainer == "stdp":
        yield where, "must be one that makes spikes: those are what stdp learns from; direct shows the image itself"


def _torch_faults(config: StudyConfig, trainer: TorchSettings) -> Iterator[Fault]:
    if config.saturation:
        yield ("saturation",), "is for networks of ours, whose refractory periods are known"
    if trainer.layout == "BN" and trainer.encoding.name != "direct":
        yield (
            ("trainer", "layout"),
            f"BN is without time and needs the encoding direct; the encoding {trainer.encoding.name} has steps",
        )
    for section, names in (("space", config.space), ("fixed", config.fixed)):
        if "label_smoothing" in names and not loss_kind(trainer.loss).smooths:
            smoothed = ", ".join(name for name, kind in LOSSES.items() if kind.smooths)
            yield (section, "label_smoothing"), f"has no effect on the loss {trainer.loss}; it has on {smoothed}"


def _unknown_names(config: StudyConfig, table: Mapping[str, Hyperparameter]) -> Iterator[Fault]:
    for section, names in (("fixed", config.fixed), ("space", config.space)):
        for name in names:
            if name not in table:
                yield (section, name), f"is not a hyperparameter of this network{suggest(name, sorted(table))}"


def _neuron_faults(config: StudyConfig, table: Mapping[str, Hyperparameter]) -> Iterator[Fault]:
    """Neurons that the library's engine has no blocks of, and hyperparameters that no neuron of the study has."""
    assert not isinstance(config.trainer, PythonSettings | TorchSettings)
    if "neuron" not in table:
        return
    searched = config.space.get("neuron")
    fixed = config.fixed.get("neuron", table["neuron"].default)
    kinds = searched.choices if isinstance(searched, CategoricalParameter) else (fixed,)
    known = {str(name): NEURONS[str(name)] for name in kinds if name in NEURONS}
    for name, kind in known.items():
        if config.trainer.engine == "library" and kind.library is None:
            yield ("trainer", "engine"), f"must be fast: the library has no neuron {name}"
    of_some = {name for kind in NEURONS.values() for name in kind.takes}
    of_these = {name for kind in known.values() for name in kind.takes}
    if len(known) == len(kinds):
        for section, names in (("fixed", config.fixed), ("space", config.space)):
            for name in names:
                if name in of_some - of_these:
                    yield (section, name), f"is not a hyperparameter of the neuron {' or '.join(known)}"


def _inexact_values(config: StudyConfig, table: Mapping[str, Hyperparameter]) -> Iterator[Fault]:
    """Integers of no known range that other programs, the record's readers among them, would round."""
    values: list[tuple[KeyPath, ParamValue]] = [(("fixed", name), value) for name, value in config.fixed.items()]
    for name, parameter in config.space.items():
        if isinstance(parameter, CategoricalParameter):
            values += [(("space", name, "choices", index), choice) for index, choice in enumerate(parameter.choices)]
    for path, value in values:
        if path[1] not in table and isinstance(value, int) and abs(value) > EXACT:
            yield path, f"at most {EXACT} is allowed (larger numbers as text, in quotes), found {shown(value)}"


def _value_faults(config: StudyConfig, table: Mapping[str, Hyperparameter]) -> Iterator[Fault]:
    for name, value in config.fixed.items():
        if name in table and (reason := table[name].rejects(value)):
            yield ("fixed", name), f"{reason}, found {shown(value)}"
    for name, parameter in config.space.items():
        if name in table:
            yield from _parameter_faults(("space", name), parameter, table[name])


def _parameter_faults(path: KeyPath, parameter: Parameter, hyperparameter: Hyperparameter) -> Iterator[Fault]:
    if isinstance(parameter, CategoricalParameter):
        for index, choice in enumerate(parameter.choices):
            if reason := hyperparameter.rejects(choice):
                yield (*path, "choices", index), f"{reason}, found {shown(choice)}"
        return
    if hyperparameter.range is None:
        yield (*path, "type"), f"must be categorical, with choices among {', '.join(hyperparameter.choices)}"
    elif hyperparameter.is_integer and not isinstance(parameter, IntParameter):
        yield (*path, "type"), "must be int (or categorical)"
    else:
        for bound in ("low", "high"):
            if reason := hyperparameter.rejects(getattr(parameter, bound)):
                yield (*path, bound), f"{reason}, found {getattr(parameter, bound):g}"


def _unknown_layers(config: StudyConfig, layers: Sequence[str]) -> Iterator[Fault]:
    for index, monitor in enumerate(config.stopping):
        if monitor.layer not in layers:
            yield ("stopping", index, "layer"), f"{monitor.layer!r} is not monitored{suggest(monitor.layer, layers)}"


def _repeated_layers(config: StudyConfig) -> Iterator[Fault]:
    for index, monitor in enumerate(config.stopping):
        if monitor.layer in [other.layer for other in config.stopping[:index]]:
            yield ("stopping", index, "layer"), f"{monitor.layer!r} has a monitor already"


def _saturation_faults(config: StudyConfig) -> Iterator[Fault]:
    """Every layer of STDP has a refractory period; of the others the output alone tells each neuron's spikes."""
    layers = ("excitatory", "inhibitory") if config.trainer.name == "stdp" else ("output",)
    for index, monitor in enumerate(config.saturation):
        if monitor.layer not in layers or monitor.layer in [other.layer for other in config.saturation[:index]]:
            yield ("saturation", index, "layer"), f"{monitor.layer!r}: once each is allowed of {', '.join(layers)}"


def _rule_faults(config: StudyConfig) -> Iterator[Fault]:
    """A rule that could never fire would make dead networks feasible; a key that the rule ignores is a mistake."""
    assert not isinstance(config.trainer, PythonSettings)
    n_train = config.trainer.dataset.train
    for index, monitor in enumerate(config.stopping):
        if monitor.rule == "sequential" and monitor.check_every is not None:
            yield ("stopping", index, "check_every"), "belongs to the rule published; sequential checks all the time"
        if monitor.rule == "published" and monitor.warm_up:
            yield ("stopping", index, "warm_up"), "belongs to the rule sequential"
        if (monitor.check_every or 0) >= n_train:
            yield ("stopping", index, "check_every"), _not_below(n_train, monitor.check_every)
    warm_ups = {
        "stopping": [monitor.warm_up for monitor in config.stopping],
        "saturation": [watched.warm_up for watched in config.saturation],
    }
    for section, counts in warm_ups.items():
        for index, warm_up in enumerate(counts):
            if warm_up >= n_train:
                yield (section, index, "warm_up"), _not_below(n_train, warm_up)


def _not_below(n_train: int, found: int | None) -> str:
    return f"must be less than the {n_train} training samples, found {found}"


def _with_whole_baseline(config: StudyConfig) -> StudyConfig:
    """The configuration with a baseline of exactly what is searched, if nothing of its meaning changes by that.

    What it lacks has the library's default in a network of ours, if it exists beside the rest; what it has and is held
    fixed at the same value needs no mention. So a baseline need not be edited whenever the space is.
    """
    if config.baseline is None:
        return config
    held: dict[str, ParamValue] = {}
    if not isinstance(config.trainer, PythonSettings):
        held = defaults(config.trainer.name, config.trainer.network)
    known = {name: value for name, value in held.items() if name in config.searched} | config.baseline.params
    known = existing(conditions(config.searched), known) | config.baseline.params
    held |= config.fixed
    params = {name: value for name, value in known.items() if name in config.space or held.get(name) != value}
    ordered = {name: params[name] for name in [*config.space, *params] if name in params}
    baseline = BaselineSettings(name=config.baseline.name, params=ordered)
    return config.model_copy(update={"baseline": baseline})


def _baseline_faults(config: StudyConfig) -> Iterator[Fault]:
    if config.baseline is None:
        return
    params, advice = config.baseline.params, "; --set baseline=null leaves the baseline out"
    searched, known = config.searched, needs(conditions(config.searched))
    for name in searched:
        if name not in params and exists(known[name], params):
            yield (
                ("baseline", "params", name),
                f"is missing: a baseline has a value for everything that is searched{advice}",
            )
    for name, value in params.items():
        if name in config.fixed:
            yield ("baseline", "params", name), f"is fixed at {shown(config.fixed[name])}, found {shown(value)}{advice}"
        elif name not in searched:
            yield ("baseline", "params", name), f"is not searched{suggest(name, list(searched))}"
        elif reason := outside(searched[name], value):
            yield ("baseline", "params", name), f"{reason}, found {shown(value)}{advice}"
        elif not exists(known[name], params):
            yield ("baseline", "params", name), f"does not exist here, {when_text(searched[name])}{advice}"
