"""Data sets, each split once for the whole study: what is trained on and what is held out for the objective.

Official test sets are not read here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

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
    match dataset.name:
        case "digits5000":
            x, y = digits.read()
        case "mnist":
            x, y = idx.read_training_set(dataset)
    wanted = dataset.train + dataset.held_out
    if wanted > len(y):
        raise ConfigError(
            f"trainer.dataset: {dataset.train} training and {dataset.held_out} held-out samples were asked for, "
            f"{dataset.name} has {len(y)} in all"
        )
    train, held = stratified_split(y, dataset.train, dataset.held_out, seed)
    images, classes = torch.from_numpy(x), torch.from_numpy(y)
    return Split(images[train], classes[train], images[held], classes[held], n_classes=int(y.max()) + 1)
