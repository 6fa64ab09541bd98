"""What the journal holds, an entry a line: the events of the trials and what happened to the study around them.

Floats are written with all their digits, so that an entry read back is equal bit for bit. Non-finite floats are written
as ``NaN`` and ``Infinity``, as Python, NumPy and pandas read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np

from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial

SCHEMA = 2
MAX_ERROR_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Header:
    """First entry of every journal: which study this is.

    Attributes:
        study_id: differs between any two studies, also of the same name.
        constraint_names: one a constraint, in the order of the outcomes' values.
        at: time of creation [Unix s].
    """

    study_id: str
    name: str
    constraint_names: tuple[str, ...]
    at: float
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Session:
    """A run of the program on the study began; a resumed study has several.

    Attributes:
        study: the header once more, which is rebuilt from here if its line is damaged; schema 1 had it not.
    """

    at: float
    config_text: str
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]
    study: Header | None = None


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


Entry = Header | Session | WorkerSeen | Closed | Proposed | Started | Ended


def to_json(entry: Entry) -> dict[str, Any]:
    """An entry as plain data; ``kind`` tells which."""
    match entry:
        case Header():
            return {"kind": "study", **_header_to_json(entry)}
        case Session():
            config = {"config_text": entry.config_text, "config": dict(entry.config)}
            session = {"kind": "session", "at": entry.at, **config, "provenance": dict(entry.provenance)}
            return session | ({"study": _header_to_json(entry.study)} if entry.study else {})
        case WorkerSeen():
            return {
                "kind": "worker",
                "rank": entry.rank,
                "host": entry.host,
                "device": entry.device,
                "at": entry.at,
            }
        case Closed():
            return {"kind": "closed", "state": entry.state, "at": entry.at}
        case Proposed():
            trial = entry.asked.trial
            asked = {"kind": "asked", "number": trial.number, "params": dict(trial.params), "seed": trial.seed}
            return {**asked, "x": entry.x, "at": entry.asked.at, "optimizer": dict(entry.asked.optimizer)}
        case Started():
            return {"kind": "started", "number": entry.number, "rank": entry.rank, "at": entry.at}
        case Ended():
            return {
                "kind": "ended",
                **_outcome_to_json(entry.outcome),
                "rank": entry.rank,
                "at": entry.at,
                "seconds": entry.seconds,
            }
        case _:
            assert_never(entry)


def _header_to_json(header: Header) -> dict[str, Any]:
    facts = {"schema": header.schema, "study_id": header.study_id, "name": header.name}
    return {**facts, "constraint_names": list(header.constraint_names), "at": header.at}


def _outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "number": outcome.number,
        "state": outcome.state.value,
        "objective": outcome.objective,
        "constraints": outcome.constraints,
        "metrics": dict(outcome.metrics),
        "curves": dict(outcome.curves),
        "error": _shortened(outcome.error),
    }


def _shortened(error: str | None) -> str | None:
    """An overlong error text without its middle: the reason stands at its beginning or its end."""
    if error is None or len(error) <= MAX_ERROR_CHARS:
        return error
    half = MAX_ERROR_CHARS // 2
    return f"{error[:half]}\n[{len(error) - 2 * half} characters left out]\n{error[-half:]}"


def from_json(data: Mapping[str, Any]) -> Entry:
    """Inverse of ``to_json``.

    Raises:
        KeyError, TypeError, ValueError: not an entry of this schema.
    """
    match data["kind"]:
        case "study":
            return _header_from_json(data)
        case "session":
            study = _header_from_json(data["study"]) if "study" in data else None
            return Session(data["at"], data["config_text"], data["config"], data["provenance"], study)
        case "worker":
            return WorkerSeen(data["rank"], data["host"], data["device"], data["at"])
        case "closed":
            return Closed(data["state"], data["at"])
        case "asked":
            trial = Trial(data["number"], data["params"], data["seed"])
            return Proposed(Asked(trial, data["at"], data["optimizer"]), tuple(data["x"]))
        case "started":
            return Started(data["number"], data["rank"], data["at"])
        case "ended":
            return Ended(_outcome_from_json(data), data["rank"], data["at"], data["seconds"])
        case kind:
            raise ValueError(f"unknown kind of entry {kind!r}")


def _header_from_json(data: Mapping[str, Any]) -> Header:
    names = tuple(data["constraint_names"])
    return Header(data["study_id"], data["name"], names, data["at"], data["schema"])


def _outcome_from_json(data: Mapping[str, Any]) -> Outcome:
    return Outcome(
        number=data["number"],
        state=State(data["state"]),
        objective=data["objective"],
        constraints=tuple(data["constraints"]),
        metrics=data["metrics"],
        curves=data["curves"],
        error=data["error"],
    )


def dumps(data: Mapping[str, Any]) -> str:
    """Compact JSON, ASCII only; NumPy numbers and arrays are taken as well."""
    return json.dumps(data, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be recorded")
