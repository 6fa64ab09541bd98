"""Data sets, each split once for the whole study: what is trained on and what is held out for the objective.

Official test sets are read for final trainings only, which no search makes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.config import DatasetSettings, EncodingSettings
from snnhpo_mpi.config.datasets import DATASETS, has_test
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.losses import R2
from snnhpo_mpi.snn.data.binned import read_binned
from snnhpo_mpi.snn.data.folder import data_folder
from snnhpo_mpi.snn.data.images import read_staged
from snnhpo_mpi.snn.data.own import read_own
from snnhpo_mpi.snn.data.part import Part, Rows, Source
from snnhpo_mpi.snn.data.split import Indices, stratified_split

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Split:
    """Samples and classes, split; recordings have their bits as a last axis (``encode``).

    All samples of a data set are mapped from the cache of the node, and its processes share them.

    Attributes:
        train_x: ``N x C x H x W`` uint8, or float32 where the encoding is direct.
        train_y: ``N`` int64; of a regression ``N x K`` float64.
        held_x: ``M x C x H x W``, the same.
        held_y: ``M`` int64, or ``M x K`` float64.
        n_classes: K; of a regression the numbers of a sample.
        sources: the files that were read.
    """

    train_x: Rows
    train_y: Indices
    held_x: Rows
    held_y: Indices
    n_classes: int
    sources: tuple[Source, ...] = ()


def load(dataset: DatasetSettings, seed: int, encoding: EncodingSettings | None = None, repeat: int = 0) -> Split:
    """Read a data set and split its training part, the same way on every rank.

    A repeat has a split of its own. Of a data set without an official test set it is made of the samples of the
    search's split alone, so that the others stay unseen.

    Args:
        dataset: which, where, and how many samples of it.
        seed: of the study.
        encoding: of recordings, which are binned with it.
        repeat: 0 of the search; see ``Trial.repeat``.

    Raises:
        ConfigError: data are missing, damaged or fewer than asked for; the message says what to put where.
    """
    part = _read(dataset, encoding, "train")
    train, held = _split(dataset, part.y, seed)
    if repeat:
        train, held = _split_again(dataset, part.y, np.concatenate([train, held]), seed, repeat)
    return _as_split(part, part, train, held, _n_classes(dataset, part))


def load_final(dataset: DatasetSettings, seed: int, encoding: EncodingSettings | None = None) -> Split:
    """What a final training is made of: all training data, and test data that no trial of the search has seen.

    Most data sets have an official test set. Of one that has none, the search's training and held-out samples are
    trained on, and the samples that its split left untouched are the test.

    Args:
        dataset: of the search.
        seed: of the search.
        encoding: of recordings, which are binned with it.

    Returns:
        The test data in the place of the held-out ones.

    Raises:
        ConfigError: as ``load``, or nothing is left to test on.
    """
    part = _read(dataset, encoding, "train")
    if has_test(dataset.model_dump()):
        return _tested_officially(dataset, part, _read(dataset, encoding, "test"))
    touched = np.zeros(len(part.y), dtype=bool)
    touched[np.concatenate(_split(dataset, part.y, seed))] = True
    if touched.all():
        raise ConfigError(
            f"trainer.dataset: the search trained or scored on all {len(part.y)} samples of {dataset.name}: "
            "none is left to test on"
        )
    train, test = np.flatnonzero(touched), np.flatnonzero(~touched)
    return _as_split(part, part, train, test, _n_classes(dataset, part))


def _tested_officially(dataset: DatasetSettings, train: Part, test: Part) -> Split:
    n_classes = _n_classes(dataset, train)
    refuse_unlike(train, test, n_classes)
    return _as_split(train, test, np.arange(len(train.y)), np.arange(len(test.y)), n_classes)


def refuse_labels(dataset: DatasetSettings, split: Split, objective: str) -> None:
    """Raise unless the labels are what is scored: classes, or the numbers of a regression.

    Raises:
        ConfigError: names the function that gave them.
    """
    are_numbers = split.train_y.ndim == 2
    if are_numbers and objective != R2:
        raise ConfigError(
            f"trainer.dataset.function: {dataset.function} gives labels that are numbers (floats). Classes are "
            f"integers; a regression needs trainer: torch with the loss mean_square or last_mean_square, and "
            f"objectives: [{R2}]"
        )
    if objective == R2 and not are_numbers:
        raise ConfigError(
            f"trainer.dataset: {dataset.function or dataset.name} gives labels that are classes (integers), and the "
            "loss of a regression needs numbers (floats)"
        )


def refuse_unlike(train: Part, test: Part, n_classes: int) -> None:
    """Raise unless what is learnt from one part can be tested on the other.

    Raises:
        ConfigError: names the test part's file, and what is unlike.
    """
    images, *labels = (source.path for source in test.sources)
    if train.x.shape[1:] != test.x.shape[1:]:
        sizes = [" x ".join(map(str, part.x.shape[1:])) for part in (test, train)]
        raise ConfigError(f"{images}: samples of {sizes[0]}, those of {train.sources[0].path} are {sizes[1]}")
    if train.y.shape[1:] != test.y.shape[1:]:
        raise ConfigError(f"{images}: its labels are of another kind than those of {train.sources[0].path}")
    if test.y.ndim == 1 and (foreign := test.y >= n_classes).any():
        index = int(foreign.argmax())
        raise ConfigError(
            f"{(labels or [images])[0]}: the label of sample {index} is {test.y[index]}, the training labels are "
            f"0 to {n_classes - 1}"
        )
    if train.sources[0].sha256 == test.sources[0].sha256:
        log.warning("%s: the test samples are the training samples", images)


def _read(dataset: DatasetSettings, encoding: EncodingSettings | None, part: str) -> Part:
    """All samples of the training or the official test part."""
    try:
        kind = DATASETS[dataset.name].kind
        if kind == "images":
            return read_staged(dataset.name, data_folder(dataset), part)
        assert encoding is not None
        if kind == "own":
            return read_own(dataset, encoding, part)
        return read_binned(dataset.name, data_folder(dataset), encoding, part)
    except OSError as error:  # a folder that may not be entered, a file server that is gone
        raise ConfigError(f"{error.filename or dataset.name}: {error.strerror or error}") from error


def _as_split(train: Part, held: Part, train_rows: Indices, held_rows: Indices, n_classes: int) -> Split:
    """Rows of one or two parts."""
    sources = train.sources if held is train else (*train.sources, *held.sources)
    train_x, held_x = Rows(train.x, train_rows), Rows(held.x, held_rows)
    return Split(train_x, train.y[train_rows], held_x, held.y[held_rows], n_classes, sources)


def _n_classes(dataset: DatasetSettings, part: Part) -> int:
    """K, of the whole set if it is known, as a part of it may lack some; of a regression the numbers of a sample."""
    if part.y.ndim == 2:
        return int(part.y.shape[1])
    return DATASETS[dataset.name].n_classes or int(part.y.max()) + 1


def _split(dataset: DatasetSettings, y: Indices, seed: int) -> tuple[Indices, Indices]:
    wanted = dataset.train + dataset.held_out
    if wanted > len(y):
        raise ConfigError(
            f"trainer.dataset.train: {dataset.train} training and {dataset.held_out} held-out samples were asked for, "
            f"{dataset.function or dataset.name} has {len(y)} in all"
        )
    return stratified_split(_strata(y), dataset.train, dataset.held_out, seed)


def _split_again(
    dataset: DatasetSettings, y: Indices, of_search: Indices, seed: int, repeat: int
) -> tuple[Indices, Indices]:
    rows = np.arange(len(y)) if has_test(dataset.model_dump()) else np.sort(of_search)
    train, held = stratified_split(_strata(y)[rows], dataset.train, dataset.held_out, seed, repeat)
    return rows[train], rows[held]


def _strata(y: NDArray[Any]) -> Indices:
    """What each part has an equal share of: the classes; of a regression nothing."""
    return y if y.ndim == 1 else np.zeros(len(y), np.int64)
