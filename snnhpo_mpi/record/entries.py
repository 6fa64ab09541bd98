"""What the journal holds, an entry a line: the events of the trials and what happened to the study around them.

The program's codec writes them: an entry read back is equal bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NotRequired, assert_never

from typing_extensions import TypedDict

from snnhpo_mpi import codec
from snnhpo_mpi.record.retraining import Retraining
from snnhpo_mpi.trial import ACCURACY, Asked, Ended, Interim, Outcome, Repeat, Repeated, Reported, Started, Trial

SCHEMA = 2
MAX_ERROR_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Header:
    """First entry of every journal: which study this is.

    Attributes:
        study_id: differs between any two studies, also of the same name.
        constraint_names: one a constraint, in the order of the outcomes' values.
        at: time of creation [Unix s].
        objective_names: of the outcomes' objectives; schema 1 had them not.
    """

    study_id: str
    name: str
    constraint_names: tuple[str, ...]
    at: float
    schema: int = SCHEMA
    objective_names: tuple[str, ...] = (ACCURACY,)


@dataclass(frozen=True, slots=True)
class Session:
    """A run of the program on the study began; a resumed study has several.

    Attributes:
        study: the header once more, which is rebuilt from here if its line is damaged; schema 1 had it not.
        retraining: what is trained again, None of a search; see ``retraining_of``.
    """

    at: float
    config_text: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    study: Header | None = None
    retraining: Retraining | None = None


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker rank said where it is."""

    rank: int
    host: str
    device: str
    at: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The session ended by itself, in a state such as ``complete`` or ``interrupted``."""

    state: str
    at: float


@dataclass(frozen=True, slots=True)
class Proposed:
    """A trial was asked, with its encoding ``x`` (``d`` values in [0, 1])."""

    asked: Asked
    x: tuple[float, ...]


Entry = Header | Session | WorkerSeen | Closed | Proposed | Started | Reported | Ended | Repeated


def to_json(entry: Entry) -> dict[str, Any]:
    """An entry as the members of its line; ``kind`` tells which, and a trial's or outcome's fields stand among them."""
    match entry:
        case Header():
            return {"kind": "study", **_members(entry)}
        case Session():
            return {"kind": "session", **_members(entry)}
        case WorkerSeen():
            return {"kind": "worker", **_members(entry)}
        case Closed():
            return {"kind": "closed", **_members(entry)}
        case Proposed():
            asked = entry.asked
            proposal = {"x": entry.x, "at": asked.at, "n_told": asked.n_told, "optimizer": asked.optimizer}
            return {"kind": "asked", **_members(asked.trial), **proposal}
        case Started():
            return {"kind": "started", **_members(entry)}
        case Reported():
            return {"kind": "reported", **_members(entry.interim), "rank": entry.rank, "at": entry.at}
        case Repeated():
            arrival = {"rank": entry.rank, "at": entry.at, "seconds": entry.seconds}
            return {"kind": "repeated", **_members(entry.repeat), **arrival}
        case Ended():
            outcome = _members(entry.outcome) | {"error": _shortened(entry.outcome.error)}
            del outcome["notes"], outcome["predicted"]
            return {"kind": "ended", **outcome, "rank": entry.rank, "at": entry.at, "seconds": entry.seconds}
        case _:
            assert_never(entry)


def _members(
    value: Header | Session | WorkerSeen | Closed | Trial | Started | Interim | Repeat | Outcome,
) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in fields(value)}


def _shortened(error: str | None) -> str | None:
    """An overlong error text without its middle: the reason stands at its beginning or its end."""
    if error is None or len(error) <= MAX_ERROR_CHARS:
        return error
    half = MAX_ERROR_CHARS // 2
    return f"{error[:half]}\n[{len(error) - 2 * half} characters left out]\n{error[-half:]}"


def from_json(line: bytes) -> Entry:
    """Inverse of ``to_json``, from the text of a line.

    Raises:
        ValueError: not an entry of this schema; says where and why.
    """
    kind = codec.read(_Line, line)["kind"]
    match kind:
        case "study":
            return codec.read(Header, line)
        case "session":
            return codec.read(Session, line)
        case "worker":
            return codec.read(WorkerSeen, line)
        case "closed":
            return codec.read(Closed, line)
        case "asked":
            return _proposed(codec.read(_AskedLine, line), codec.read(Trial, line))
        case "started":
            return codec.read(Started, line)
        case "reported":
            return Reported(codec.read(Interim, line), **codec.read(_ReportedLine, line))
        case "ended":
            return _ended(codec.read(_EndedLine, line), codec.read(Outcome, line))
        case "repeated":
            return Repeated(codec.read(Repeat, line), **codec.read(_RepeatedLine, line))
    raise ValueError(f"unknown kind of entry {kind!r}")


class _Line(TypedDict):
    kind: str


class _AskedLine(TypedDict):
    """What the line of a proposal has besides the trial's fields."""

    at: float
    x: tuple[float, ...]
    n_told: NotRequired[int | None]
    optimizer: dict[str, float | list[float]]


class _ReportedLine(TypedDict):
    """What the line of a report has besides its interim results."""

    rank: int
    at: float


class _RepeatedLine(TypedDict):
    """What the line of a repeat has besides the repeat's fields."""

    rank: int
    at: float
    seconds: float


class _EndedLine(TypedDict):
    """What the line of an end has besides the outcome's fields."""

    rank: int
    at: float
    seconds: float
    objective: NotRequired[float | None]  # of schema 1


def _proposed(line: _AskedLine, trial: Trial) -> Proposed:
    """A proposal; schema 1 had what was told among the diagnostics."""
    diagnostics = line["optimizer"]
    n_told = line["n_told"] if "n_told" in line else diagnostics.pop("n_told", None)
    told = int(n_told) if isinstance(n_told, int | float) else None
    return Proposed(Asked(trial, line["at"], diagnostics, told), line["x"])


def _ended(line: _EndedLine, outcome: Outcome) -> Ended:
    """An end; schema 1 had one objective, without a name."""
    if (objective := line.get("objective")) is not None:
        outcome = replace(outcome, objectives={ACCURACY: objective})
    return Ended(outcome, line["rank"], line["at"], line["seconds"])
