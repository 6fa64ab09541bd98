"""What ranks say to one another: frozen dataclasses <-> bounded UTF-8 JSON.

A message is ``{"<type>": {<fields>}}``. Floats come back bit by bit (NaN and the infinities as JSON's usual extension).
A supervisor and its evaluator process use the same messages, one a line.

    worker -> master    Hello, Ready, Report, Result, Beat, Goodbye, Stopped
    master -> worker    Welcome, Run, Beat, Stop
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from snnhpo_mpi.trial import Curve, Outcome, ParamValue, Progress, State, Trial

MESSAGE_LIMIT = 1 << 20  # bytes


class MessageError(ValueError):
    """Bytes that are no message, or a message over the limit."""


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker rank is there."""

    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """The resolved configuration, so that all ranks work from the same text, and the time between signs of life."""

    config: str
    beat_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The trainer is built on the given device; trials may come."""

    device: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """Evaluate this trial."""

    trial: Trial


@dataclass(frozen=True, slots=True)
class Report:
    """How far the running trial is."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial gave.

    Attributes:
        outcome: already checked and cut to size.
        seconds: of the evaluation, by the evaluator's own clock.
        evaluator_ends: the evaluator does not trust itself any more (out of memory, CUDA error) and ends.
    """

    outcome: Outcome
    seconds: float
    evaluator_ends: bool = False


@dataclass(frozen=True, slots=True)
class Beat:
    """I live; ``running`` is the number of a worker's trial."""

    running: int | None = None


@dataclass(frozen=True, slots=True)
class Goodbye:
    """A worker evaluates no more, and waits for Stop; of an evaluator: it did not start.

    ``again``: another start may do better; after a mistake of the user's it does not, where none ever succeeded.
    """

    reason: str
    again: bool = True


@dataclass(frozen=True, slots=True)
class Stop:
    """End with this exit code."""

    exit_code: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer to Stop, and a worker's last message."""


Message = Hello | Welcome | Ready | Run | Report | Result | Beat | Goodbye | Stop | Stopped


def encode(message: Message) -> bytes:
    """The bytes of a message, without a newline in them.

    Raises:
        MessageError: longer than the limit, or holds what JSON cannot say.
    """
    try:
        text = json.dumps({type(message).__name__: message}, default=_plain, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise MessageError(f"{type(message).__name__} cannot be sent: {error}") from error
    data = text.encode("utf-8", errors="replace")  # lone surrogates, from undecodable file names
    if len(data) > MESSAGE_LIMIT:
        raise MessageError(f"{type(message).__name__} has {len(data)} bytes; the limit is {MESSAGE_LIMIT}")
    return data


def decode(data: bytes) -> Message:
    """The message of some bytes, every field of the right type.

    Raises:
        MessageError: anything else than what ``encode`` gives.
    """
    if len(data) > MESSAGE_LIMIT:
        raise MessageError(f"a message of {len(data)} bytes; the limit is {MESSAGE_LIMIT}")
    try:
        ((name, body),) = json.loads(data.decode("utf-8")).items()
        return _message(name, body)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise MessageError(f"not a message: {data[:100]!r} ({type(error).__name__}: {error})") from error


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _message(name: str, body: dict[str, Any]) -> Message:
    match name:
        case "Hello":
            return Hello(_text(body["host"]), _int(body["pid"]))
        case "Welcome":
            return Welcome(_text(body["config"]), _float(body["beat_s"]))
        case "Ready":
            return Ready(_text(body["device"]))
        case "Run":
            return Run(_trial(body["trial"]))
        case "Report":
            return Report(_progress(body["progress"]))
        case "Result":
            ends = body["evaluator_ends"] is True
            return Result(_outcome(body["outcome"]), _float(body["seconds"]), ends)
        case "Beat":
            return Beat(None if body["running"] is None else _int(body["running"]))
        case "Goodbye":
            return Goodbye(_text(body["reason"]), body["again"] is True)
        case "Stop":
            return Stop(_int(body["exit_code"]))
        case "Stopped":
            return Stopped()
    raise ValueError(f"unknown type {name!r}")


def _trial(body: dict[str, Any]) -> Trial:
    params = {_text(name): _param(value) for name, value in body["params"].items()}
    return Trial(_int(body["number"]), params, _int(body["seed"]))


def _outcome(body: dict[str, Any]) -> Outcome:
    return Outcome(
        number=_int(body["number"]),
        state=State(body["state"]),
        objective=_optional_float(body["objective"]),
        constraints=tuple(_float(value) for value in body["constraints"]),
        metrics=_floats(body["metrics"]),
        curves={_text(name): _curve(values) for name, values in body["curves"].items()},
        error=None if body["error"] is None else _text(body["error"]),
        notes=tuple(_text(note) for note in body["notes"]),
    )


def _progress(body: dict[str, Any]) -> Progress:
    return Progress(
        number=_int(body["number"]),
        epoch=_int(body["epoch"]),
        n_samples=_int(body["n_samples"]),
        n_samples_planned=_int(body["n_samples_planned"]),
        accuracy=_optional_float(body["accuracy"]),
        silent_rate=_floats(body["silent_rate"]),
        spikes=_floats(body["spikes"]),
    )


def _curve(values: list[Any]) -> Curve:
    if values and isinstance(values[0], list):
        return [[_float(value) for value in row] for row in values]
    return [_float(value) for value in values]


def _floats(body: dict[str, Any]) -> dict[str, float]:
    return {_text(name): _float(value) for name, value in body.items()}


def _optional_float(value: Any) -> float | None:
    return None if value is None else _float(value)


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is needed, found {value!r}")
    return float(value)


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"a whole number is needed, found {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text is needed, found {value!r}")
    return value


def _param(value: Any) -> ParamValue:
    return value if isinstance(value, str) else _int(value) if isinstance(value, int) else _float(value)
