"""Recordings binned into steps: once a node, whose ranks share them in its cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import DatasetSettings, EncodingSettings
from snnhpo_mpi.snn.data.cache import key_of, staged
from snnhpo_mpi.snn.data.events import bin_steps, denoise, downsample
from snnhpo_mpi.snn.data.folder import data_folder
from snnhpo_mpi.snn.data.recordings import SENSORS, Recording, recordings


@dataclass(frozen=True, slots=True)
class Rows:
    """Some samples of an array that is shared with other processes; indexing copies those asked for.

    Attributes:
        shared: ``N x C x H x W x P`` uint8, all samples.
        rows: ``M``, which of them.
    """

    shared: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return self.shared[self.rows[index]]

    @property
    def shape(self) -> torch.Size:
        """As a tensor's."""
        return torch.Size((len(self.rows), *self.shared.shape[1:]))


def read_binned(dataset: DatasetSettings, encoding: EncodingSettings, part: str) -> tuple[Tensor, NDArray[np.int64]]:
    """All recordings of a part, binned.

    Args:
        dataset: which and where.
        encoding: of the name ``events``.
        part: train or test.

    Returns:
        ``N x C x H x W x ceil(T / 8)`` uint8, mapped from the cache, and classes ``N``.

    Raises:
        ConfigError: data are missing or damaged.
        OSError: the cache cannot be written.
    """
    found = recordings(dataset.name, data_folder(dataset), part)
    key = key_of([dataset.name, encoding.model_dump(mode="json")], (recording.path for recording in found))
    write = partial(_write, name=dataset.name, encoding=encoding, found=found)
    return staged(f"{dataset.name}_{part}", key, write)


def _write(path: Path, name: str, encoding: EncodingSettings, found: list[Recording]) -> list[int]:
    """Bin all recordings into a file; their classes."""
    n_channels, height, width = SENSORS[name].shape
    factor = encoding.downsample
    shape = n_channels, -(-height // factor), -(-width // factor)
    total = (len(found), *shape, -(-encoding.steps // 8))
    bits = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=total)
    for row, recording in enumerate(found):
        bits[row] = binned(recording, shape, encoding)
    bits.flush()
    return [recording.label for recording in found]


def binned(recording: Recording, shape: tuple[int, int, int], encoding: EncodingSettings) -> NDArray[np.uint8]:
    """One recording as bits, ``C x H x W x ceil(T / 8)``."""
    events = recording.read()
    if encoding.denoise_ms:
        events = denoise(events, round(encoding.denoise_ms * 1000))
    window_us = None if encoding.window_ms is None else round(encoding.window_ms * 1000)
    return bin_steps(downsample(events, encoding.downsample), shape, encoding.steps, window_us)
