"""Event-based data sets in the on-disk layouts that tonic extracts; any number of their recordings may be there.

    nmnist      NMNIST/{Train,Test}/<digit>/<id>.bin       5 bytes an event: x, y, polarity and time
    dvsgesture  DVSGesture/ibmGesture{Train,Test}/user01_led/<label>.npy     rows of x, y, polarity, time in ms
    shd         SHD/shd_{train,test}.h5                     spikes/times in s, spikes/units, labels

Sources: Orchard et al. 2015 (N-MNIST); Amir et al. 2017 (DVS128 Gesture); Cramer et al. 2020 (SHD).
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.columns import Column, events_of
from snnhpo_mpi.snn.data.events import Events
from snnhpo_mpi.snn.data.folder import is_there

OVERFLOW_ROW, OVERFLOW_US = 240, 2**13  # an N-MNIST event of this row says that the clock went round


@dataclass(frozen=True, slots=True)
class Sensor:
    """One data set's kind of recordings.

    Attributes:
        shape: ``C x H x W``.
        n_classes: K of the whole set.
        folders: below the data folder, where its files may lie.
        parts: files or folders of the training and of the official test part, in such a folder.
        n_published: recordings of the published training and test part.
    """

    shape: tuple[int, int, int]
    n_classes: int
    folders: tuple[str, ...]
    parts: Mapping[str, str]
    n_published: Mapping[str, int]


SENSORS = {
    "nmnist": Sensor(
        (2, 34, 34), 10, ("NMNIST", "."), {"train": "Train", "test": "Test"}, {"train": 60_000, "test": 10_000}
    ),
    "dvsgesture": Sensor(
        (2, 128, 128), 11, ("DVSGesture", "."), {"train": "ibmGestureTrain", "test": "ibmGestureTest"},
        {"train": 1077, "test": 264},
    ),
    "shd": Sensor(
        (1, 1, 700), 20, ("SHD", "."), {"train": "shd_train.h5", "test": "shd_test.h5"}, {"train": 8156, "test": 2264}
    ),
}  # fmt: skip


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


def find_part(name: str, root: Path, part: str) -> Path:
    """The file or folder of a part.

    Raises:
        ConfigError: it is not there; the message says what to put where.
    """
    sensor = SENSORS[name]
    for folder in sensor.folders:
        if is_there(found := root / folder / sensor.parts[part]):
            return found
    raise ConfigError(
        f"{root}: {sensor.folders[0]}/{sensor.parts[part]} is needed here, as tonic extracts it: "
        f"snnhpo data fetch {name} (where there is internet), or copy it there"
    )


def recordings(name: str, root: Path, part: str) -> list[Recording]:
    """All recordings of a part, in an order that does not depend on the machine.

    Raises:
        ConfigError: there are none, or one has no class.
    """
    place = find_part(name, root, part)
    found = list(_shd(place) if name == "shd" else _files(name, place))
    if not found:
        raise ConfigError(f"{place}: holds no recordings of {name}")
    n_classes = SENSORS[name].n_classes
    for recording in found:
        if not 0 <= recording.label < n_classes:
            raise ConfigError(
                f"{recording.name}: class {recording.label} is not one of {name}: 0 to {n_classes - 1} are"
            )
    return found


def _files(name: str, place: Path) -> Iterator[Recording]:
    pattern, read = ("*/*.bin", _read_nmnist) if name == "nmnist" else ("user*/*.npy", _read_gesture)
    for path in sorted(place.glob(pattern)):
        if any(part.startswith(".") for part in path.relative_to(place).parts):
            continue  # macOS leaves a hidden ._00000.bin with each file that it copies
        if is_there(path) and path.is_dir():
            raise ConfigError(f"{path}: is a folder, where a recording is a file")
        label = path.parent.name if name == "nmnist" else path.stem
        if not re.fullmatch(r"[0-9]{1,9}", label):
            raise ConfigError(f"{path}: its class {label!r} is no number")
        yield Recording(path, str(path), int(label), partial(read, path))


def _read_nmnist(path: Path) -> Events:
    raw = np.frombuffer(_bytes(path), np.uint8)
    if len(raw) % 5:
        raise ConfigError(f"{path}: {len(raw)} bytes are no whole number of events of 5 bytes: damaged")
    x, y, high, middle, low = (raw[i::5].astype(np.int64) for i in range(5))
    overflow = y == OVERFLOW_ROW
    t_us = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_US * np.cumsum(overflow)
    x, y, polarity, t_us = (column[~overflow] for column in (x, y, high >> 7, t_us))
    return events_of(str(path), _on_sensor("nmnist", x, y, polarity), t_us, units_per_s=1e6)


def _on_sensor(name: str, x: Column, y: Column, polarity: Column) -> dict[str, tuple[Column, int]]:
    """What ``events_of`` takes."""
    n_channels, height, width = SENSORS[name].shape
    return {"x": (x, width), "y": (y, height), "polarity": (polarity, n_channels)}


def _read_gesture(path: Path) -> Events:
    content = _bytes(path)
    try:
        rows = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: is no whole NumPy array of numbers: damaged") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iuf":
        found = f"{_shape(rows)} of {rows.dtype}" if isinstance(rows, np.ndarray) else "several arrays"
        raise ConfigError(f"{path}: rows of x, y, polarity and time are needed, found {found}")
    x, y, polarity, time_ms = rows.T
    return events_of(str(path), _on_sensor("dvsgesture", x, y, polarity), time_ms, units_per_s=1000)


def _shd(path: Path) -> Iterator[Recording]:
    with _opened_shd(path) as file:
        labels = np.asarray(file["labels"][()])
        shapes = [file[f"spikes/{column}"].shape for column in ("times", "units")]
    if labels.ndim != 1 or labels.dtype.kind not in "iuf":
        raise ConfigError(f"{path}: labels must be a row of whole numbers, found {_shape(labels)} of {labels.dtype}")
    if shapes != [labels.shape] * 2:
        raise ConfigError(
            f"{path}: {len(labels)} labels, but times and units are {shapes[0]} and {shapes[1]} recordings: damaged"
        )
    for index, label in enumerate(labels):
        where = f"{path}, recording {index}"
        if not np.isfinite(label) or label != np.floor(label):
            raise ConfigError(f"{where}: its label is {label:g}, not a whole number")
        yield Recording(path, where, int(label), partial(_read_shd, path, index))


def _read_shd(path: Path, index: int) -> Events:
    with _opened_shd(path) as file:
        times, units = (np.asarray(file[f"spikes/{column}"][index]) for column in ("times", "units"))
    where = f"{path}, recording {index}"
    if any(column.ndim != 1 or column.dtype.kind not in "iuf" for column in (times, units)):
        raise ConfigError(f"{where}: times and units must be rows of numbers, found {times.dtype} and {units.dtype}")
    n_channels, height, n_units = SENSORS["shd"].shape
    none = np.zeros(len(times), dtype=np.int64)
    on_sensor = {"unit": (units, n_units), "row": (none, height), "channel": (none, n_channels)}
    return events_of(where, on_sensor, times, units_per_s=1)


@contextlib.contextmanager
def _opened_shd(path: Path) -> Iterator[Any]:
    """The open HDF5 file, in which all data sets of SHD are there."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            for name in ("spikes/times", "spikes/units", "labels"):
                if not isinstance(file.get(name), h5py.Dataset):
                    raise ConfigError(f"{path}: has no {name}: no file of SHD")
            yield file
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:  # HDF5's own words help nobody
        raise ConfigError(f"{path}: damaged, or no HDF5 file") from error


def _shape(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape)) or "a single value"


def _bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: unreadable: {error.strerror}") from error
    if not content:
        raise ConfigError(f"{path}: is empty: damaged")
    return content
