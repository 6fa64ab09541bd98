"""Something of the user's own that a configuration names: ``package.module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

from typing import Any

from snnhpo_mpi.config import expanded
from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.host.user_code import import_file, import_module


def user_code(target: str, key: str) -> Any:
    """What the target names, both forms as seen from the working folder.

    Args:
        target: as the configuration has it.
        key: of the configuration, for messages.

    Raises:
        ConfigError: it is not there, or its module raises.
    """
    source, _, name = target.rpartition(":")
    try:
        module = import_file(expanded(source, key), key) if source.endswith(".py") else import_module(source, key)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ConfigError(f"{key}: importing {target} failed: {said(error)}") from error
    if not hasattr(module, name):
        raise ConfigError(f"{key}: {source} has no {name}")
    return getattr(module, name)
