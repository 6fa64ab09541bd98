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
        folder = expanded(dataset.path, "trainer.dataset.path")
    except ConfigError as error:
        raise ConfigError(f"{error}; it names the folder of your data sets (see snnhpo data list)") from None
    if not folder.is_dir():
        raise ConfigError(f"trainer.dataset.path: there is no folder {folder}")
    return folder
