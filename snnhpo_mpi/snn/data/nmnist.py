"""N-MNIST: ``NMNIST/{Train,Test}/<digit>/<id>.bin``, 5 bytes an event: x, y, polarity and time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.columns import events_of
from snnhpo_mpi.snn.data.events import Events
from snnhpo_mpi.snn.data.recordings import Recording, content, on_sensor, recording_files

OVERFLOW_ROW, OVERFLOW_US = 240, 2**13  # an event of this row says that the clock went round


def recordings(name: str, place: Path) -> Iterator[Recording]:
    """The recordings of a part, whose class is the name of their folder."""
    return recording_files(place, "*/*.bin", lambda path: path.parent.name, partial(_read, name))


def _read(name: str, path: Path) -> Events:
    raw = np.frombuffer(content(path), np.uint8)
    if len(raw) % 5:
        raise ConfigError(f"{path}: {len(raw)} bytes are no whole number of events of 5 bytes: damaged")
    x, y, high, middle, low = (raw[i::5].astype(np.int64) for i in range(5))
    overflow = y == OVERFLOW_ROW
    t_us = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_US * np.cumsum(overflow)
    x, y, polarity, t_us = (column[~overflow] for column in (x, y, high >> 7, t_us))
    return events_of(str(path), on_sensor(name, x, y, polarity), t_us, units_per_s=1e6)
