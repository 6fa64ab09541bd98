"""Where the files of a data set lie."""

from __future__ import annotations

from pathlib import Path

from snnhpo_mpi.config import DatasetSettings, expanded
from snnhpo_mpi.errors import ConfigError


def data_folder(dataset: DatasetSettings) -> Path:
    """The folder of a data set, environment variables filled in.

    Raises:
        ConfigError: none is given, a variable is not set, or there is no such folder.
    """
    if dataset.path is None:
        raise ConfigError(f"trainer.dataset.path: {dataset.name} needs the folder of its files")
    try:
        return folder_at(dataset.path, "trainer.dataset.path")
    except ConfigError as error:
        raise ConfigError(f"{error}; it names the folder of your data sets (see snnhpo data list)") from None


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
