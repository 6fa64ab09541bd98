"""MNIST and Fashion-MNIST in their usual idx files, raw or gzipped, as torchvision and the original site lay them out.

Format: two zero bytes, element type (8 = unsigned byte), number of dimensions, each as a big-endian uint32, data.
"""

from __future__ import annotations

import gzip
import logging
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.cache import key_of, staged
from snnhpo_mpi.snn.data.folder import data_folder

log = logging.getLogger(__name__)
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
OWN_FOLDER = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw"}  # below the path, as torchvision writes


def read_training_set(dataset: DatasetSettings) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the official training set.

    Returns:
        Images ``N x 1 x H x W`` and classes ``N``.

    Raises:
        ConfigError: files are missing or damaged.
    """
    return _read_pair(dataset, IMAGES, LABELS)


def read_test_set(dataset: DatasetSettings) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the official test set, as ``read_training_set``."""
    return _read_pair(dataset, TEST_IMAGES, TEST_LABELS)


def read_staged(dataset: DatasetSettings, part: str) -> tuple[Tensor, NDArray[np.int64]]:
    """A part by way of the node's cache: only the first of its ranks reads the files, from wherever they are.

    Args:
        dataset: which and where.
        part: train or test.

    Returns:
        Images ``N x 1 x H x W`` uint8 and classes ``N``.

    Raises:
        ConfigError: files are missing or damaged.
    """
    read = read_training_set if part == "train" else read_test_set
    names = (IMAGES, LABELS) if part == "train" else (TEST_IMAGES, TEST_LABELS)
    files = [find(data_folder(dataset), dataset.name, name) for name in names]

    def write(path: Path) -> NDArray[np.int64]:
        images, labels = read(dataset)
        np.save(path, images)
        return labels

    try:
        return staged(f"{dataset.name}_{part}", key_of(dataset.name, files), write)
    except OSError as error:
        log.warning("each rank of this node reads %s by itself: %s", dataset.name, error)
        images, labels = read(dataset)
        return torch.from_numpy(images), labels


def _read_pair(
    dataset: DatasetSettings, image_file: str, label_file: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    root = data_folder(dataset)
    images = read_idx(find(root, dataset.name, image_file))
    labels = read_idx(find(root, dataset.name, label_file))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise ConfigError(
            f"{root}: {image_file} and {label_file} do not belong together: {images.shape} and {labels.shape}"
        )
    return images[:, None], labels.astype(np.int64)


def find(root: Path, name: str, file_name: str) -> Path:
    """One of the data set's files, in any of the folders where it is usual.

    Raises:
        ConfigError: it is not there.
    """
    for folder in (OWN_FOLDER[name], "raw", "."):
        for suffix in ("", ".gz"):
            if (file := root / folder / f"{file_name}{suffix}").is_file():
                return file
    raise ConfigError(
        f"{root}: {file_name} (or {file_name}.gz) is needed here or in {OWN_FOLDER[name]}, as torchvision downloads "
        f"it: snnhpo data fetch {name} (where there is internet), or copy it there"
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of unsigned bytes.

    Raises:
        ConfigError: the file is truncated or not of this format.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: damaged or unreadable: {error}") from error
    if len(raw) < 4 or raw[:3] != b"\x00\x00\x08" or len(raw) < 4 + 4 * raw[3]:
        raise ConfigError(f"{path}: not an idx file of unsigned bytes")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", count=raw[3], offset=4))
    data = raw[4 + 4 * raw[3] :]
    if len(data) != math.prod(shape):
        raise ConfigError(f"{path}: {math.prod(shape)} bytes of data are announced, {len(data)} are there: damaged")
    return np.frombuffer(data, np.uint8).reshape(shape).copy()
