"""The configuration reference as Markdown, made from the tables that the program itself checks with.

    python -m snnhpo_mpi.config.reference > docs/configuration-reference.md

Keys, meanings and defaults are those of ``settings``; ranges and units those of ``hyperparameters.ranges``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from snnhpo_mpi.config.settings import StudyConfig
from snnhpo_mpi.config.values import Settings
from snnhpo_mpi.hyperparameters.hyperparameter import Hyperparameter
from snnhpo_mpi.hyperparameters.networks import LAYERS, NETWORKS, TORCH
from snnhpo_mpi.hyperparameters.ranges import RANGES, Range
from snnhpo_mpi.trial import ParamValue

HEAD = """\
# Configuration reference

Every key of a configuration, then every hyperparameter of each network. [configuration.md](configuration.md) explains
them with examples.

This file is made from the program's own tables, by `python -m snnhpo_mpi.config.reference`. A number outside of its
range is refused before anything runs. The ranges are generous: outside of them lie slips of the keyboard, and values
with which no trial could end. A *duration* is `90s`, `10min`, `1h 30min`, `20h`, `2d`, `20:00:00` or a number of
seconds. A key without a default is *needed*.
"""
HYPERPARAMETERS = """\
## Hyperparameters

Each may stand in `space`, where it is searched, or in `fixed`. One that stands in neither has its default, which is
the library's.
"""
OWN_NETWORK = """\
### torch: your own network

Layers: the paths of its modules, or `auto`. The arguments of its constructor are added to these
([how](own-network.md#your-own-network)):
"""
PLAIN = {int: "an integer", float: "a number", bool: "`true` or `false`", str: "text"}


def reference() -> str:
    """The whole reference."""
    sections = dict.fromkeys(_sections("", StudyConfig))  # a section that two trainers share stands once
    return "\n".join([HEAD, *sections, HYPERPARAMETERS, *_networks()])


def _sections(path: str, *alternatives: type[Settings]) -> Iterator[str]:
    """The tables of these settings, then those of the settings inside them."""
    for settings in alternatives:
        rows = [_row(path, name, field) for name, field in settings.model_fields.items()]
        title = f"## {_title(path, settings)}\n\n{_plain(settings.__doc__ or '')}\n\n"
        yield title + _table(("key", "meaning", "allowed", "default"), rows)
    for settings in alternatives:
        for name, field in settings.model_fields.items():
            yield from _sections(_inside(path, name, field.annotation), *_settings_in(field.annotation))


def _inside(path: str, name: str, annotation: Any) -> str:
    """Where the keys of a key's value are."""
    free = ".<name>" if dict in _types(annotation) else ""
    return f"{path}.{name}{free}" if path else f"{name}{free}"


def _title(path: str, settings: type[Settings]) -> str:
    kinds = [values for key in ("name", "type") if len(values := _words(settings, key)) == 1]
    return f"`{path}`{f': {kinds[0][0]}' if kinds else ''}" if path else "Top level"


def _words(settings: type[Settings], key: str) -> list[Any]:
    field = settings.model_fields.get(key)
    return _literals(field.annotation) if field else []


def _row(path: str, name: str, field: FieldInfo) -> tuple[str, ...]:
    default = "*needed*" if field.is_required() else _default(name, field.default)
    return f"`{name}`", _plain(field.description or ""), _allowed(path, name, field.annotation), default


def _default(name: str, default: object) -> str:
    """A default as one would write it."""
    if default is None or default == () or default == {}:
        return "none"
    if isinstance(default, Settings):
        return "the defaults below"
    if isinstance(default, tuple):
        return f"`[{', '.join(map(str, default))}]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, int | float) and name in RANGES and RANGES[name].unit == "s":
        return f"`{_duration(default)}`"
    return f"`{_number(default) if isinstance(default, int | float) else default}`"


def _allowed(path: str, name: str, annotation: Any) -> str:
    """What a key takes, in words."""
    if _settings_in(annotation):
        return f"see `{_inside(path, name, annotation)}`"
    words = _listed(_literals(annotation))
    if name in RANGES:
        return f"{words}, or {_range(RANGES[name])}" if words else _range(RANGES[name])
    return words or _type(annotation)


def _type(annotation: Any) -> str:
    kinds = _types(annotation)
    if dict in kinds and tuple in kinds:
        return "names with a list of numbers or texts each"
    if dict in kinds:
        return "names with a number or text each"
    if tuple in kinds:
        return "a list"
    if {float, str} <= set(kinds):
        return "a number or text"
    return next((PLAIN[kind] for kind in kinds if kind in PLAIN), "")


def _range(known: Range) -> str:
    if known.unit == "s":
        return f"a duration, {_duration(known.low)} to {_duration(known.high)}"
    end = f"to below {_number(known.high)}" if known.below else f"to {_number(known.high)}"
    what = "an integer, " if known.kind is int else ""
    return f"{what}{_number(known.low)} {end} {known.unit}".rstrip()


def _networks() -> Iterator[str]:
    for trainer, networks in NETWORKS.items():
        for names, table in _alike(networks):
            yield f"### {trainer}: {_listed(names)}\n"
            for name in names:
                yield f"Layers{f' of `{name}`' if len(names) > 1 else ''}: {_listed(LAYERS[name])}.\n"
            yield _hyperparameters(table)
    yield OWN_NETWORK
    yield _hyperparameters(TORCH)


def _alike(
    networks: Mapping[str, Mapping[str, Hyperparameter]],
) -> list[tuple[list[str], Mapping[str, Hyperparameter]]]:
    """Networks that take the same hyperparameters, and these."""
    groups: list[tuple[list[str], Mapping[str, Hyperparameter]]] = []
    for name, table in networks.items():
        names = next((names for names, known in groups if known == table), None)
        if names is None:
            groups.append(([name], table))
        else:
            names.append(name)
    return groups


def _hyperparameters(table: Mapping[str, Hyperparameter]) -> str:
    rows = [
        (
            f"`{name}`",
            one.what,
            one.range.unit if one.range else "",
            _range(one.range).removesuffix(f" {one.range.unit}") if one.range else _listed(one.choices),
            f"`{_number(one.default)}`",
        )
        for name, one in table.items()
    ]
    return _table(("hyperparameter", "meaning", "unit", "allowed", "default"), rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _number(value: ParamValue | float) -> str:
    if isinstance(value, str):
        return value
    if abs(value) >= 1e10:
        return f"{value:.4g}".replace("e+", "e")
    whole = float(value).is_integer()
    return f"{int(value)}" if whole else f"{value:.10g}".replace("e-0", "e-")


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size:.0f}{unit}"
    return f"{_number(seconds)}s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([f"| {' | '.join(head)} |\n", "|---" * len(head), "|\n", *lines])


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def _types(annotation: Any) -> list[Any]:
    """The types in an annotation: unions, ``Annotated``, lists and mappings opened up."""
    if get_origin(annotation) is None:
        return [] if annotation is NoneType else [annotation]
    if get_origin(annotation) is Literal:
        return []
    container = [origin] if (origin := get_origin(annotation)) in (dict, tuple) else []
    return [*container, *(kind for inner in get_args(annotation) for kind in _types(inner))]


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for inner in get_args(annotation) for word in _literals(inner)]


def _settings_in(annotation: Any) -> list[type[Settings]]:
    return [kind for kind in _types(annotation) if isinstance(kind, type) and issubclass(kind, Settings)]


if __name__ == "__main__":
    sys.stdout.write(reference())
