"""Whether a run may go on with a study: the same study, and the same questions asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record.table import Table

HARMLESS = frozenset({"budget", "workers", "record"})  # parts of the configuration that change no result


def check_same_study(
    folder: Path, table: Table, config: Mapping[str, Any], constraint_names: tuple[str, ...], *, accept_config: bool
) -> str | None:
    """Compares a study with the configuration that shall continue it.

    Args:
        folder: of the study.
        table: the study.
        config: the resolved configuration.
        constraint_names: as the configuration has them.
        accept_config: go on although the configuration changed; never with other hyperparameters or constraints.

    Returns:
        What changed, for the user; None if nothing did.

    Raises:
        RecordError: another study, or a change that is not harmless.
    """
    name = config["study"]["name"]
    if name != table.header.name:
        raise RecordError(f"{folder} holds the study {table.header.name!r}, not {name!r}: choose another folder")
    if not table.sessions:
        return None
    before = table.sessions[-1].began.config
    changed = {key for key in {*before, *config} if _plain(before.get(key)) != _plain(config.get(key))}
    if not changed:
        return None
    diff = _diff({key: before.get(key) for key in changed}, {key: config.get(key) for key in changed})
    if "space" in changed or constraint_names != table.header.constraint_names:
        raise RecordError(
            f"the search space or the constraints changed since {folder} was begun, so its trials no longer fit; "
            f"begin another study (another name or folder):\n{diff}"
        )
    if not changed <= HARMLESS and not accept_config:
        raise RecordError(
            f"the configuration changed since {folder} was begun:\n{diff}\n"
            "undo the change, begin another study, or accept it with --accept-config"
        )
    return f"the configuration changed since the last run:\n{diff}"


def _plain(value: object) -> Any:
    """As it would be read back from the record (tuples are lists there)."""
    return json.loads(json.dumps(value, default=str))


def _diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs, a line a key: ``-space.x.high: 1.0`` and ``+space.x.high: 2.0``."""
    old, new = dict(_leaves(_plain(before))), dict(_leaves(_plain(after)))
    lines: list[str] = []
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            lines += [f"-{key}: {old[key]}"] if key in old else []
            lines += [f"+{key}: {new[key]}"] if key in new else []
    return "\n".join(lines)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """``a.b.0`` and the value there, for every value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inside is None:
        yield key, str(value)
    else:
        for name, part in inside:
            yield from _leaves(part, f"{key}.{name}" if key else str(name))
