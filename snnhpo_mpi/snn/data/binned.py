"""Recordings binned into steps: once a node, whose ranks share them in its cache."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.data.cache import key_of, staged
from snnhpo_mpi.snn.data.events import Events, bin_steps, denoise, downsample
from snnhpo_mpi.snn.data.folder import part_files
from snnhpo_mpi.snn.data.part import Part, Source
from snnhpo_mpi.snn.data.recordings import Recording, recordings, shape_of
from snnhpo_mpi.snn.data.recordings_source import Copies, source_of


def read_binned(name: str, root: Path, encoding: EncodingSettings, part: str) -> Part:
    """All recordings of a part, binned.

    Args:
        name: of the data set.
        root: its folder.
        encoding: of the name ``events``.
        part: train or test.

    Returns:
        ``N x C x H x W x ceil(T / 8)`` uint8, mapped from the cache, with classes and files.

    Raises:
        ConfigError: data are missing or damaged.
    """
    found = recordings(name, root, part)
    key = key_of([name, part, encoding.model_dump(mode="json")], (recording.path for recording in found))
    (place,) = part_files(name, root, part)
    make = partial(_make, name, place, part, encoding, found)
    return staged(name, key, make)


def _make(
    name: str, place: Path, part: str, encoding: EncodingSettings, found: list[Recording], path: Path
) -> tuple[list[int], tuple[Source, ...]]:
    """Bin all recordings into a file; their classes and where they lie."""
    n_channels, height, width = shape_of(name)
    factor = encoding.downsample
    shape = n_channels, -(-height // factor), -(-width // factor)
    total = (len(found), *shape, -(-encoding.steps // 8))
    bits = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=total)
    with path.open("r+b") as file:  # a disk that is full says so here; a mapped page would kill the process
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    copies = Copies()
    for row, recording in enumerate(found):
        events = recording.read()
        copies.note(recording, events)
        bits[row] = binned(events, shape, encoding)
    bits.flush()
    return [recording.label for recording in found], (source_of(name, place, part, found, copies),)


def binned(events: Events, shape: tuple[int, int, int], encoding: EncodingSettings) -> NDArray[np.uint8]:
    """One recording as bits, ``C x H x W x ceil(T / 8)``."""
    if encoding.denoise_ms:
        events = denoise(events, round(encoding.denoise_ms * 1000))
    window_us = None if encoding.window_ms is None else round(encoding.window_ms * 1000)
    return bin_steps(downsample(events, encoding.downsample), shape, encoding.steps, window_us)
