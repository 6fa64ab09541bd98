"""The cache of a node: data sets made ready once, and mapped into memory, where all ranks of the node share them.

An entry is two files: ``<name>_<key>.npy``, the samples, and ``<name>_<key>.json``, written last, with classes and
checksum. The key covers the files that the samples come from (names, sizes, times) and what was made of them, so that
other data never meet an old entry. Whoever comes first holds a lock while it writes; the others wait for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.scratch import cache_folder, locked

log = logging.getLogger(__name__)
FORMAT = 1


def staged(name: str, key: str, write: Callable[[Path], Iterable[int]]) -> tuple[Tensor, NDArray[np.int64]]:
    """Samples and classes from the cache, which gets them first if it has not got them.

    Args:
        name: of the data set and its part.
        key: of what the samples are made from and how (``key_of``).
        write: writes all samples, ``N x ...`` uint8, into the ``.npy`` file that it is given; returns ``N`` classes.

    Returns:
        ``N x ...`` uint8, mapped from the cache, and classes ``N``.

    Raises:
        OSError: the cache cannot be written.
    """
    cache = cache_folder(os.environ)
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(cache)
    entry = cache / f"{name}_{key}"
    with locked(entry):  # where the file system has no locks, each writer replaces the entry as a whole
        if (found := _load(entry)) is None:
            log.info("%s goes into the cache of this node: %s", name, cache)
            _write(entry, write)
            found = _load(entry)
    if found is None:
        raise OSError(f"{entry}.npy cannot be read back just after it was written")
    return found


def key_of(made: object, files: Iterable[Path]) -> str:
    """A key for what is made of some files; ``made`` is JSON that tells how."""
    digest = hashlib.sha256(json.dumps([FORMAT, made], sort_keys=True).encode())
    for path in dict.fromkeys(files):  # SHD has one file for all recordings
        stat = path.stat()
        digest.update(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:24]


def _check_owner(cache: Path) -> None:
    """Raise where somebody else could have put the cache: its name in a folder that all may write to is known."""
    stat = cache.stat()
    if cache.parent.stat().st_mode & 0o002 and stat.st_uid != os.getuid():
        raise PermissionError(f"{cache} belongs to another user; SNNHPO_CACHE names another place")


def _load(entry: Path) -> tuple[Tensor, NDArray[np.int64]] | None:
    """A whole entry, None if there is none or it is damaged."""
    try:
        told = json.loads(entry.with_suffix(".json").read_text(encoding="utf-8"))
        # Copy on write: torch wants memory that it may write to, and the file stays as it is.
        samples = np.load(entry.with_suffix(".npy"), mmap_mode="c", allow_pickle=False)
        classes = np.array(told["classes"], dtype=np.int64)
        if zlib.crc32(samples.reshape(-1).data) != told["crc32"]:
            raise ValueError("its checksum is wrong")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s.npy: the cache entry is damaged and made anew: %s", entry, error)
        return None
    return torch.from_numpy(samples), classes


def _write(entry: Path, write: Callable[[Path], Iterable[int]]) -> None:
    """Make an entry; it is there as a whole or not at all."""
    beside = [entry.with_name(f"{entry.name}.{os.getpid()}.new.{kind}") for kind in ("npy", "json")]
    samples, facts = beside
    try:
        classes = write(samples)
        crc32 = zlib.crc32(np.load(samples, mmap_mode="r", allow_pickle=False).reshape(-1).data)
        facts.write_text(json.dumps({"classes": [int(label) for label in classes], "crc32": crc32}), encoding="utf-8")
        samples.replace(entry.with_suffix(".npy"))
        facts.replace(entry.with_suffix(".json"))
    finally:
        for path in beside:
            path.unlink(missing_ok=True)
