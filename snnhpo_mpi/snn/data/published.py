"""Which published file a file is, by the checksum of its content: MNIST and Fashion-MNIST use the same file names.

The checksums are SHA-256 of the uncompressed files: a gzip file differs with the program that wrote it.
"""

from __future__ import annotations

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.part import NOT_PUBLISHED

CONTENTS = {
    "train-images-idx3-ubyte": "training images",
    "train-labels-idx1-ubyte": "training labels",
    "t10k-images-idx3-ubyte": "test images",
    "t10k-labels-idx1-ubyte": "test labels",
}
_KNOWN = {
    sha256: (name, what)
    for name, row in DATASETS.items()
    for what, sha256 in zip(CONTENTS.values(), row.sha256, strict=False)  # of other data sets no checksum is known
}


def note_of(path: str, name: str, file_name: str, sha256: str) -> str:
    """What to say about a file of MNIST or Fashion-MNIST: whether it is the published one.

    Args:
        path: where it is, for the message.
        name: of the data set that it is to be part of.
        file_name: its usual name, without ``.gz``.
        sha256: of its content.

    Raises:
        ConfigError: it is another published file, of the other data set or of the other part.
    """
    wanted = name, CONTENTS[file_name]
    known = _KNOWN.get(sha256)
    if known is None:
        return NOT_PUBLISHED
    if known != wanted:
        raise ConfigError(
            f"{path}: holds the {known[1]} of {known[0]} (known by their checksum), not the {wanted[1]} of {name}"
        )
    return "the published file"
