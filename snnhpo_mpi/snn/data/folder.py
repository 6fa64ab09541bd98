"""Where the files of a data set lie."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from snnhpo_mpi.config import DatasetSettings, expanded
from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.extras import require


def data_folder(dataset: DatasetSettings) -> Path:
    """The folder of a data set, environment variables filled in.

    Raises:
        ConfigError: none is given, a variable is not set, there is no such folder, or a package is not installed.
    """
    if DATASETS[dataset.name].package:
        return package_folder(dataset.name)
    if dataset.path is None:
        raise ConfigError(f"trainer.dataset.path: {dataset.name} needs the folder of its files")
    try:
        return folder_at(dataset.path, "trainer.dataset.path")
    except ConfigError as error:
        raise ConfigError(f"{error}; it names the folder of your data sets (see snnhpo data list)") from None


def package_folder(name: str) -> Path:
    """The folder of the package that ships a data set.

    Raises:
        ConfigError: it is not installed.
    """
    package = DATASETS[name].package
    assert package is not None
    require(package, f"trainer.dataset.name: {name}")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{name} comes with the package {package}, which is damaged: install it anew")
    return Path(next(iter(spec.submodule_search_locations)))


def folder_at(path: str, named_by: str) -> Path:
    """A folder of the user's.

    Args:
        path: may begin with ``~`` and hold environment variables.
        named_by: key, option or variable that names it, for the message.

    Raises:
        ConfigError: there is no such folder.
    """
    folder = expanded(path, named_by)
    try:
        if folder.is_dir():
            return folder
    except OSError as error:  # a folder above it that may not be entered
        raise ConfigError(f"{named_by}: {path[:200]}: {error.strerror}") from error
    raise ConfigError(f"{named_by}: there is no folder {folder}")


def part_files(name: str, root: Path, part: str) -> list[Path]:
    """The files, or the folder, of a part.

    Args:
        name: of the data set.
        root: its folder; of no meaning where a package ships it.
        part: train or test.

    Raises:
        ConfigError: as ``find``, or a package is not installed.
    """
    row = DATASETS[name]
    root = package_folder(name) if row.package else root
    return [find(name, root, wanted) for wanted in row.parts[part]]


def find(name: str, root: Path, wanted: str) -> Path:
    """One of the data set's files or folders, in any of the folders where it is usual.

    Raises:
        ConfigError: it is not there; the message says what to put where.
    """
    row = DATASETS[name]
    for folder in row.folders:
        for suffix in row.suffixes:
            if is_there(file := root / folder / f"{wanted}{suffix}"):
                return file
    usual = row.folders[0]
    needed = f"{usual}/{wanted} is needed here"
    if len(row.suffixes) > 1:
        needed = f"{wanted} (or {wanted}{row.suffixes[1]}) is needed here or in {usual}"
    if row.download is None:
        raise ConfigError(f"{root}: {needed}")
    raise ConfigError(
        f"{root}: {needed}, as {row.download[0]} lays it out: snnhpo data fetch {name} (where there is internet), or "
        "copy it there"
    )


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder.

    Raises:
        ConfigError: it is a symbolic link to something that is not there.
    """
    if path.exists():
        return True
    if path.is_symlink():
        raise ConfigError(f"{path}: is a symbolic link to {path.readlink()}, which is not there")
    return False
