"""Recordings of events, of which any number may be there, and what the readers of their layouts share.

Each layout is the one that tonic extracts: ``nmnist``, ``dvsgesture``, ``shd``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from numpy.typing import NDArray

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.columns import Column
from snnhpo_mpi.snn.data.events import Events
from snnhpo_mpi.snn.data.folder import is_there, part_files


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on the disk.

    Attributes:
        path: its file.
        name: that of its file, or also its place in the file; for messages.
        label: its class.
        read: gives its events, or raises ``ConfigError`` with its name.
    """

    path: Path
    name: str
    label: int
    read: Callable[[], Events]


def recording_files(
    place: Path, pattern: str, label_of: Callable[[Path], str], read: Callable[[Path], Events]
) -> Iterator[Recording]:
    """The recordings of a folder that are a file each, in an order that does not depend on the machine.

    Args:
        place: the folder.
        pattern: of the files below it.
        label_of: the class of a file, in its path.
        read: gives its events, or raises ``ConfigError``.

    Raises:
        ConfigError: a file has no class, or is none.
    """
    for path in sorted(place.glob(pattern)):
        if any(part.startswith(".") for part in path.relative_to(place).parts):
            continue  # macOS leaves a hidden ._00000.bin with each file that it copies
        if is_there(path) and path.is_dir():
            raise ConfigError(f"{path}: is a folder, where a recording is a file")
        if not re.fullmatch(r"[0-9]{1,9}", label := label_of(path)):
            raise ConfigError(f"{path}: its class {label!r} is no number")
        yield Recording(path, str(path), int(label), partial(read, path))


def on_sensor(name: str, x: Column, y: Column, polarity: Column) -> dict[str, tuple[Column, int]]:
    """What ``events_of`` takes."""
    n_channels, height, width = shape_of(name)
    return {"x": (x, width), "y": (y, height), "polarity": (polarity, n_channels)}


def shape_of(name: str) -> tuple[int, int, int]:
    """``C x H x W`` of a sensor."""
    shape = DATASETS[name].shape
    assert shape is not None
    return shape


def sizes(array: NDArray[Any]) -> str:
    """The axes of an array, for messages."""
    return " x ".join(map(str, array.shape)) or "a single value"


def content(path: Path) -> bytes:
    """What a file of recordings holds.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    try:
        found = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: unreadable: {error.strerror}") from error
    if not found:
        raise ConfigError(f"{path}: is empty: damaged")
    return found


class Layout(Protocol):
    """A module that reads recordings."""

    def recordings(self, name: str, place: Path) -> Iterator[Recording]:
        """Those of a part's file or folder; raises ``ConfigError`` with its name."""
        ...


def recordings(name: str, root: Path, part: str) -> list[Recording]:
    """All recordings of a part, in an order that does not depend on the machine.

    Raises:
        ConfigError: there are none, or one has no class.
    """
    (place,) = part_files(name, root, part)
    layout = cast(Layout, import_module(f"{__package__}.{DATASETS[name].reader}"))
    found = list(layout.recordings(name, place))
    if not found:
        raise ConfigError(f"{place}: holds no recordings of {name}")
    n_classes = DATASETS[name].n_classes
    assert n_classes is not None
    for recording in found:
        if not 0 <= recording.label < n_classes:
            raise ConfigError(
                f"{recording.name}: class {recording.label} is not one of {name}: 0 to {n_classes - 1} are"
            )
    return found
