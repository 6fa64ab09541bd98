"""Something of the user's own that a configuration names: ``package.module:name`` or ``path/to/file.py:name``."""

from __future__ import annotations

from typing import Any

from snnhpo_mpi.config import function_file
from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.host.user_code import named


def user_code(target: str, key: str, kind: str = "") -> Any:
    """What the target names, both forms as seen from the working folder.

    Args:
        target: as the configuration has it.
        key: of the configuration, for messages.
        kind: see ``host.user_code.named``.

    Raises:
        ConfigError: it is not there, or its module raises.
    """
    try:
        return named(target, function_file(target, key), key, kind)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ConfigError(f"{key}: importing {target} failed: {said(error)}") from error
