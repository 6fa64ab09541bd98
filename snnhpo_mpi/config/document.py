"""A YAML document as plain data that still knows on which line each key stands.

Scalars follow YAML 1.2's core rules, so that ``1e-4`` is a number, ``no`` is text and ``10:00`` is not 600.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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


@dataclass
class Document:
    """Plain data read from YAML.

    Attributes:
        name: how error messages call the document, usually its file name.
        text: the text as read.
        data: dicts with text keys, lists and scalars.
        lines: path of a key or list item -> its line, from 1; keys that ``--set`` added are absent.
    """

    name: str
    text: str
    data: Any
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def where(self, path: Sequence[str | int]) -> str:
        """``file, line N, key a.b`` for a path, or for its nearest ancestor with a line."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(tuple(path[:length]))
            if line is not None:
                return f"{self.name}, line {line}, key {dotted(path)}"
        return f"{self.name}, key {dotted(path)}" if path else self.name


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
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self.build(key_node, (*path, "?"))
            if not isinstance(key, str):
                raise ConfigError(f"{self._document.name}, line {line}: the key {key!r} is not text")
            if key in data:
                raise ConfigError(f"{self._document.name}, line {line}: the key {dotted((*path, key))} stands twice")
            self._document.lines[(*path, key)] = line
            data[key] = self.build(value_node, (*path, key))
        return data


def apply_override(document: Document, assignment: str) -> None:
    """Apply one ``--set a.b.0.c=value`` to a document; the value is read as YAML.

    Raises:
        ConfigError: not of that form, or the path leads through something that is not a mapping or list.
    """
    path_text, equals, value_text = assignment.partition("=")
    keys = path_text.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {assignment}: write it as key.key=value")
    value = parse_document(value_text, f"--set {path_text}").data
    document.data = {} if document.data is None else document.data
    parent = document.data
    for depth, key in enumerate(keys[:-1]):
        parent = _step(parent, key, assignment, keys[:depth])
    if isinstance(parent, list):
        parent[_index(parent, keys[-1], assignment)] = value
    elif isinstance(parent, dict):
        parent[keys[-1]] = value
    else:
        raise ConfigError(f"--set {assignment}: {dotted(keys[:-1])} holds no keys")


def _step(parent: Any, key: str, assignment: str, path: list[str]) -> Any:
    if isinstance(parent, list):
        return parent[_index(parent, key, assignment)]
    if not isinstance(parent, dict):
        raise ConfigError(f"--set {assignment}: {dotted(path)} holds no keys")
    if parent.get(key) is None:
        parent[key] = {}
    return parent[key]


def _index(items: list[Any], key: str, assignment: str) -> int:
    if not key.isascii() or not key.isdigit() or int(key) >= len(items):
        raise ConfigError(f"--set {assignment}: {key} is not one of the items 0 to {len(items) - 1}")
    return int(key)
