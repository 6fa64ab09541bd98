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
    expanded = os.path.expandvars(Path(dataset.path).expanduser())
    if unset := re.search(r"\$\{?\w+", expanded):
        raise ConfigError(
            f"trainer.dataset.path: {dataset.path}: the variable {unset.group()} is not set; it names the folder of "
            f"your data sets (snnhpo data list tells what belongs there)"
        )
    if not Path(expanded).is_dir():
        raise ConfigError(f"trainer.dataset.path: there is no folder {expanded}")
    return Path(expanded)
