"""Faults of single keys: pydantic's findings in plain words, with what is allowed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from snnhpo_mpi.config.document import KeyPath
from snnhpo_mpi.config.settings import StudyConfig
from snnhpo_mpi.snn.ranges import EXACT, RANGES

Fault = tuple[KeyPath, str]
_NAME = "must match the form of a name: letters, digits and _, the first no digit"
_STUDY_NAME = "must match the form of a folder's name: letters, digits and _ . -, the first a letter or digit"
_KINDS = {
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "float_type": "a valid number",
    "float_parsing": "a valid number",
    "int_type": "a valid integer",
    "int_parsing": "a valid integer",
    "int_from_float": "a valid integer",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("greater than or equal to", "ge"),
    "less_than_equal": ("less than or equal to", "le"),
    "less_than": ("less than", "lt"),
}


def faults_of(data: Any, error: ValidationError) -> Iterator[Fault]:
    """Every finding of pydantic in ``data``, which it refused."""
    for detail in error.errors(include_url=False):
        if (fault := _fault(data, dict(detail))) is not None:
            yield fault


def _fault(data: Any, detail: Mapping[str, Any]) -> Fault | None:
    path, holders, members = _resolve(data, detail["loc"])
    context, given = detail.get("ctx", {}), detail["input"]
    found = f", found {shown(given)}"
    match kind := detail["type"]:
        case "extra_forbidden":
            return path, f"unknown key{_nearest(str(path[-1]), holders)}"
        case "missing":
            return path, "is missing"
        case "union_tag_not_found":
            key = context["discriminator"].strip("'")
            return (*path, key), f"is missing; allowed: {_tags(members, key)}"
        case "union_tag_invalid":
            key = context["discriminator"].strip("'")
            allowed = _tags(members, key).split(", ")
            return (*path, key), f"{context['tag']!r} is unknown{suggest(context['tag'], allowed)}"
        case "literal_error":
            allowed = [value.strip("'") for value in context["expected"].replace(" or ", ", ").split(", ")]
            return path, f"{shown(given)} is unknown{suggest(str(given), allowed)}"
        case "value_error":
            return path, f"{context['error']}{found if not isinstance(given, dict) else ''}"
        case "string_pattern_mismatch":
            return path, f"{_STUDY_NAME if path == ('study', 'name') else _NAME}{found}"
        case "string_too_short" | "string_too_long":
            allowed_length = context.get("max_length", context.get("min_length"))
            bound = "most" if kind == "string_too_long" else "least"
            return path, f"at {bound} {allowed_length} characters are needed, found {len(given)}"
        case "too_short":
            return _too_few(path, given, context["min_length"])
        case _ if kind in _BOUNDS:
            words, key = _BOUNDS[kind]
            return path, f"should be {words} {context[key]:.16g}{_unit(path)}{found}"
        case _:
            needed = _KINDS.get(kind, detail["msg"].removeprefix("Input should be "))
            return path, f"should be {needed}{found}{_advice(kind, given)}"


def _advice(kind: str, given: Any) -> str:
    """How a value of the wrong kind can be written as the right one."""
    if kind == "string_type" and isinstance(given, bool | int | float):
        return ": quotes make it text"
    if kind.startswith("int_") and isinstance(given, float) and given.is_integer() and abs(given) < EXACT:
        return f": write {int(given)}"
    return ""


def _too_few(path: KeyPath, given: Any, least: int) -> Fault | None:
    """Pydantic does not count what it refused: the fault may be that of the entries alone."""
    if len(given) >= least:
        return None
    advice = "; a value that is not searched belongs in fixed" if path[-1] == "choices" else ""
    return (
        path,
        f"at least {least} {'choices are' if path[-1] == 'choices' else 'is'} needed, found {len(given)}{advice}",
    )


def _unit(path: KeyPath) -> str:
    known = RANGES.get(str(path[-1])) if path else None
    return f" {known.unit}" if known and known.unit else ""


def shown(value: Any) -> str:
    """A value in a message, cut where it is long."""
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
    return suggest(key, sorted({name for model in models for name in model.model_fields}))


def _tags(models: Sequence[type[BaseModel]], key: str) -> str:
    return ", ".join(
        str(get_args(model.model_fields[key].annotation)[0]) for model in models if key in model.model_fields
    )


def suggest(found: str, allowed: Sequence[str]) -> str:
    """What is allowed, and which of it may have been meant."""
    near = difflib.get_close_matches(found, allowed, n=1)
    return (f"; did you mean {near[0]}? Allowed: " if near else "; allowed: ") + ", ".join(allowed)
