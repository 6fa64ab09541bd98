"""Where the files of a data set lie."""

from __future__ import annotations

import os
import re
from pathlib import Path

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.errors import ConfigError


def data_folder(dataset: DatasetSettings) -> Path:
    """The folder of a data set, environment variables filled in.

    Raises:
        ConfigError: none is given, a variable is not set, or there is no such folder.
    """
    if dataset.path is None:
        raise ConfigError(f"trainer.dataset.path: {dataset.name} needs the folder of its files")
    expanded = os.path.expandvars(dataset.path)
    if unset := re.search(r"\$\{?\w+", expanded):
        raise ConfigError(
            f"trainer.dataset.path: {dataset.path}: the variable {unset.group()} is not set; it names the folder of "
            f"your data sets (snnhpo data list tells what belongs there)"
        )
    return folder_at(expanded, "trainer.dataset.path")


def folder_at(path: str, named_by: str) -> Path:
    """A folder of the user's.

    Args:
        path: may begin with ``~``.
        named_by: key, option or variable that names it, for the message.

    Raises:
        ConfigError: there is no such folder.
    """
    folder = expanded_user(path, named_by)
    try:
        if folder.is_dir():
            return folder
    except OSError as error:  # a name that is too long, a folder above it that may not be entered
        raise ConfigError(f"{named_by}: {path[:200]}: {error.strerror}") from error
    raise ConfigError(f"{named_by}: there is no folder {folder}")


def expanded_user(path: str, named_by: str) -> Path:
    """The path with a home folder in the place of ``~``.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{named_by}: {path}: the home folder of this user is not known") from error


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
