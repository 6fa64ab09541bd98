"""Texts of a configuration that name something outside of it: paths, functions, networks."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.losses import LOSSES

MAX_PATH_BYTES, MAX_NAME_BYTES = 4095, 255  # of Linux: PATH_MAX without its end, NAME_MAX
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def path_text(text: str) -> str:
    """A path as written, if a file can have it.

    Raises:
        ValueError: empty, too long, or with characters that no path has.
    """
    if not text.strip():
        raise ValueError("a path is needed")
    if "\0" in text:
        raise ValueError("a path without the character NUL is needed")
    if len(text.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"a path of at most {MAX_PATH_BYTES} bytes is needed, this one has {len(text.encode())}")
    if (longest := max(len(name.encode()) for name in text.split("/"))) > MAX_NAME_BYTES:
        raise ValueError(f"names in a path have at most {MAX_NAME_BYTES} bytes, one of these has {longest}")
    return text


def expanded(text: str, key: str) -> Path:
    """A path of the configuration, with ``~`` and environment variables filled in.

    Args:
        text: as written.
        key: of the configuration, for messages.

    Raises:
        ConfigError: a variable is not set, there is no such user, or no file can have that path.
    """
    path = os.path.expandvars(text)
    if unset := re.search(r"\$\{?\w+", path):
        raise ConfigError(f"{key}: {text}: the variable {unset.group()} is not set")
    try:
        return Path(path_text(path)).expanduser()
    except RuntimeError:
        raise ConfigError(f"{key}: {text}: the home folder of {path.split('/')[0]} is not known") from None
    except ValueError as error:
        raise ConfigError(f"{key}: {text[:60]}: {error}") from None


def function_file(target: str, key: str) -> Path | None:
    """The file of a ``path/to/file.py:function`` target, None for ``package.module:function``.

    Args:
        target: as the configuration has it.
        key: of the configuration, for messages.

    Raises:
        ConfigError: no file can have that path here.
    """
    source, _, _ = target.rpartition(":")
    return expanded(source, key) if source.endswith(".py") else None


def function_target(text: str) -> str:
    """``package.module:function`` or ``path/to/file.py:function``, as written.

    Raises:
        ValueError: it is neither.
    """
    source, colon, name = text.rpartition(":")
    if not colon or not source or not name:
        raise ValueError("package.module:function or path/to/file.py:function is needed")
    if source.endswith(".py"):
        path_text(source)
    elif not _MODULE.fullmatch(source):
        raise ValueError(f"{source!r} is neither a file that ends in .py nor a module such as package.module")
    if "." in name and _MODULE.fullmatch(name):
        raise ValueError(f"{name} lies inside of something else: a function of the module itself is needed")
    if not name.isidentifier():
        raise ValueError(f"{name!r} cannot be the name of a function")
    return text


def loss_name(text: str) -> str:
    """A loss of ours, or a function of the user's, as written.

    Raises:
        ValueError: it is neither.
    """
    if text in LOSSES:
        return text
    if ":" in text:
        return function_target(text)
    near = difflib.get_close_matches(text, LOSSES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise ValueError(f"{', '.join(LOSSES)}, or a function as path/to/file.py:function is needed{hint}")
