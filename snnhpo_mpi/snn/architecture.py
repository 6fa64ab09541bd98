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
monitored layer to the spikes of each sample in it, ``B``. The output must carry a gradient to the parameters, which
must be drawn from torch's own generator. In ``eval`` mode the same spikes must give the same output.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import snnhpo_mpi.snn.lava_network  # noqa: F401  # lava-dl prints when it is first imported: not in a user's module
from snnhpo_mpi.config import CategoricalParameter, SlayerSettings, StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.parameters import LEARNER, defaults
from snnhpo_mpi.trial import Params

Shape = tuple[int, int, int]
Architecture = Callable[[Shape, int, Params, tuple[str, ...]], torch.nn.Module]
N_TRIED = 2  # silent samples shown to a network before the first trial


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
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ConfigError(f"trainer.network: {name} cannot be imported: {_said(error)}") from error
    if not isinstance(found, type) or not issubclass(found, torch.nn.Module):
        raise ConfigError(f"trainer.network: {name} must be a class, and a torch.nn.Module")
    if not isinstance(getattr(found, "HYPERPARAMETERS", None), Mapping):
        raise ConfigError(f"trainer.network: {name} needs HYPERPARAMETERS, a mapping of names to defaults")
    if not isinstance(getattr(found, "LAYERS", None), tuple | list):
        raise ConfigError(f"trainer.network: {name} needs LAYERS, a tuple of names")
    architecture: Architecture = found
    return architecture


def own_defaults(name: str) -> dict[str, Any]:
    """The hyperparameters' defaults of a class ``package.module:Class``."""
    found: Any = load_architecture(name)
    return dict(found.HYPERPARAMETERS)


def check_architecture(config: StudyConfig, shape: Shape, n_classes: int) -> None:
    """Compare an architecture that is not ours with its configuration, build one, and show it silent samples.

    Args:
        config: a study whose network is ``package.module:Class``.
        shape: ``C x H x W`` of an encoded sample.
        n_classes: K.

    Raises:
        ConfigError: a hyperparameter or a monitored layer that the class does not have; it cannot be built or run with
            the lowest value of everything that is searched, or returns something else than the contract says.
    """
    assert isinstance(config.trainer, SlayerSettings)
    name = config.trainer.network
    found: Any = load_architecture(name)
    if faults := list(_faults(config, found.HYPERPARAMETERS, tuple(found.LAYERS))):
        raise ConfigError(f"{name}: " + "; ".join(faults))
    params = {**found.HYPERPARAMETERS, **defaults("slayer", name), **config.fixed, **_lowest(config)}
    layers = tuple(monitor.layer for monitor in config.stopping)
    sizes = N_TRIED, config.trainer.encoding.steps, n_classes
    try:
        network = found(shape, n_classes, params, layers)
        returned = network(torch.zeros(*sizes[:2], *shape))
    except (Exception, SystemExit) as error:
        values = ", ".join(f"{key}={value}" for key, value in params.items())
        raise ConfigError(f"{name} with {values} raised {_said(error)}") from error
    if fault := _unlike_contract(returned, sizes, layers):
        raise ConfigError(f"{name}: forward must return the output and a mapping of counts; {fault}")


def _faults(config: StudyConfig, takes: Mapping[str, Any], layers: tuple[str, ...]) -> Iterator[str]:
    allowed = sorted({*takes, *LEARNER})
    for section, names in (("fixed", config.fixed), ("space", config.space)):
        for name in names:
            if name not in allowed:
                yield f"{section}.{name} is not one of its hyperparameters; allowed: {', '.join(allowed)}"
    for index, monitor in enumerate(config.stopping):
        if monitor.layer not in layers:
            yield f"stopping.{index}.layer: {monitor.layer!r} is not monitored; allowed: {', '.join(layers)}"


def _lowest(config: StudyConfig) -> Params:
    return {
        name: parameter.choices[0] if isinstance(parameter, CategoricalParameter) else parameter.low
        for name, parameter in config.space.items()
    }


def _unlike_contract(returned: Any, sizes: tuple[int, int, int], layers: tuple[str, ...]) -> str | None:
    """What is wrong with a network's answer to ``B`` samples of ``T`` steps and ``K`` classes (``sizes``)."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        return f"found {_kind(returned)}"
    output, counts = returned
    if not isinstance(output, Tensor) or output.shape != sizes:
        return f"the output must be B x T x K = {' x '.join(map(str, sizes))}, found {_kind(output)}"
    if not output.requires_grad:
        return "the output has no gradient: a spike must be a surrogate-gradient function of the potential"
    if not isinstance(counts, Mapping):
        return f"the counts are {_kind(counts)}"
    for layer in layers:
        if layer not in counts:
            return f"the monitored layer {layer!r} is not counted"
        if not isinstance(counts[layer], Tensor) or counts[layer].shape != sizes[:1]:
            return f"the counts of {layer!r} must be B = {sizes[0]} numbers, found {_kind(counts[layer])}"
    return None


def _kind(found: Any) -> str:
    shape = f" of {' x '.join(map(str, found.shape)) or 'one number'}" if isinstance(found, Tensor) else ""
    return f"a {type(found).__name__}{shape}"


def _said(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()
