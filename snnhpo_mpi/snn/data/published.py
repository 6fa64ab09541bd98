"""Which published file a file is, by the checksum of its content: MNIST and Fashion-MNIST use the same file names.

Sources: LeCun, Cortes & Burges, The MNIST database; Xiao, Rasul & Vollgraf 2017 (Fashion-MNIST). The checksums are
SHA-256 of the uncompressed files: a gzip file differs with the program that wrote it.
"""

from __future__ import annotations

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.part import NOT_PUBLISHED

CONTENTS = {
    "train-images-idx3-ubyte": "training images",
    "train-labels-idx1-ubyte": "training labels",
    "t10k-images-idx3-ubyte": "test images",
    "t10k-labels-idx1-ubyte": "test labels",
}
_SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion_mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
_KNOWN = {
    sha256: (name, what) for name, sums in _SHA256.items() for what, sha256 in zip(CONTENTS.values(), sums, strict=True)
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
