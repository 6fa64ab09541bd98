"""The training or the test part of a data set as it was read, and the files it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOT_PUBLISHED = "not the published files"
Samples = NDArray[Any]  # uint8, or float32 where the encoding is direct


@dataclass(frozen=True, slots=True)
class Source:
    """A file, or a folder of recordings.

    Attributes:
        path: where it is.
        n_bytes: its size on the disk.
        sha256: checksum of its content, uncompressed; of a folder: of the names and contents of its recordings.
        note: what is known about it, such as whether it is the published one.
    """

    path: str
    n_bytes: int
    sha256: str
    note: str

    def __str__(self) -> str:
        return f"{self.path}: {self.n_bytes:,} bytes, sha256 {self.sha256}, {self.note}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some samples of an array that is shared with other processes; indexing copies those asked for.

    Attributes:
        shared: ``N x C x H x W ...``, all samples.
        rows: ``M``, which of them.
    """

    shared: Samples
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: NDArray[np.int64] | slice) -> Samples:
        return self.shared[self.rows[index]]

    def __array__(self, dtype: None = None, copy: bool | None = None) -> Samples:
        """All of them, for ``np.asarray``."""
        return self[:]

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self.rows), *self.shared.shape[1:])


@dataclass(frozen=True, slots=True)
class Part:
    """Samples and classes, and where they come from.

    Attributes:
        x: ``N x C x H x W ...`` uint8, or float32 where the encoding is direct.
        y: ``N`` classes; of a regression ``N x K`` numbers.
        sources: the files that were read.
    """

    x: Samples
    y: NDArray[Any]
    sources: tuple[Source, ...]
