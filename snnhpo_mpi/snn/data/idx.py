"""MNIST and Fashion-MNIST in their usual idx files, raw or gzipped, as torchvision and the original site lay them out.

Format: two zero bytes, element type (8 = unsigned byte), number of dimensions, each as a big-endian uint32, data.

Other images may be laid out like this too: they are read, and said not to be the published files.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.part import Part, Source
from snnhpo_mpi.snn.data.published import note_of

_MAGIC = b"\x00\x00\x08"
_GZIP = b"\x1f\x8b"


def read_part(name: str, files: Sequence[Path], part: str) -> Part:
    """A part from its files.

    Args:
        name: of the data set.
        files: of images and of labels.
        part: train or test.

    Returns:
        Images ``N x 1 x H x W``, classes and files.

    Raises:
        ConfigError: files are damaged, another data set's, or their labels cannot be learnt.
    """
    images, labels = map(read_idx, files)
    sources = tuple(map(_source, (name, name), DATASETS[name].parts[part], files, (images, labels)))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ConfigError(
            f"{files[0]} and {files[1]} do not belong together: they hold {_shape(images)} and {_shape(labels)} numbers"
        )
    if part == "train":
        _refuse_gaps(files[1], labels)
    return Part(images[:, None], labels.astype(np.int64), sources)


def _source(name: str, usual: str, file: Path, array: NDArray[np.uint8]) -> Source:
    sha256 = hashlib.sha256(_header(array) + array.tobytes()).hexdigest()
    return Source(str(file.resolve()), file.stat().st_size, sha256, note_of(str(file), name, usual, sha256))


def _header(array: NDArray[np.uint8]) -> bytes:
    return _MAGIC + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()


def _shape(array: NDArray[np.uint8]) -> str:
    return " x ".join(f"{size:,}" for size in array.shape)


def _refuse_gaps(file: Path, labels: NDArray[np.uint8]) -> None:
    """Raise unless the labels are 0 to K - 1, each of which occurs: one stray label would add classes without samples.

    Raises:
        ConfigError: names the first label above a gap.
    """
    counts = np.bincount(labels)
    if len(counts) < 2:
        raise ConfigError(f"{file}: all labels are 0: two classes are the fewest to learn")
    if not counts.all():
        missing = int(counts.argmin())
        index = int(np.argmax(labels > missing))
        raise ConfigError(
            f"{file}: the label of sample {index} is {labels[index]}, but no sample has the label {missing}: "
            "labels must be 0, 1, 2 ... without a gap"
        )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes: images or labels.

    Raises:
        ConfigError: the file is truncated, empty or not of this format.
    """
    raw = _content(path)
    if len(raw) < 4 or raw[:3] != _MAGIC:
        raise ConfigError(f"{path}: not an idx file of unsigned bytes")
    n_axes = raw[3]
    if n_axes not in (1, 3):
        raise ConfigError(f"{path}: announces {n_axes} dimensions: images have 3 of them, labels 1")
    if len(raw) < (start := 4 + 4 * n_axes):
        raise ConfigError(f"{path}: ends within its header: damaged")
    shape = tuple(np.frombuffer(raw, ">u4", count=n_axes, offset=4).tolist())
    data = raw[start:]
    if len(data) != math.prod(shape):
        raise ConfigError(f"{path}: {math.prod(shape)} bytes of data are announced, {len(data)} are there: damaged")
    if not len(data):
        raise ConfigError(
            f"{path}: holds {'images' if n_axes == 3 else 'labels'} of {' x '.join(map(str, shape))}: none"
        )
    return np.frombuffer(data, np.uint8).reshape(shape).copy()


def _content(path: Path) -> bytes:
    """What a file holds, uncompressed if its name ends in ``.gz``.

    Raises:
        ConfigError: it cannot be read, or its name does not say whether it is compressed.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: unreadable: {error.strerror}") from error
    if not raw:
        raise ConfigError(f"{path}: is empty: damaged")
    is_named_so = path.suffix == ".gz"
    if raw.startswith(_GZIP) and not is_named_so:
        raise ConfigError(f"{path}: is compressed by gzip, which its name does not say: rename it to {path.name}.gz")
    if raw.startswith(_MAGIC) and is_named_so:
        raise ConfigError(f"{path}: is not compressed, although its name says so: rename it to {path.stem}")
    try:
        return gzip.decompress(raw) if is_named_so else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: is no whole gzip file: damaged") from error
