"""The images of a part of a data set, read by the module that the data set's row names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.snn.data.cache import key_of, staged
from snnhpo_mpi.snn.data.folder import part_files
from snnhpo_mpi.snn.data.part import Part, Source


class Images(Protocol):
    """A module that reads images."""

    def read_part(self, name: str, files: Sequence[Path], part: str) -> Part:
        """All samples of a part, ``N x C x H x W``, from its files; raises ``ConfigError`` with a file's name."""
        ...


def read_images(name: str, root: Path, part: str) -> Part:
    """A part from its files.

    Args:
        name: of the data set.
        root: its folder; of no meaning where a package ships it.
        part: train or test.

    Raises:
        ConfigError: files are missing, damaged, another data set's, or their labels cannot be learnt.
    """
    reader = cast(Images, import_module(f"{__package__}.{DATASETS[name].reader}"))
    return reader.read_part(name, part_files(name, root, part), part)


def read_staged(name: str, root: Path, part: str) -> Part:
    """``read_images`` by way of the node's cache: only the first of its ranks reads the files, wherever they are."""

    def make(path: Path) -> tuple[list[int], tuple[Source, ...]]:
        read_now = read_images(name, root, part)
        with path.open("wb") as file:  # to a name NumPy would add its own ending
            np.save(file, read_now.x)
        return read_now.y.tolist(), read_now.sources

    return staged(name, key_of([name, part], part_files(name, root, part)), make)
