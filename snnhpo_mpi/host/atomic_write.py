"""Write a file as a whole or not at all: under another name next to it, then renamed.

A reader sees the old file or the new one, never a part; a write that fails leaves the old one and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = False, by_many: bool = False) -> Iterator[Path]:
    """Give the path of a new file to write, which takes the place of ``path`` if the block ends without an error.

    Args:
        path: of the file; its folder is there.
        durable: on the disk before it replaces the old file, and the new name too before this returns: it then
            survives the end of the machine. Without it, only the end of the program.
        by_many: several processes may write the file at once, perhaps on several machines. Each then needs a
            temporary name of its own, so what a killed one leaves is not overwritten by the next.

    Raises:
        OSError: the disk is full or gone, or something is in the way.
    """
    writer = f"{socket.gethostname()}.{os.getpid()}." if by_many else ""
    new = path.with_name(f"{path.name}.{writer}new")
    try:
        new.unlink(missing_ok=True)  # a killed writer's, which some writers would append to
        yield new
        if durable:
            _sync(new)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new and renamed files of a folder durable, where the file system can."""
    with contextlib.suppress(OSError):  # some network file systems refuse it; a rename is ordered there anyway
        _sync(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
