"""What is installed only where it is asked for: ``pip install 'snnhpo_mpi[EXTRA]'``, and what is said where it is not.

The table is that of ``pyproject.toml``; a search on one's own function or module needs none of it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from types import MappingProxyType

from snnhpo_mpi.errors import ConfigError

EXTRAS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "stdp": ("numba", "sklearn"),
        "bindsnet": ("bindsnet",),
        "library": ("botorch", "gpytorch"),
        "data": ("mlxtend", "torchvision"),
        "events": ("tonic",),
        "figures": ("matplotlib", "plotly", "jinja2", "sklearn"),
        "optuna": ("optuna", "greenlet"),
        "export": ("pandas", "pyarrow"),
        "tensorboard": ("tensorboardX",),
        "libraries": ("snntorch", "spikingjelly", "norse"),
        "nir": ("nir",),
        "bench": ("cocoex", "cma", "pandas", "sklearn"),
    }
)
"""Extra -> the modules of the packages that it installs."""
LAVA = "pip install --no-deps --ignore-requires-python lava-dl==0.6.0"  # its metadata pins an old Python and torch


def require(module: str, what: str, extra: str | None = None) -> None:
    """Raise unless a module is installed.

    Args:
        module: its name; nothing of it is run.
        what: needs it, for the message.
        extra: that installs it; by default the first in the table.

    Raises:
        ConfigError: it is not; names the extra and the command.
    """
    if importlib.util.find_spec(module) is None:
        raise ConfigError(said_absent(module, what, extra))


def absent(error: ImportError, what: str = "this") -> str | None:
    """What is said of an import that failed as an extra is not installed; None of any other."""
    module = (error.name or "").partition(".")[0]
    known = module == "lava" or any(module in modules for modules in EXTRAS.values())
    return said_absent(module, what) if isinstance(error, ModuleNotFoundError) and known else None


def said_absent(module: str, what: str, extra: str | None = None) -> str:
    """The message: what needs the package, and the command that installs it."""
    if extra is None:
        extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    command = LAVA if module == "lava" else f"pip install 'snnhpo_mpi[{extra}]'"
    return f"{what} needs the package {module}, which is not installed: {command}"
