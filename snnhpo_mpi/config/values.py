"""What values of a configuration are: numbers of known ranges, durations, names and paths; the root of all settings."""

from __future__ import annotations

import math
import re
import sys
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from snnhpo_mpi.config.text import path_text
from snnhpo_mpi.hyperparameters.ranges import RANGES
from snnhpo_mpi.trial import ParamValue

_UNITS_S = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_NAMED = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:s|min|h|d)\s*)+")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)")  # [days-]hours:minutes:seconds, as Slurm writes it


def within(name: str) -> FieldInfo:
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


def auto_or(name: str) -> BeforeValidator:
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
    within("wall_time"),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}], "examples": ["20h", "10min", 90]}),
]
Number = Annotated[float, within("real")]
Integer = Annotated[int, within("integer")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
Path = Annotated[str, AfterValidator(path_text)]
Value = Annotated[
    ParamValue, BeforeValidator(_plain_value), WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
]


class Settings(BaseModel):
    """Root of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
