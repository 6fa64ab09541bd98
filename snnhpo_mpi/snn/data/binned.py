"""Binned recordings: made once, kept in a cache, and mapped into memory, where all ranks of a node share them.

A cache entry is two files: ``<key>.npy``, bits ``N x C x H x W x ceil(T / 8)``, and ``<key>.json``, written last, with
classes and checksum. The key covers data set, files (names, sizes, times) and binning, so that other data or another
binning never meet an old entry. Whoever comes first holds a lock while it bins; the others wait for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import DatasetSettings, EncodingSettings
from snnhpo_mpi.snn.data.events import bin_steps, denoise, downsample
from snnhpo_mpi.snn.data.folder import data_folder
from snnhpo_mpi.snn.data.recordings import SENSORS, Recording, recordings

FORMAT = 1
log = logging.getLogger(__name__)


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
    """
    found = recordings(dataset.name, data_folder(dataset), part)
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    entry = cache / f"{dataset.name}_{part}_{_key(dataset.name, encoding, found)}"
    with _lock(entry):
        if (cached := _load(entry)) is None:
            log.info("binning %d recordings of %s into %s", len(found), dataset.name, cache)
            _write(entry, dataset.name, encoding, found)
            cached = _load(entry)
    if cached is None:
        raise OSError(f"{entry}.npy cannot be read back just after it was written")
    return cached


def cache_folder() -> Path:
    """``SNNHPO_CACHE``, or the user's cache folder."""
    if own := os.environ.get("SNNHPO_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snnhpo"


def _key(name: str, encoding: EncodingSettings, found: list[Recording]) -> str:
    digest = hashlib.sha256(json.dumps([FORMAT, name, encoding.model_dump(mode="json")], sort_keys=True).encode())
    seen: set[Path] = set()
    for recording in found:
        if recording.path not in seen:  # SHD has one file for all
            stat = recording.path.stat()
            digest.update(f"{recording.path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
            seen.add(recording.path)
    return digest.hexdigest()[:24]


@contextlib.contextmanager
def _lock(entry: Path) -> Iterator[None]:
    with entry.with_suffix(".lock").open("w") as file:
        # Without locks on this file system several ranks may bin at once; each replaces the entry as a whole.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _load(entry: Path) -> tuple[Tensor, NDArray[np.int64]] | None:
    """A whole entry, None if there is none or it is damaged."""
    try:
        told = json.loads(entry.with_suffix(".json").read_text(encoding="utf-8"))
        # Copy on write: torch wants memory that it may write to, and the file stays as it is.
        bits = np.load(entry.with_suffix(".npy"), mmap_mode="c", allow_pickle=False)
        classes = np.array(told["classes"], dtype=np.int64)
        if zlib.crc32(bits.reshape(-1).data) != told["crc32"]:
            raise ValueError("its checksum is wrong")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s.npy: the cache entry is damaged and made anew: %s", entry, error)
        return None
    return torch.from_numpy(bits), classes


def _write(entry: Path, name: str, encoding: EncodingSettings, found: list[Recording]) -> None:
    """Bin all recordings; the entry is there as a whole or not at all."""
    n_channels, height, width = SENSORS[name].shape
    factor = encoding.downsample
    shape = n_channels, -(-height // factor), -(-width // factor)
    beside = entry.with_name(f"{entry.name}.{os.getpid()}.new.npy")
    try:
        total = (len(found), *shape, -(-encoding.steps // 8))
        bits = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=total)
        for row, recording in enumerate(found):
            bits[row] = binned(recording, shape, encoding)
        bits.flush()
        told = {"classes": [recording.label for recording in found], "crc32": zlib.crc32(bits.reshape(-1).data)}
        del bits
        beside.replace(entry.with_suffix(".npy"))
        text = entry.with_name(f"{entry.name}.{os.getpid()}.new.json")
        text.write_text(json.dumps(told), encoding="utf-8")
        text.replace(entry.with_suffix(".json"))
    finally:
        beside.unlink(missing_ok=True)


def binned(recording: Recording, shape: tuple[int, int, int], encoding: EncodingSettings) -> NDArray[np.uint8]:
    """One recording as bits, ``C x H x W x ceil(T / 8)``."""
    events = recording.read()
    if encoding.denoise_ms:
        events = denoise(events, round(encoding.denoise_ms * 1000))
    window_us = None if encoding.window_ms is None else round(encoding.window_ms * 1000)
    return bin_steps(downsample(events, encoding.downsample), shape, encoding.steps, window_us)
