"""What ranks say to one another: frozen dataclasses <-> bounded UTF-8 JSON.

A message is ``{"<type>": {<fields>}}``, by the program's codec. A supervisor and its evaluator process use the
same messages, one a line.

    worker -> master    Hello, Ready, Report, Reached, Result, Beat, Goodbye, Stopped
    master -> worker    Welcome, Run, Prune, Beat, Stop
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from snnhpo_mpi import codec
from snnhpo_mpi.trial import Interim, Outcome, Progress, Trial

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
class Prune:
    """The trial cannot win: stop it, as of its report at this position. Nobody's if it has ended meanwhile."""

    number: int
    position: int


@dataclass(frozen=True, slots=True)
class Report:
    """How far the running trial is, for whoever watches."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Reached:
    """The running trial reached a checkpoint: what it shows there, for decisions."""

    interim: Interim


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


Message = Hello | Welcome | Ready | Run | Prune | Report | Reached | Result | Beat | Goodbye | Stop | Stopped


_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in get_args(Message)}
_TAGGED = re.compile(rb'\s*\{\s*"(\w{1,20})"\s*:(.*)\}\s*', re.DOTALL)


def encode(message: Message) -> bytes:
    """The bytes of a message, without a newline in them.

    Raises:
        MessageError: longer than the limit, or holds what JSON cannot say.
    """
    try:
        data = codec.write({type(message).__name__: message})
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{type(message).__name__} cannot be sent: {error}") from error
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
        if (tagged := _TAGGED.fullmatch(data)) is None:
            raise ValueError("it has no type")
        if (kind := _KINDS.get(tagged[1].decode("ascii"))) is None:
            raise ValueError(f"its type {tagged[1].decode('ascii')} is unknown")
        return codec.read(kind, tagged[2])
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not a message: {data[:100]!r} ({error})") from error
