"""Anybody's own network for the ``slayer`` trainer, named in the configuration as ``package.module:Class``.

The class is a ``torch.nn.Module``. It is called as ``Class(input_shape, n_classes, params, monitored)``:

    input_shape   (C, H, W) of a sample after encoding
    n_classes     K
    params        every hyperparameter by its name: the searched, the fixed, and the defaults of the class and trainer
    monitored     names of the layers that the configuration's monitors watch

and must have, for the configuration to be checked against:

    HYPERPARAMETERS   mapping of the names that it takes to their defaults, without the trainer's own (``LEARNER``)
    LAYERS            names of the layers that it can count

``forward(spikes)`` takes ``B x T x C x H x W`` of 0 and 1, and returns the output ``B x T x K`` and a mapping from each
monitored layer to the spikes of each sample in it, ``B``: finite, not negative, without gradient. The output must carry
a gradient to the parameters, which must be drawn from torch's own generator. In ``eval`` mode the same spikes must give
the same output. B is that of each batch: the last of an epoch may be smaller.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.config import CategoricalParameter, IntParameter, SlayerSettings, StudyConfig
from snnhpo_mpi.config.conditions import existing
from snnhpo_mpi.config.parameters import conditions
from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.hyperparameters.networks import LEARNER, defaults
from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
from snnhpo_mpi.trial import Params

Shape = tuple[int, int, int]
Architecture = Callable[[Shape, int, Params, tuple[str, ...]], torch.nn.Module]
TRAINED, SCORED = (3, 2), (3, 1)  # samples of the batches that a network is tried with before the first trial
FIRING_SHARE = 0.2  # of the inputs in a step of all but the first sample, which is silent


def load_architecture(name: str) -> Architecture:
    """The class ``package.module:Class``, also of a module in the working folder.

    Raises:
        ConfigError: it cannot be imported, or lacks what is asked of it.
    """
    module_name, _, class_name = name.partition(":")
    if importlib.util.find_spec("lava") is not None:  # it prints when it is first imported: not in a user's module
        importlib.import_module("snnhpo_mpi.snn.slayer.lava")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: Any = getattr(importlib.import_module(module_name), class_name)
    except (Exception, SystemExit) as error:  # the user's module may raise anything
        raise ConfigError(f"trainer.network: {name} cannot be imported: {said(error)}") from error
    if not isinstance(found, type) or not issubclass(found, torch.nn.Module):
        raise ConfigError(f"trainer.network: {name} must be a class, and a torch.nn.Module")
    if fault := _undeclared(found):
        raise ConfigError(f"trainer.network: {name} {fault}")
    architecture: Architecture = found
    return architecture


def _undeclared(found: Any) -> str | None:
    """What is wrong with what a class declares."""
    if not isinstance(getattr(found, "HYPERPARAMETERS", None), Mapping):
        return "needs HYPERPARAMETERS, a mapping of names to defaults"
    if not isinstance(getattr(found, "LAYERS", None), tuple | list):
        return "needs LAYERS, a tuple of names"
    for where, names in (("HYPERPARAMETERS", found.HYPERPARAMETERS), ("LAYERS", found.LAYERS)):
        if odd := [one for one in names if not isinstance(one, str)]:
            return f"needs names in {where}, found {odd[0]!r}"
    if own := [one for one in found.HYPERPARAMETERS if one in LEARNER]:
        return f"has {', '.join(own)} in HYPERPARAMETERS, which the trainer sets: give its value as fixed.{own[0]}"
    return None


def own_defaults(name: str) -> dict[str, Any]:
    """The hyperparameters' defaults of a class ``package.module:Class``."""
    found: Any = load_architecture(name)
    return dict(found.HYPERPARAMETERS)


def check_architecture(config: StudyConfig, shape: Shape, n_classes: int) -> None:
    """Compare an architecture that is not ours with its configuration, build one, and let it learn and read on the CPU.

    Args:
        config: a study whose network is ``package.module:Class``.
        shape: ``C x H x W`` of an encoded sample.
        n_classes: K.

    Raises:
        ConfigError: a hyperparameter or a monitored layer that the class does not have; it cannot be built, run or
            learn with the lowest value of everything that is searched, or returns something else than the contract
            says.
    """
    assert isinstance(config.trainer, SlayerSettings)
    name = config.trainer.network
    found: Any = load_architecture(name)
    if faults := list(_faults(config, found.HYPERPARAMETERS, tuple(found.LAYERS))):
        raise ConfigError(f"{name}: " + "; ".join(faults))
    params = {**found.HYPERPARAMETERS, **defaults("slayer", name), **config.fixed, **_lowest(config)}
    layers = tuple(monitor.layer for monitor in config.stopping)
    try:
        network = found(shape, n_classes, params, layers)
        fault = next(
            _breaches(network, params, (config.trainer.encoding.steps, *shape), n_classes, layers, config), None
        )
    except (Exception, SystemExit) as error:
        values = ", ".join(f"{key}={value}" for key, value in params.items())
        raise ConfigError(f"{name} with {values} raised {said(error)}") from error
    if fault is not None:
        raise ConfigError(f"{name}: {fault}")


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
    lowest = {
        name: parameter.choices[0] if isinstance(parameter, CategoricalParameter) else parameter.low
        for name, parameter in config.searched.items()
    }
    return existing(conditions(config.searched), lowest)


def _breaches(
    network: Any, params: Params, sample: tuple[int, ...], n_classes: int, layers: tuple[str, ...], config: StudyConfig
) -> Iterator[str]:
    """What of the contract a network breaks, as it is trained and then read.

    Args:
        network: just built.
        params: its hyperparameters.
        sample: ``T x C x H x W``.
        n_classes: K.
        layers: those monitored.
        config: of the study, for the sizes of its batches.
    """
    if not any(parameter.requires_grad for parameter in network.parameters()):
        yield "it has no parameters that could learn: a torch.nn.Parameter or a layer of torch as an attribute is one"
        return
    learner = Backpropagation(network, params)  # as in a trial, before the first batch
    for n in (*TRAINED, 1) if _has_batch_of_one(config, params) else TRAINED:
        spikes = _some_spikes(n, sample)
        network.train()
        returned = network(spikes)
        yield from _in_mode("train", n, returned_faults(returned, n, sample[0], n_classes, layers))
        if not returned[0].requires_grad:
            yield "the output has no gradient: a spike must be a surrogate-gradient function of the potential"
        learner.train(spikes, torch.arange(n) % n_classes)
        if not any(parameter.grad is not None for parameter in network.parameters()):
            yield "no parameter gets a gradient from the output"
    network.eval()
    with torch.no_grad():
        for n in SCORED:
            spikes = _some_spikes(n, sample)
            returned, again = network(spikes), network(spikes)
            yield from _in_mode("eval", n, returned_faults(returned, n, sample[0], n_classes, layers))
            if not torch.equal(returned[0], again[0]):
                yield (
                    "in eval mode the same spikes gave another output: dropout is still on, or its neurons begin "
                    "where the batch before left them"
                )


def _has_batch_of_one(config: StudyConfig, params: Params) -> bool:
    """Whether some epoch may have a batch of one sample, which a normalisation over the batch cannot learn from."""
    assert isinstance(config.trainer, SlayerSettings)
    searched, n_train = config.space.get("batch_size"), config.trainer.dataset.train
    if isinstance(searched, IntParameter):
        sizes: list[int] = list(range(searched.low, min(searched.high, n_train) + 1))
    elif isinstance(searched, CategoricalParameter):
        sizes = [int(size) for size in searched.choices]
    else:
        sizes = [int(params["batch_size"])]
    return n_train == 1 or any(size == 1 or n_train % size == 1 for size in sizes)


def _some_spikes(n: int, sample: tuple[int, ...]) -> Tensor:
    """``B x T x C x H x W``: a silent sample, and others."""
    spikes = torch.rand(n, *sample, generator=torch.Generator().manual_seed(n)) < FIRING_SHARE
    spikes[0] = False
    return spikes.to(torch.float32)


def _in_mode(mode: str, n: int, fault: str | None) -> Iterator[str]:
    if fault is not None:
        yield f"in {mode} mode, with {n} sample{'s' * (n > 1)}, {fault}"


def returned_faults(returned: Any, n: int, n_steps: int, n_classes: int, layers: tuple[str, ...]) -> str | None:
    """What is wrong with a network's answer to ``B`` samples of ``T`` steps and ``K`` classes; None for nothing."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        return f"forward must return the output and a mapping of counts, found {_kind(returned)}"
    output, counts = returned
    sizes = (n, n_steps, n_classes)
    if not isinstance(output, Tensor) or output.shape != sizes:
        return f"the output must be B x T x K = {' x '.join(map(str, sizes))}, found {_kind(output)}"
    if not output.isfinite().all():
        return "the output is not finite"
    if not isinstance(counts, Mapping):
        return f"forward must return the output and a mapping of counts; the counts are {_kind(counts)}"
    return next((fault for layer in layers if (fault := counts_fault(counts, layer, n))), None)


def counts_fault(counts: Mapping[str, Any], layer: str, n: int) -> str | None:
    """What is wrong with the counts of a monitored layer for ``B`` samples; None for nothing.

    A count that is no number is never below ``alpha``: it would make a silent network feasible.
    """
    if layer not in counts:
        return f"the monitored layer {layer!r} is not counted"
    found = counts[layer]
    if not isinstance(found, Tensor) or found.shape != (n,):
        return f"the counts of {layer!r} must be B = {n} numbers, found {_kind(found)}"
    if found.requires_grad:
        return f"the counts of {layer!r} carry a gradient: detach() the spikes before they are counted"
    if found.is_complex() or not (found.isfinite() & (found >= 0)).all():
        return f"the counts of {layer!r} must be finite and not negative, found {_extremes(found)}"
    return None


def _extremes(found: Tensor) -> str:
    return ", ".join(f"{value:g}" for value in found.tolist()[:5]) if not found.is_complex() else "complex numbers"


def _kind(found: Any) -> str:
    shape = f" of {' x '.join(map(str, found.shape)) or 'one number'}" if isinstance(found, Tensor) else ""
    return f"a {type(found).__name__}{shape}"
