"""Imports code of the user's: a file, or a module as seen from the working folder. Whatever it raises is passed on."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from snnhpo_mpi.errors import ConfigError


def named(target: str, file: Path | None, key: str, kind: str = "") -> Any:
    """What ``package.module:name`` or ``path/to/file.py:name`` names, both as seen from the working folder.

    Args:
        target: names it.
        file: of the second form (``config.function_file``).
        key: of the configuration that has the target, for messages.
        kind: what it must be, such as function or class, which can be called; anything by default.

    Raises:
        ConfigError: it is not there, or cannot be called. What the import itself raises is passed on.
    """
    source, _, name = target.rpartition(":")
    module = import_file(file, key) if file else import_module(source, key)
    found = getattr(module, name, None)
    if found is None or (kind and not callable(found)):
        raise ConfigError(f"{key}: {source} has no {f'{kind} {name}'.lstrip()}")
    return found


def import_file(path: Path, key: str) -> ModuleType:
    """The module of a file, which can import its neighbours; run once, however often it is asked for.

    Args:
        path: of the file.
        key: or option that named it, for the message.

    Raises:
        ConfigError: there is no such file. What the import itself raises is passed on.
    """
    if not path.is_file():
        raise ConfigError(f"{key}: there is no file {path} (seen from {Path.cwd()})")
    if (folder := str(path.parent.resolve())) not in sys.path:
        sys.path.insert(0, folder)  # so that the file can import its neighbours
    name = f"user_function_{path.stem}"  # never the name of another module
    written = path.stat().st_mtime_ns
    known = sys.modules.get(name)
    if known is not None and (known.__file__, getattr(known, "_written", None)) == (str(path.resolve()), written):
        return known  # of a class that was made twice, the one is no instance of the other
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    vars(module)["_written"] = written
    return module


def import_module(name: str, key: str) -> ModuleType:
    """A module, also of the working folder.

    Raises:
        ConfigError: there is none of this name. What the import itself raises is passed on.
    """
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"{key}: there is no module {name} (seen from {Path.cwd()})") from error
        raise
