"""Machine code of compiled functions, kept on the node's own disk, so that only its first process compiles.

numba keeps it as pickles, which run whatever they hold when they are read: the folder is this user's own, mode 0700,
and anything else in its place is not used. Without such a folder, and where what it holds is damaged, functions are
compiled in memory.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from snnhpo_mpi.host.scratch import cache_folder, locked

log = logging.getLogger(__name__)


def compiled(function: Callable[..., Any], *example: Any) -> Callable[..., Any]:
    """Machine code of a function, from the node's disk if it is there.

    Args:
        function: compiles with numba; all that it calls stands in its own file.
        example: arguments that it is called with here; it is compiled for their types alone.
    """
    code: Callable[..., Any] = numba.njit(function)
    try:
        folder = _folder(function)
        with locked(folder / "code"):  # numba's files are made for one writer; and others need not compile the same
            _keep(code, folder)
            try:
                code(*example)
            except Exception:  # a damaged file, a full disk: what is there may be half of it
                _remove_code(folder)
                raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        log.warning("code is compiled in memory, by each process again: %s", reason)
        code = numba.njit(function)
        code(*example)
    return code


def _remove_code(folder: Path) -> None:
    for path in folder.rglob("*.nb?*"):  # of numba: indices, code, and what it was writing
        path.unlink(missing_ok=True)


def _folder(function: Callable[..., Any]) -> Path:
    """Where the code of this source, numba and Python belongs; made if it is not there.

    Raises:
        OSError: it cannot be made, or is not this user's alone.
    """
    source = Path(function.__code__.co_filename).read_bytes()
    made_with = f"\0numba {numba.__version__}\0python {sys.version}"
    digest = hashlib.sha256(source + made_with.encode()).hexdigest()[:16]
    private = cache_folder(os.environ) / f"code-{os.getuid()}"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = private.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{private} is not a folder of this user alone (mode 0700)")
    folder = private / digest
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _keep(function: Any, folder: Path) -> None:
    """Let numba keep a function's code in a folder, and nobody else's there.

    Raises:
        OSError: it would go elsewhere.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        function.enable_caching()
    finally:
        numba.config.CACHE_DIR = before
    if folder not in Path(function.stats.cache_path).parents:
        raise OSError(f"numba does not take {folder} for its cache")
