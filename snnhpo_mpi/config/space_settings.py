"""A search space that a program gives as plain dicts, checked as the key ``space`` of a configuration is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from snnhpo_mpi.config.document import Document
from snnhpo_mpi.config.parameters import CategoricalParameter, FloatParameter, IntParameter, Parameter
from snnhpo_mpi.config.validation import validate
from snnhpo_mpi.errors import ConfigError


def space_settings(space: Mapping[str, Parameter | Mapping[str, object]]) -> Mapping[str, Parameter]:
    """Settings of each hyperparameter, from settings or plain dicts such as ``{"type": "int", "low": 1, "high": 9}``.

    Raises:
        ConfigError: names key, what was found and what is allowed, for every fault found, as for a file.
    """
    kinds = FloatParameter | IntParameter | CategoricalParameter
    found = {name: value for name, value in space.items() if isinstance(value, kinds)}
    if space and len(found) == len(space) and not any(parameter.when for parameter in found.values()):
        return found
    try:
        plain = json.loads(json.dumps(dict(space), default=_plain))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Space: numbers, text and lists of them are needed: {error}") from None
    rest = {"study": {"name": "space"}, "budget": {"trials": 1}, "trainer": {"name": "python", "function": "m.py:f"}}
    return validate(Document("Space", "", rest | {"space": plain})).space


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):  # numbers and arrays of NumPy
        return value.tolist()
    raise TypeError(f"found {value!r}")
