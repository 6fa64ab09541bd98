"""A YAML document as plain data that still knows on which line each key stands, and plain data as YAML.

Scalars follow YAML 1.2's core rules, so that ``1e-4`` is a number, ``no`` is text and ``10:00`` is not 600. Of YAML 1.1
the merge key ``<<`` is kept.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from snnhpo_mpi.errors import ConfigError

MAX_BYTES = 1_000_000
MAX_NODES = 20_000  # a document that aliases itself over and over would otherwise fill the memory
MAX_DEPTH = 40
KeyPath = tuple[str | int, ...]


_STANDARD = "tag:yaml.org,2002:"
_SCALARS = ("null", "bool", "int", "float", "str")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own attribute


for _tag, _pattern in (
    ("null", r"^(?:~|null|Null|NULL|)$"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$"),
    ("int", r"^[-+]?(?:0|[1-9][0-9_]*)$"),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
    ),
):
    _Loader.add_implicit_resolver(f"{_STANDARD}{_tag}", re.compile(_pattern), None)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever text YAML 1.1, YAML 1.2 or our loader would read as something else."""

    yaml_implicit_resolvers = {**yaml.SafeDumper.yaml_implicit_resolvers, **_Loader.yaml_implicit_resolvers}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        """Write out a value that stands twice."""
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if "\n" in text or re.match(r"[-+]?0[ox]", text) else None
    return dumper.represent_scalar(f"{_STANDARD}str", text, style)


_Dumper.add_representer(str, _text_node)


def as_yaml(data: Any) -> str:
    """Plain data as YAML in ASCII, without a line break at its end, that ``parse_document`` reads as the very same."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10**6, allow_unicode=False)
    return text.removesuffix("...\n").rstrip("\n")


@dataclass
class Document:
    """Plain data read from YAML.

    Attributes:
        name: how error messages call the document, usually its file name.
        text: the text as read.
        data: dicts with text keys, lists and scalars.
        lines: path of a key or list item -> its line, from 1; of one that an option gave, that option.
        before: options in their order, each with the data before it was applied.
    """

    name: str
    text: str
    data: Any
    lines: dict[KeyPath, int | str] = field(default_factory=dict)
    before: list[tuple[str, Any]] = field(default_factory=list)

    def where(self, path: Sequence[str | int]) -> str:
        """``file, line N, key a.b`` (or ``--set ..., key a.b``) for a path, or for its nearest ancestor with a line."""
        place = self.name
        for length in range(len(path), 0, -1):
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                place = line if isinstance(line, str) else f"{self.name}, line {line}"
                break
        return f"{place}, key {dotted(path)}" if path else place

    @contextmanager
    def located(self) -> Iterator[None]:
        """Say file and line (or option) in errors that begin with a key, ``a.b: what is wrong``."""
        try:
            yield
        except ConfigError as error:
            key, colon, text = str(error).partition(": ")
            path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
            if not colon or not isinstance(self.data, dict) or path[0] not in self.data:
                raise
            raise ConfigError(f"{self.where(path)}: {text}") from error


def dotted(path: Sequence[str | int]) -> str:
    """``("a", 0, "b")`` -> ``a.0.b``."""
    return ".".join(str(part) for part in path)


def read_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ConfigError: unreadable, not UTF-8, too large, or not YAML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes, so it is not a configuration")
    try:
        return parse_document(raw.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text.

    Raises:
        ConfigError: not YAML, a repeated key, a key that is not text, or too deep or large.
    """
    document = Document(name, text, None)
    try:
        node = yaml.compose(text, Loader=_Loader)
        document.data = None if node is None else _Builder(document).build(node, ())
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from error
    return document


class _Builder:
    """Turns PyYAML's nodes into data, noting lines on the way."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = _Loader("")
        self._n_nodes = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        self._n_nodes += 1
        if self._n_nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise ConfigError(f"{self._document.name}: nested too deeply or too large for a configuration")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [self._item(child, (*path, index)) for index, child in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        """Text, a number, a truth or nothing. A tag may ask for more (``!!binary``, ``!!python/...``): refused."""
        where = f"{self._document.name}, line {node.start_mark.line + 1}"
        if node.tag.removeprefix(_STANDARD) not in _SCALARS:
            raise ConfigError(f"{where}: the tag {node.tag} is not allowed; none is needed")
        if node.tag != f"{_STANDARD}str" and _LEADING_ZERO.fullmatch(node.value):  # octal to YAML 1.1
            number = f"{'-' * node.value.startswith('-')}{node.value.lstrip('+-0') or '0'}"
            raise ConfigError(
                f"{where}: {node.value[:60]} begins with a zero: write {number[:60]} for the number, quotes for text"
            )
        try:
            value = self._scalars.construct_object(node)
            if isinstance(value, str):
                value.encode("utf-8")  # half a character, written as an escape, is no text
        except (ValueError, LookupError) as error:
            raise ConfigError(f"{where}: {node.value[:60]!r} is not understood: {error}") from None
        return value

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:
        self._document.lines[path] = node.start_mark.line + 1
        return self.build(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if isinstance(key_node, yaml.ScalarNode) and key_node.value == "<<" and key_node.style is None:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = self.build(key_node, (*path, "?"))
            if not isinstance(key, str):
                raise ConfigError(f"{self._document.name}, line {line}: the key {key!r} is not text")
            if key in data:
                raise ConfigError(f"{self._document.name}, line {line}: the key {dotted((*path, key))} stands twice")
            self._document.lines[(*path, key)] = line
            data[key] = self.build(value_node, (*path, key))
        for other in merged:
            self._merge(other, path, data)
        return data

    def _merge(self, node: yaml.Node, path: KeyPath, data: dict[str, Any]) -> None:
        """Add the keys of the mapping behind ``<<`` that are not there yet."""
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{self._document.name}, line {line}: << takes a mapping, such as << : *name")
        known = dict(self._document.lines)
        for key, value in self._mapping(node, path).items():
            if key not in data:
                data[key] = value
        self._document.lines |= known


def apply_override(document: Document, assignment: str, option: str | None = None) -> None:
    """Apply one ``--set a.b.0.c=value`` to a document; the value is read as YAML.

    Args:
        document: changes.
        assignment: key and value.
        option: as the user gave it, if not by ``--set``.

    Raises:
        ConfigError: not of that form, or the path leads through something that is not a mapping or list.
    """
    option = option or f"--set {_cut(assignment)}"
    path_text, equals, value_text = assignment.partition("=")
    keys = path_text.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"{option}: write it as key.key=value")
    try:
        value = parse_document(value_text, option).data
    except ConfigError as error:  # an option has one line only
        raise ConfigError(str(error).replace(f"{option}, line 1:", f"{option}:", 1)) from None
    document.before.append((option, copy.deepcopy(document.data)))
    document.data = {} if document.data is None else document.data
    parent = document.data
    path: list[str | int] = []
    for key in keys[:-1]:
        path.append(_position(parent, key, option, path))
        if isinstance(parent, dict) and parent.get(key) is None:
            parent[key] = {}
        parent = parent[path[-1]]
    path.append(_position(parent, keys[-1], option, path))
    parent[path[-1]] = value
    within = [known for known in document.lines if known[: len(path)] == tuple(path)]
    for known in within:
        del document.lines[known]
    document.lines[tuple(path)] = option


def _cut(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."


def _position(parent: Any, key: str, option: str, path: Sequence[str | int]) -> str | int:
    """What ``key`` is called in ``parent``: itself in a mapping, a number in a list."""
    if isinstance(parent, dict):
        return key
    if not isinstance(parent, list):
        raise ConfigError(f"{option}: {dotted(path)} holds no keys")
    if not key.isascii() or not key.isdigit() or int(key[:9]) >= len(parent):
        items = f"one of the items 0 to {len(parent) - 1}" if parent else "an item: the list is empty"
        raise ConfigError(f"{option}: {key} is not {items} of {dotted(path)}")
    return int(key)
