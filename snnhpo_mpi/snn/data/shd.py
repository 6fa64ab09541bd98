"""Spiking Heidelberg Digits: ``SHD/shd_{train,test}.h5``: spikes/times in s, spikes/units, labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.columns import events_of
from snnhpo_mpi.snn.data.events import Events
from snnhpo_mpi.snn.data.recordings import Recording, shape_of, sizes


def recordings(name: str, place: Path) -> Iterator[Recording]:
    """The recordings of a part, all in one file."""
    with _opened(place) as file:
        labels = np.asarray(file["labels"][()])
        shapes = [file[f"spikes/{column}"].shape for column in ("times", "units")]
    if labels.ndim != 1 or labels.dtype.kind not in "iuf":
        raise ConfigError(f"{place}: labels must be a row of whole numbers, found {sizes(labels)} of {labels.dtype}")
    if shapes != [labels.shape] * 2:
        raise ConfigError(
            f"{place}: {len(labels)} labels, but times and units are {shapes[0]} and {shapes[1]} recordings: damaged"
        )
    for index, label in enumerate(labels):
        where = f"{place}, recording {index}"
        if not np.isfinite(label) or label != np.floor(label):
            raise ConfigError(f"{where}: its label is {label:g}, not a whole number")
        yield Recording(place, where, int(label), partial(_read, name, place, index))


def _read(name: str, path: Path, index: int) -> Events:
    with _opened(path) as file:
        times, units = (np.asarray(file[f"spikes/{column}"][index]) for column in ("times", "units"))
    where = f"{path}, recording {index}"
    if any(column.ndim != 1 or column.dtype.kind not in "iuf" for column in (times, units)):
        raise ConfigError(f"{where}: times and units must be rows of numbers, found {times.dtype} and {units.dtype}")
    n_channels, height, n_units = shape_of(name)
    none = np.zeros(len(times), dtype=np.int64)
    on_sensor = {"unit": (units, n_units), "row": (none, height), "channel": (none, n_channels)}
    return events_of(where, on_sensor, times, units_per_s=1)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
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
