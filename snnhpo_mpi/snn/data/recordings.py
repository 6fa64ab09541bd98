"""Event-based data sets in the on-disk layouts that tonic extracts; any number of their recordings may be there.

    nmnist      NMNIST/{Train,Test}/<digit>/<id>.bin       5 bytes an event: x, y, polarity and time
    dvsgesture  DVSGesture/ibmGesture{Train,Test}/user01_led/<label>.npy     rows of x, y, polarity, time in ms
    shd         SHD/shd_{train,test}.h5                     spikes/times in s, spikes/units, labels

Sources: Orchard et al. 2015 (N-MNIST); Amir et al. 2017 (DVS128 Gesture); Cramer et al. 2020 (SHD).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.events import Events, in_order

OVERFLOW_ROW, OVERFLOW_US = 240, 2**13  # an N-MNIST event of this row says that the clock went round


@dataclass(frozen=True, slots=True)
class Sensor:
    """One data set's kind of recordings.

    Attributes:
        shape: ``C x H x W``.
        n_classes: K of the whole set.
        folders: below the data folder, where its files may lie.
        parts: files or folders of the training and of the official test part, in such a folder.
    """

    shape: tuple[int, int, int]
    n_classes: int
    folders: tuple[str, ...]
    parts: dict[str, str]


SENSORS = {
    "nmnist": Sensor((2, 34, 34), 10, ("NMNIST", "."), {"train": "Train", "test": "Test"}),
    "dvsgesture": Sensor(
        (2, 128, 128), 11, ("DVSGesture", "."), {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
    ),
    "shd": Sensor((1, 1, 700), 20, ("SHD", "."), {"train": "shd_train.h5", "test": "shd_test.h5"}),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording on the disk.

    Attributes:
        path: its file.
        label: its class.
        read: gives its events, or raises ``ConfigError`` with the file's name.
    """

    path: Path
    label: int
    read: Callable[[], Events]


def find_part(name: str, root: Path, part: str) -> Path:
    """The file or folder of a part.

    Raises:
        ConfigError: it is not there; the message says what to put where.
    """
    sensor = SENSORS[name]
    for folder in sensor.folders:
        if (found := root / folder / sensor.parts[part]).exists():
            return found
    raise ConfigError(
        f"{root}: {sensor.folders[0]}/{sensor.parts[part]} is needed here, as tonic extracts it: "
        f"snnhpo data fetch {name} (where there is internet), or copy it there"
    )


def recordings(name: str, root: Path, part: str) -> list[Recording]:
    """All recordings of a part, in an order that does not depend on the machine.

    Raises:
        ConfigError: there are none, or a file has no class.
    """
    place = find_part(name, root, part)
    found = list(_shd(place) if name == "shd" else _files(name, place))
    if not found:
        raise ConfigError(f"{place}: holds no recordings of {name}")
    for recording in found:
        if not 0 <= recording.label < SENSORS[name].n_classes:
            raise ConfigError(f"{recording.path}: class {recording.label} is not one of {name}")
    return found


def _files(name: str, place: Path) -> Iterator[Recording]:
    pattern, read = ("*/*.bin", _read_nmnist) if name == "nmnist" else ("user*/*.npy", _read_gesture)
    for path in sorted(place.glob(pattern)):
        label = path.parent.name if name == "nmnist" else path.stem
        if not re.fullmatch(r"\d+", label):
            raise ConfigError(f"{path}: its class {label!r} is no number")
        yield Recording(path, int(label), partial(read, path))


def _read_nmnist(path: Path) -> Events:
    raw = np.frombuffer(_bytes(path), np.uint8)
    if not len(raw) or len(raw) % 5:
        raise ConfigError(f"{path}: {len(raw)} bytes are no whole number of events of 5 bytes: damaged")
    x, y, high, middle, low = (raw[i::5].astype(np.int64) for i in range(5))
    overflow = y == OVERFLOW_ROW
    t_us = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_US * np.cumsum(overflow)
    return _checked(path, "nmnist", Events(x, y, high >> 7, t_us)[~overflow])


def _read_gesture(path: Path) -> Events:
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: damaged or unreadable: {error}") from error
    if rows.ndim != 2 or rows.shape[1] != 4 or not np.issubdtype(rows.dtype, np.number) or not np.isfinite(rows).all():
        raise ConfigError(f"{path}: rows of x, y, polarity and time are needed, found {rows.dtype} of {rows.shape}")
    x, y, channel = (rows[:, column].astype(np.int64) for column in range(3))
    return _checked(path, "dvsgesture", Events(x, y, channel, (rows[:, 3] * 1000).astype(np.int64)))


def _shd(path: Path) -> Iterator[Recording]:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            labels = file["labels"][:]
            n_recordings = {len(file["spikes/times"]), len(file["spikes/units"]), len(labels)}
    except (OSError, KeyError) as error:
        raise ConfigError(f"{path}: damaged or no file of SHD: {error}") from error
    if len(n_recordings) != 1:
        raise ConfigError(f"{path}: times, units and labels are not of the same number of recordings: damaged")
    for index, label in enumerate(labels):
        yield Recording(path, int(label), partial(_read_shd, path, index))


def _read_shd(path: Path, index: int) -> Events:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            times, units = file["spikes/times"][index], file["spikes/units"][index]
    except (OSError, KeyError) as error:
        raise ConfigError(f"{path}: recording {index} is damaged: {error}") from error
    t_us = (np.asarray(times, dtype=np.float64) * 1e6).astype(np.int64)
    none = np.zeros(len(t_us), dtype=np.int64)
    return _checked(path, "shd", Events(np.asarray(units, dtype=np.int64), none, none, t_us))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: unreadable: {error}") from error


def _checked(path: Path, name: str, events: Events) -> Events:
    """Events in order of time; all of them on the sensor."""
    sizes: list[tuple[str, NDArray[np.int64], int]] = [
        (axis, values, size)
        for axis, values, size in zip(
            ("polarity", "y", "x"), (events.channel, events.y, events.x), SENSORS[name].shape, strict=True
        )
    ]
    if not len(events):
        raise ConfigError(f"{path}: holds no events: damaged")
    for axis, values, size in sizes:
        if len(values) != len(events) or values.min() < 0 or values.max() >= size:
            raise ConfigError(f"{path}: {axis} from {values.min()} to {values.max()}, 0 to {size - 1} are possible")
    return in_order(events)
