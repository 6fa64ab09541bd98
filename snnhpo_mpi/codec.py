"""The one JSON codec of the program: frozen dataclasses <-> UTF-8, for messages, the journal and ``live.json``.

Floats come back bit by bit; NaN and the infinities are written as Python, NumPy and pandas read them. Reading is strict
(``true`` is no number, ``"1"`` no integer), fills in defaults, and skips fields that it does not know. Text that UTF-8
cannot hold, such as a file name of another encoding, gets question marks.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

T = TypeVar("T")
_MANY_DIGITS = b"0" * 309  # more than the largest float has: such an integer would be read as infinite
_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def write(value: Any) -> bytes:
    """Dataclasses, mappings, sequences and plain values, NumPy's too, as compact JSON in one line.

    Raises:
        ValueError: something in it is no such value.
    """
    try:
        return to_json(value, inf_nan_mode="constants", fallback=_plain)
    except PydanticSerializationError as error:
        if "surrogates not allowed" not in str(error):
            raise ValueError(str(error).rpartition("TypeError: ")[2]) from None
    plain = to_jsonable_python(value, inf_nan_mode="constants", fallback=_plain)
    return _utf8(plain)


def read(kind: type[T], data: bytes) -> T:
    """A value of a type from its JSON.

    Raises:
        ValueError: no JSON, or not of this type; says where and why.
    """
    adapter = _adapter(cast("Hashable", kind))
    try:
        if _MANY_DIGITS in data.translate(_DIGITS):
            json.loads(data, parse_int=_within_float)
        try:
            value: T = adapter.validate_json(data, strict=True)
        except ValidationError as error:
            if b"\\ud" not in data.lower() or error.errors(include_url=False)[0]["type"] != "json_invalid":
                raise
            value = adapter.validate_json(_utf8(json.loads(data)), strict=True)  # half a surrogate pair: json takes it
        return value
    except OverflowError:
        raise ValueError("an integer is larger than any float") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None


def _within_float(digits: str) -> float:
    return float(int(digits))


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _utf8(plain: Any) -> bytes:
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if type(value).__module__ == "numpy":  # by name: not every message needs NumPy
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not plain data")
