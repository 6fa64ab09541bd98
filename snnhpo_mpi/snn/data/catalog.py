"""``snnhpo data``: which data sets there are, whether they are here and whole, and their download on a login node."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

import numpy as np

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.extras import absent
from snnhpo_mpi.snn.data import refuse_unlike
from snnhpo_mpi.snn.data.folder import find, part_files
from snnhpo_mpi.snn.data.images import read_images
from snnhpo_mpi.snn.data.part import NOT_PUBLISHED, Part
from snnhpo_mpi.snn.data.recordings import recordings
from snnhpo_mpi.snn.data.recordings_source import Copies, source_of


def overview(root: Path | None) -> Iterator[str]:
    """A line for each data set: its name, what it is, and what of it is below ``root``."""
    for name, row in DATASETS.items():
        yield f"{name:<14} {row.what:<66} {_presence(name, root)}"


def _presence(name: str, root: Path | None) -> str:
    row = DATASETS[name]
    if row.kind == "own":
        return "in a configuration: dataset: {name: python, function: ...}"
    try:
        if row.package:
            return f"here ({len(read_images(name, Path(), 'train').y):,} samples)"
        if root is None:
            return "SNNHPO_DATA is not set"
        find(name, root, row.parts["train"][0])
    except (ConfigError, OSError):
        return f"not below {root}"
    try:
        return f"here {_what_is_there(name, root)}"
    except (ConfigError, OSError) as error:
        return f"cannot be used: {error}"


def _what_is_there(name: str, root: Path) -> str:
    if DATASETS[name].kind == "recordings":
        n, n_published = len(recordings(name, root, "train")), DATASETS[name].n_published["train"]
        return f"({n:,} training recordings)" + ("" if n == n_published else f", {NOT_PUBLISHED}")
    sources = read_images(name, root, "train").sources
    odd = [source for source in sources if source.note == NOT_PUBLISHED]
    return f"({sources[0].path})" + (f", {NOT_PUBLISHED}" if odd else "")


def verify(name: str, root: Path) -> Iterator[str]:
    """Read every sample of all parts of a data set; lines for each part and for the files that were read.

    Raises:
        ConfigError: the first file that is missing or damaged, or a test part that does not fit the training part.
    """
    row = DATASETS[name]
    if row.package:
        part = read_images(name, root, "train")
        yield f"{name}: {len(part.y):,} samples"
        yield f"  {part.sources[0]}"
        return
    if row.kind == "recordings":
        for which in row.parts:
            yield from _verify_recordings(name, root, which)
        return
    train = read_images(name, root, "train")
    yield from _images_read(f"{name} train", train)
    if row.has_test:
        test = read_images(name, root, "test")
        refuse_unlike(train, test, int(train.y.max()) + 1)
        yield from _images_read(f"{name} test", test)


def _verify_recordings(name: str, root: Path, part: str) -> Iterator[str]:
    found, copies, n_events = recordings(name, root, part), Copies(), 0
    for recording in found:
        events = recording.read()
        copies.note(recording, events)
        n_events += len(events)
    yield f"{name} {part}: {len(found):,} recordings, {n_events:,} events, {_spread([r.label for r in found])}"
    (place,) = part_files(name, root, part)
    yield f"  {source_of(name, place, part, found, copies)}"


def _images_read(which: str, part: Part) -> Iterator[str]:
    yield f"{which}: {len(part.y):,} images of {part.x.shape[2]} x {part.x.shape[3]}, {_spread(part.y.tolist())}"
    for source in part.sources:
        yield f"  {source}"


def _spread(labels: list[int]) -> str:
    counts = np.bincount(labels)
    return f"{np.count_nonzero(counts)} classes of {counts[counts > 0].min():,} to {counts.max():,}"


def fetch(name: str, root: Path) -> None:
    """Download a data set through torchvision or tonic; what comes with an installed package is here already.

    Raises:
        ConfigError: it cannot be downloaded here.
    """
    row = DATASETS[name]
    if row.package:
        read_images(name, root, "train")
        return
    if row.download is None:
        raise ConfigError(f"{name} cannot be downloaded: copy its files to {root}")
    library, kind = row.download
    try:
        root.mkdir(parents=True, exist_ok=True)
        with redirect_stdout(io.StringIO()):  # both print; what we say goes to the terminal by itself
            dataset = getattr(import_module(f"{library}.datasets"), kind)
            for is_train in (True, False):
                if library == "torchvision":
                    dataset(str(root), train=is_train, download=True)
                else:
                    dataset(save_to=str(root), train=is_train)
    except ImportError as error:
        raise ConfigError(absent(error, f"data fetch {name}") or f"{name}: {error}") from error
    except Exception as error:  # urllib, ssl, checksum and archive errors, and tonic's own
        raise ConfigError(
            f"{name} cannot be downloaded here: {type(error).__name__}: {error}. Without internet, fetch it on a "
            f"machine that has it and copy the folder to {root}"
        ) from error
