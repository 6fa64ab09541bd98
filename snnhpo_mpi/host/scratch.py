"""A rank's folder for temporary files, on a disk of its own node; gone when the rank ends.

What libraries would keep in the home folder goes there too: many ranks at once fill its quota or wait for its locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.schedulers import SCHEDULERS

log = logging.getLogger(__name__)
PLACES = ("SNNHPO_SCRATCH", *(one.scratch for one in SCHEDULERS), "TMPDIR")  # the first that is set; else the system's
CACHE = "SNNHPO_CACHE"
_PREFIX = "snnhpo-"
# Where matplotlib, torch, Triton, numba, the CUDA driver and all that follow the XDG rules keep their caches.
_CACHES = (
    "MPLCONFIGDIR",
    "TORCH_EXTENSIONS_DIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "NUMBA_CACHE_DIR",
    "CUDA_CACHE_PATH",
    "XDG_CACHE_HOME",
)


@contextlib.contextmanager
def scratch_folder(environment: Mapping[str, str]) -> Iterator[Path]:
    """A new folder, removed at the end; those of this node's ranks that were killed are removed first.

    Raises:
        ConfigError: it cannot be made; the message names the place and the variable that chooses another.
    """
    place = _place(environment)
    try:
        _remove_leftovers(place)
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{socket.gethostname()}-{os.getpid()}-", dir=place))
    except OSError as error:
        raise ConfigError(f"no temporary folder can be made: {error}; {PLACES[0]} names another place") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where data sets are made ready once for all ranks of a node: ``SNNHPO_CACHE``, or where temporary files go.

    Not removed at the end: the next job on this node finds them there, unless the place itself is gone by then.
    """
    if own := environment.get(CACHE):
        return Path(own).expanduser()
    return _place(environment) / f"{_PREFIX}cache-{os.getuid()}"


@contextlib.contextmanager
def locked(entry: Path) -> Iterator[None]:
    """Hold the lock of an entry of the cache; without effect where the file system has no locks.

    Raises:
        OSError: the file of the lock cannot be made.
    """
    with entry.with_suffix(".lock").open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _place(environment: Mapping[str, str]) -> Path:
    chosen = next((environment[name] for name in PLACES if environment.get(name)), None)
    return Path(chosen or tempfile.gettempdir())


def variables(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What sends temporary files and caches to a folder, data to the node's cache; what the user has set stays."""
    caches = {name: str(folder / name.lower()) for name in _CACHES if name not in environment}
    return caches | {"TMPDIR": str(folder), CACHE: str(cache_folder(environment))}


def _remove_leftovers(place: Path) -> None:
    """Remove the folders of this user's dead processes on this host; a place may be shared by hosts."""
    for folder in place.glob(f"{_PREFIX}{socket.gethostname()}-*"):
        pid = folder.name.removeprefix(f"{_PREFIX}{socket.gethostname()}-").partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdigit() and not Path(f"/proc/{pid}").exists() and folder.stat().st_uid == os.getuid():
                # The ranks of a node start at once: one of them gets the folder, the others' rename fails.
                claimed = folder.rename(f"{folder}.{os.getpid()}")
                shutil.rmtree(claimed, ignore_errors=True)
                log.info("removed %s, left by a process that was killed", folder)
