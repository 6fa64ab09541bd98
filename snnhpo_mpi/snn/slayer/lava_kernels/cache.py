"""Where compiled kernels are, and how a rank takes them into use.

A library lies in ``<root>/<kernel>-torch<version>-cuda<version>-sm_<architecture>-<digest of its source>/``; it is
built elsewhere and then renamed to there, so that what is there is whole.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from snnhpo_mpi.errors import ConfigError

log = logging.getLogger(__name__)
CACHE_VARIABLE = "SNNHPO_KERNELS"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A CUDA source of lava-dl.

    Attributes:
        name: its file's, and the one of our extension; lava-dl's own is ``dynamics`` for five of them.
        module: of ``lava.lib.dl.slayer``, whose class ``Accelerated`` holds the extension in ``module``.
    """

    name: str
    module: str

    @property
    def source(self) -> Path:
        """The file in the installed lava-dl.

        Raises:
            ConfigError: lava-dl is not installed, or not the version we know.
        """
        spec = importlib.util.find_spec("lava")
        for folder in spec.submodule_search_locations or () if spec else ():
            path = Path(folder, "lib", "dl", "slayer", *self.module.split(".")[:-1], f"{self.name}.cu")
            if path.is_file():
                return path
        raise ConfigError(
            f"lava-dl's {self.name}.cu is not installed: see docs/clusters.md for how to install lava-dl 0.6.0"
        )

    @property
    def extension(self) -> str:
        """Name of the compiled Python module."""
        return f"snnhpo_{self.name}"


# Dynamics of adaptive leaky integrate-and-fire neurons, and axonal delays: all that our networks take of lava-dl's
# kernels. By itself it compiles them for sm_80 only, on newer GPUs too, which cannot run that.
NEEDED = (
    Kernel("leaky_integrator", "neuron.dynamics.leaky_integrator"),
    Kernel("adaptive_threshold", "neuron.dynamics.adaptive_threshold"),
    Kernel("shift", "utils.time.shift"),
)


def root(environment: Mapping[str, str] = os.environ) -> Path:
    """The cache: SNNHPO_KERNELS, else beside the installed packages, which all nodes see; never the home folder."""
    given = environment.get(CACHE_VARIABLE)
    return Path(given) if given else Path(sys.prefix) / "share" / "snnhpo" / "kernels"


def folder_of(kernel: Kernel, architecture: int) -> Path:
    """Where the library of a kernel for an architecture (90 for sm_90) belongs, with this torch and this source."""
    digest = hashlib.sha256(kernel.source.read_bytes()).hexdigest()[:12]
    built_with = f"torch{torch.__version__}-cuda{torch.version.cuda or 'none'}"
    return root() / f"{kernel.name}-{built_with}-sm_{architecture}-{digest}"


def find(kernel: Kernel, architecture: int) -> Path | None:
    """A library that runs on this architecture: its own, or that of an earlier one of the same generation."""
    for candidate in range(architecture, architecture // 10 * 10 - 1, -1):
        library = folder_of(kernel, candidate) / f"{kernel.extension}.so"
        if library.is_file():
            return library
    return None


def use_kernels(device: str) -> None:
    """Let lava-dl's neurons use the compiled kernels; on a CPU there is nothing to do.

    Raises:
        ConfigError: a kernel is not built for this GPU; the message says what to run.
    """
    name = torch.device(device)
    if name.type != "cuda":
        return
    major, minor = torch.cuda.get_device_capability(name)
    architecture = 10 * major + minor
    for kernel in NEEDED:
        library = find(kernel, architecture)
        if library is None:
            raise ConfigError(
                f"lava-dl's CUDA kernel {kernel.name} is not built for this GPU ({torch.cuda.get_device_name(name)}, "
                f"sm_{architecture}), torch {torch.__version__} and CUDA {torch.version.cuda} in {root()}: "
                f"run once, before the job:  snnhpo kernels build --arch {architecture}"
            )
        _accelerated(kernel).module = load(kernel, library)
        log.info("kernel %s from %s", kernel.name, library)


def load(kernel: Kernel, library: Path) -> ModuleType:
    """Import a compiled kernel; ``torch`` has loaded the libraries that it needs."""
    spec = importlib.util.spec_from_file_location(kernel.extension, library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _accelerated(kernel: Kernel) -> Any:
    """The class in lava-dl that keeps the extension once it is there, and would build it otherwise."""
    return importlib.import_module(f"lava.lib.dl.slayer.{kernel.module}").Accelerated


def parse_architecture(text: str) -> int:
    """``90``, ``9.0`` or ``sm_90`` -> 90.

    Raises:
        ConfigError: none of these.
    """
    if found := re.fullmatch(r"(?:sm_|compute_)?(\d{1,2})\.?(\d)", text):
        return int(found[1] + found[2])
    raise ConfigError(f"{text!r} is no GPU architecture: 70, 80, 90, 9.0 or sm_90 is needed (V100, A100, H100)")
