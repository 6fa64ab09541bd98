"""DVS128 Gesture: ``DVSGesture/ibmGesture{Train,Test}/user01_led/<label>.npy``, rows of x, y, polarity, time in ms."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.columns import events_of
from snnhpo_mpi.snn.data.events import Events
from snnhpo_mpi.snn.data.recordings import Recording, content, on_sensor, recording_files, sizes


def recordings(name: str, place: Path) -> Iterator[Recording]:
    """The recordings of a part, whose class is their file's name."""
    return recording_files(place, "user*/*.npy", lambda path: path.stem, partial(_read, name))


def _read(name: str, path: Path) -> Events:
    raw = content(path)
    try:
        rows = np.load(io.BytesIO(raw), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: is no whole NumPy array of numbers: damaged") from error
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iuf":
        found = f"{sizes(rows)} of {rows.dtype}" if isinstance(rows, np.ndarray) else "several arrays"
        raise ConfigError(f"{path}: rows of x, y, polarity and time are needed, found {found}")
    x, y, polarity, time_ms = rows.T
    return events_of(str(path), on_sensor(name, x, y, polarity), time_ms, units_per_s=1000)
