"""Whether a run may go on with a study: the same study, and the same questions asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from snnhpo_mpi import codec
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record.retraining import Retraining, retraining_of
from snnhpo_mpi.record.table import Table
from snnhpo_mpi.trial import ACCURACY


class Change(Enum):
    """What a change of a key takes."""

    FREE = "free"  # changes no result
    ACCEPT = "accept"  # the user's word, --accept-config
    REFUSED = "refused"  # trials before and after it could not be compared, nor learnt from by one model


_OBJECTIVE = "objectives measured before and after it could not be compared"
_CONSTRAINT = "constraints measured before and after it could not be compared"

# The first row whose key is that of the change, or holds it, decides. A study's name is compared apart.
CHANGES: tuple[tuple[str, Change, str], ...] = (
    ("budget", Change.FREE, ""),
    ("workers", Change.FREE, ""),
    ("record", Change.FREE, ""),
    ("finalists", Change.FREE, ""),
    ("objectives", Change.REFUSED, _OBJECTIVE),
    ("optimizer", Change.ACCEPT, "further trials would be proposed in another way"),
    ("pruning", Change.ACCEPT, "further trials would be stopped by another rule"),
    ("baseline.name", Change.ACCEPT, "trial 0 would go by another name"),
    ("baseline", Change.REFUSED, "trial 0 was evaluated already, as the baseline or as an ordinary trial"),
    ("space", Change.REFUSED, "the search space changed, so the trials no longer fit"),
    ("fixed", Change.REFUSED, f"it belongs to every trial: {_OBJECTIVE}"),
    ("study.seed", Change.REFUSED, f"proposals and the split of the data follow from it: {_OBJECTIVE}"),
    ("study", Change.ACCEPT, ""),
    ("trainer.time_limit", Change.ACCEPT, "trials that failed by the limit would have ended otherwise"),
    ("trainer.engine", Change.ACCEPT, "further trials would be computed by another engine"),
    ("trainer.dataset.path", Change.ACCEPT, "further trials would be trained on other files"),
    ("trainer.constraints", Change.REFUSED, _CONSTRAINT),
    ("trainer", Change.REFUSED, _OBJECTIVE),
    ("stopping", Change.REFUSED, _CONSTRAINT),
    ("saturation", Change.REFUSED, _CONSTRAINT),
    ("chance", Change.REFUSED, _CONSTRAINT),
    ("retrain", Change.ACCEPT, "other configurations would be trained again"),
)
OWN_FUNCTION = (("fixed", Change.ACCEPT, "further trials would be evaluated with other values"),)
"""Rows before these for ``trainer: python``, where only the user knows what a value means."""
FORMERLY: Mapping[str, Mapping[str, Any]] = {
    "stdp": {"readout": "latest", "readout_samples": 1000},
    "slayer": {"initial_weights": "scaled"},
}
"""By trainer, what a program did that did not have the key yet, whatever the default of today is."""
FORMERLY_ASKED: Mapping[str, Any] = {"engine": "fast"}
"""Of the optimizer, what a program did that did not have the key yet."""
FORMERLY_PRUNED: Mapping[str, Any] = {"rule": "none", "spare": 0.05}
"""What a program did that had no pruning yet."""
FREE_FORM = ("fixed", "space", "baseline.params")  # their keys are the user's; all others are the program's


def check_same_study(
    folder: Path,
    table: Table,
    config: Mapping[str, Any],
    constraint_names: tuple[str, ...],
    retraining: Retraining | None = None,
    *,
    accept_config: bool,
) -> str | None:
    """Compares a study with the configuration that shall continue it.

    Args:
        folder: of the study.
        table: the study.
        config: the resolved configuration.
        constraint_names: as the configuration has them.
        retraining: what is to be trained again; None of a search.
        accept_config: go on although the configuration changed, where the table of changes allows it.

    Returns:
        What changed, for the user; None if nothing did.

    Raises:
        RecordError: another study, or a change that is not free.
    """
    name = config["study"]["name"]
    if name != table.header.name:
        raise RecordError(f"{folder} holds the study {table.header.name!r}, not {name!r}: choose another folder")
    if not table.sessions:
        return None
    began = table.sessions[-1].began
    new = _with_retraining(config, retraining)
    old = completed(_with_retraining(began.config, retraining_of(began.retraining, began.config)))
    rows = (*_of_conditions(old), *(OWN_FUNCTION if new["trainer"]["name"] == "python" else ()), *CHANGES)
    changes = {key: _kind(key, old, rows) for key in _changed_keys(old, new)}
    if refused := [key for key, (kind, _) in changes.items() if kind is Change.REFUSED]:
        raise _refusal(folder, _diff(old, new, refused), [changes[key][1] for key in refused])
    if constraint_names != (before := table.header.constraint_names):
        names = f"-constraints: {', '.join(before)}\n+constraints: {', '.join(constraint_names)}"
        raise _refusal(folder, names, [_CONSTRAINT])
    diff = _diff(old, new, changes)
    if not changes:
        return None
    if not accept_config and any(kind is Change.ACCEPT for kind, _ in changes.values()):
        raise RecordError(
            f"the configuration changed since {folder} was begun:\n{diff}\n"
            "undo the change, begin another study, or accept it with --accept-config"
        )
    return f"the configuration changed since the last run:\n{diff}"


def _of_conditions(config: Mapping[str, Any]) -> Iterator[tuple[str, Change, str]]:
    """Fixed values that decide which hyperparameters are searched."""
    for name, parameter in config["space"].items():
        for other in parameter.get("when", ()):
            yield f"fixed.{other}", Change.REFUSED, f"whether {name} is searched follows from it"


def _refusal(folder: Path, diff: str, reasons: Sequence[str]) -> RecordError:
    said = "\n".join(f"  {reason}" for reason in dict.fromkeys(reasons))
    return RecordError(
        f"{folder} cannot go on with this change, with or without --accept-config:\n{diff}\n{said}\n"
        "undo the change, or begin another study (another name or folder); there optimizer: {name: replay, study: "
        f"{folder}}} evaluates the configurations of this one again"
    )


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration with those keys of today's that its program did not have, at what the program did."""
    trainer, optimizer = config["trainer"], config["optimizer"]
    return {
        "objectives": [ACCURACY],
        "pruning": dict(FORMERLY_PRUNED),
        **config,
        "trainer": {**FORMERLY.get(trainer["name"], {}), **trainer},
        "optimizer": {**FORMERLY_ASKED, **optimizer},
    }


def _with_retraining(config: Mapping[str, Any], retraining: Retraining | None) -> dict[str, Any]:
    """A configuration as plain data, and what is trained again as if it were one of its keys."""
    again = None if retraining is None else json.loads(codec.write(retraining))
    return {**_plain(config), "retrain": again}


def _plain(value: object) -> Any:
    """As it would be read back from the record (tuples are lists there)."""
    return json.loads(json.dumps(value, default=str))


def _changed_keys(old: Any, new: Any) -> list[str]:
    """Keys ``a.b.0`` of all values that differ, or that one of the two lacks; what is empty is as good as lacking."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    return [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]


def _kind(key: str, old: Any, rows: Sequence[tuple[str, Change, str]]) -> tuple[Change, str]:
    """What the change of a key takes, and why."""
    kind, reason = next(
        ((kind, reason) for name, kind, reason in rows if key == name or key.startswith(f"{name}.")),
        (Change.ACCEPT, ""),
    )
    if kind is Change.REFUSED and _is_new_to_the_program(key, old):
        return Change.ACCEPT, "a key that the program did not have when the study was begun"
    return kind, reason


def _is_new_to_the_program(key: str, old: Any) -> bool:
    """Whether the recorded settings, which are complete, lack a key of the program: it came with a new version."""
    if any(key.startswith(f"{name}.") for name in FREE_FORM):
        return False
    holder, parts = old, key.split(".")
    for part in parts:
        if isinstance(holder, dict) and part not in holder:
            return True
        holder = holder[part] if isinstance(holder, dict) else _item(holder, part)
        if not isinstance(holder, dict | list):
            return False
    return False


def _item(holder: list[Any], part: str) -> Any:
    return holder[int(part)] if int(part) < len(holder) else None


def _diff(old: Any, new: Any, changes: Iterable[str]) -> str:
    """What differs, a line a key: ``-space.x.high: 1.0`` and ``+space.x.high: 2.0``."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    lines: list[str] = []
    for key in changes:
        values = [values[key] for values in (before, after) if key in values]
        say = json.dumps if len({str(value) for value in values}) < len(values) else str
        lines += [f"-{key}: {say(before[key])}"] if key in before else []
        lines += [f"+{key}: {say(after[key])}"] if key in after else []
    return "\n".join(lines)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """``a.b.0`` and the value there, for every value inside; None is no value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        if value is not None:
            yield key, value
    else:
        for name, part in inside:
            yield from _leaves(part, f"{key}.{name}" if key else str(name))
