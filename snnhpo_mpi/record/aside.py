"""Keeps what would otherwise be overwritten, under a name that no other file has."""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path


def move_aside(path: Path) -> Path:
    """Gives a file another name beside it; the new path."""
    return path.rename(_free_name(path))


def copy_aside(path: Path) -> Path:
    """Copies a file under another name beside it, durably; the path of the copy."""
    target = _free_name(path)
    with path.open("rb") as source, target.open("xb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    return target


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.stem}-aside-{i}{path.suffix}") for i in count(1))
    return next(name for name in names if not os.path.lexists(name))
