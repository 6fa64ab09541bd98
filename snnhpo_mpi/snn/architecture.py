"""Anybody's own network for the ``slayer`` trainer, named in the configuration as ``package.module:Class``.

The class is a ``torch.nn.Module``. It is called as ``Class(input_shape, n_classes, params, monitored)``:

    input_shape   (C, H, W) of a sample after encoding
    n_classes     K
    params        every hyperparameter by its name: the searched, the fixed, and the defaults of the class and trainer
    monitored     names of the layers that the configuration's monitors watch

and must have, for the configuration to be checked against:

    HYPERPARAMETERS   mapping of the names that it takes to their defaults, besides the trainer's own (``LEARNER``)
    LAYERS            names of the layers that it can count

``forward(spikes)`` takes ``B x T x C x H x W`` of 0 and 1, and returns the output ``B x T x K`` and a mapping from each
monitored layer to the spikes of each sample in it, ``B``. Its weights must be drawn from torch's own generator.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from snnhpo_mpi.config import SlayerSettings, StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.parameters import LEARNER
from snnhpo_mpi.trial import Params

Architecture = Callable[[tuple[int, int, int], int, Params, tuple[str, ...]], torch.nn.Module]


def load_architecture(name: str) -> Architecture:
    """The class ``package.module:Class``, also of a module in the working folder.

    Raises:
        ConfigError: it cannot be imported, or lacks what is asked of it.
    """
    module_name, _, class_name = name.partition(":")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # the user's module may raise anything
        raise ConfigError(f"trainer.network: {name} cannot be imported: {type(error).__name__}: {error}") from error
    lacking = [part for part in ("HYPERPARAMETERS", "LAYERS", "forward") if not hasattr(found, part)]
    if not isinstance(found, type) or not issubclass(found, torch.nn.Module) or lacking:
        raise ConfigError(
            f"trainer.network: {name} must be a torch.nn.Module with HYPERPARAMETERS, LAYERS and forward"
            + (f"; {', '.join(lacking)} is missing" if lacking else "")
        )
    architecture: Architecture = found
    return architecture


def own_defaults(name: str) -> dict[str, Any]:
    """The hyperparameters' defaults of a class ``package.module:Class``."""
    found: Any = load_architecture(name)
    return dict(found.HYPERPARAMETERS)


def check_architecture(config: StudyConfig) -> None:
    """What a configuration asks of an architecture that is not ours.

    Raises:
        ConfigError: a hyperparameter or a monitored layer that the class does not have.
    """
    assert isinstance(config.trainer, SlayerSettings)
    found: Any = load_architecture(config.trainer.network)
    if faults := list(_faults(config, found.HYPERPARAMETERS, tuple(found.LAYERS))):
        raise ConfigError(f"{config.trainer.network}: " + "; ".join(faults))


def _faults(config: StudyConfig, takes: Mapping[str, Any], layers: tuple[str, ...]) -> Iterator[str]:
    allowed = sorted({*takes, *LEARNER})
    for section, names in (("fixed", config.fixed), ("space", config.space)):
        for name in names:
            if name not in allowed:
                yield f"{section}.{name} is not one of its hyperparameters; allowed: {', '.join(allowed)}"
    for index, monitor in enumerate(config.stopping):
        if monitor.layer not in layers:
            yield f"stopping.{index}.layer: {monitor.layer!r} is not monitored; allowed: {', '.join(layers)}"
