"""The cache of a node: data sets made ready once, and mapped into memory, where all ranks of the node share them.

An entry is two files: ``<name>_<key>.npy``, the samples, and ``<name>_<key>.json``, written last, with classes,
checksum and the files that were read. The key covers these files (names, sizes, times) and what was made of them, so
that other data never meet an old entry. Whoever comes first holds a lock while it writes; the others wait for it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.host.scratch import CACHE, cache_folder, locked
from snnhpo_mpi.snn.data.part import Part, Source

log = logging.getLogger(__name__)
FORMAT = 2
Make = Callable[[Path], tuple[Iterable[Any], tuple[Source, ...]]]


def staged(name: str, key: str, make: Make) -> Part:
    """A part of a data set from the cache of this node, made ready first if it is not there.

    A cache that cannot be written costs time and memory, not the search: each rank then makes the part for itself.

    Args:
        name: of the data set.
        key: of what the samples are made from and how (``key_of``).
        make: writes all samples, ``N x ...``, in NumPy's format into a file of the name that it is given; returns ``N``
            classes, or ``N x K`` numbers, and the files it read.

    Raises:
        ConfigError: the samples cannot be written anywhere.
    """
    cache = cache_folder(os.environ)
    try:
        return _shared(cache, name, key, make)
    except OSError as error:
        log.warning("each rank of this node reads %s by itself: %s; %s names another cache", name, error, CACHE)
    try:
        with tempfile.TemporaryDirectory(prefix="snnhpo-") as folder:
            _write(entry := Path(folder) / name, make)
            part = _load(entry)  # mapped: it outlives its name
    except OSError as error:
        raise ConfigError(f"{name} cannot be made ready: {error}; {CACHE} and TMPDIR name other folders") from error
    assert part is not None
    return part


def _shared(cache: Path, name: str, key: str, make: Make) -> Part:
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(cache)
    entry = cache / f"{name}_{key}"
    with locked(entry):  # where the file system has no locks, each writer replaces the entry as a whole
        if (found := _load(entry)) is None:
            log.info("%s goes into the cache of this node: %s", name, cache)
            _write(entry, make)
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
        raise PermissionError(f"{cache} belongs to another user")


def _load(entry: Path) -> Part | None:
    """A whole entry, None if there is none or it is damaged."""
    try:
        told = json.loads(entry.with_suffix(".json").read_text(encoding="utf-8"))
        samples = np.load(entry.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        classes = np.array(told["classes"], dtype=told.get("labels", "int64"))
        sources = tuple(Source(**source) for source in told["sources"])
        if zlib.crc32(samples.reshape(-1).data) != told["crc32"]:
            raise ValueError("its checksum is wrong")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s.npy: the cache entry is damaged and made anew: %s", entry, error)
        return None
    return Part(np.asarray(samples), classes, sources)


def _write(entry: Path, make: Make) -> None:
    """Make an entry; it is there as a whole or not at all."""
    with (
        atomic_write(entry.with_suffix(".json"), by_many=True) as facts,  # left, and so replaced, last
        atomic_write(entry.with_suffix(".npy"), by_many=True) as samples,
    ):
        classes, sources = make(samples)
        labels = np.asarray(classes)
        told = {
            "labels": "float64" if labels.dtype.kind == "f" else "int64",
            "classes": labels.tolist(),
            "crc32": zlib.crc32(np.load(samples, mmap_mode="r", allow_pickle=False).reshape(-1).data),
            "sources": [asdict(source) for source in sources],
        }
        facts.write_text(json.dumps(told), encoding="utf-8")
