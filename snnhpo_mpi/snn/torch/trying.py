"""A network of the user's, tried before the first trial as trials will use it; every fault in one message.

Notation: B samples, T steps, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.lazy import LazyModuleMixin

from snnhpo_mpi.config import CategoricalParameter, IntParameter, StudyConfig, TorchSettings
from snnhpo_mpi.config.conditions import existing
from snnhpo_mpi.config.faults import suggest
from snnhpo_mpi.config.parameters import conditions
from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.hyperparameters.losses import loss_kind
from snnhpo_mpi.hyperparameters.networks import TORCH, defaults
from snnhpo_mpi.snn.torch.adapters import RESETS, resets
from snnhpo_mpi.snn.torch.dependence import SEED, mixes_samples
from snnhpo_mpi.snn.torch.learning import AUTO, Learning, Reading
from snnhpo_mpi.snn.torch.network import KEY, Shapes, argument_faults, build, defaults_of
from snnhpo_mpi.snn.torch.presentation import LAYOUTS, Presentation
from snnhpo_mpi.snn.torch.probe import FEW, Found, Layer, copied, outputs_of, probe
from snnhpo_mpi.trial import ACCURACY, Params


def watched_layers(name: str, found: Found) -> tuple[Layer, ...]:
    """The layers that a monitor stands for.

    Args:
        name: ``auto``, or a module's path.
        found: of the network.

    Raises:
        ValueError: there are none; says which there are.
    """
    if name == AUTO:
        if not found.layers:
            raise ValueError(
                "no module spikes. A monitor on auto needs modules that return spikes (0, 1, 2, ...), or a tuple with "
                "the spikes first. Where forward calls a function for them, make it a module of the network; without "
                "a monitor, leave stopping out"
            )
        return tuple(one for one in found.layers if one.is_read) or found.layers
    if (layer := found.layer(name)) is not None:
        return (layer,)
    spiking = [one.path for one in found.layers]
    if name in found.kinds:
        raise ValueError(
            f"stopping: the layer {name} ({found.kinds[name]}) does not spike: its output has other values than whole "
            f"numbers from 0 on, or no axis of the samples{suggest(name, spiking) if spiking else ''}"
        )
    raise ValueError(f"stopping: there is no layer {name!r}{suggest(name, [AUTO, *spiking])}")


def lowest(config: StudyConfig) -> Params:
    """The smallest network of the space: the lowest value of all that is searched."""
    found = {
        name: parameter.choices[0] if isinstance(parameter, CategoricalParameter) else parameter.low
        for name, parameter in config.searched.items()
    }
    return existing(conditions(config.searched), found)


def check_network(config: StudyConfig, shapes: Shapes, samples: Tensor) -> Found:
    """Build the smallest network of the space, look at it, and let it learn and read.

    Weights and other random numbers are the same each time, so that the answer is; the caller's are left as they are.

    Args:
        config: a study whose trainer is ``torch``.
        shapes: what the network is for.
        samples: ``5 x T x C x H x W`` encoded, on the device of the trials.

    Raises:
        ConfigError: it cannot be built, run, read or learn, or is not what the configuration asks for.
    """
    with torch.random.fork_rng([samples.device] if samples.device.type == "cuda" else []):
        torch.manual_seed(SEED)
        return _checked(config, shapes, samples)


def _checked(config: StudyConfig, shapes: Shapes, samples: Tensor) -> Found:
    assert isinstance(config.trainer, TorchSettings)
    target = config.trainer.network
    where = f"{KEY}: {target}"
    if faults := list(argument_faults(target, config)):
        raise ConfigError(f"{where}: " + "; ".join(faults))
    params = {**defaults_of(target), **defaults("torch", target), **config.fixed, **lowest(config)}
    try:
        network = build(target, params, shapes).to(samples.device)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where} cannot be built with {_values(params)}: {said(error)}") from error
    try:
        return _tried(network, config, params, samples, shapes.n_classes)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where} with {_values(params)}: {_reason(error)}") from error


def _values(params: Params) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items() if name not in TORCH) or "its defaults"


def _reason(error: BaseException) -> str:
    """What an exception of the network means: ours speak for themselves."""
    text = said(error)
    if text == f"ValueError: {error}":  # of no line of the user's
        return str(error)
    if "same device" in text:
        text += "; it mixes devices: make tensors in forward on the device of its input (device=x.device), and keep "
        text += "others by register_buffer"
    return text


def _tried(network: torch.nn.Module, config: StudyConfig, params: Params, samples: Tensor, n_classes: int) -> Found:
    """What was found of a network that learns and reads; raises ``ValueError`` with what is wrong with it."""
    settings = config.trainer
    assert isinstance(settings, TorchSettings)
    if lazy := [path for path, one in network.named_modules() if isinstance(one, LazyModuleMixin)]:
        kind = type(network.get_submodule(lazy[0])).__name__
        raise ValueError(
            f"the layer {lazy[0] or 'itself'} ({kind}) has no size before it is called: give it one, such as "
            "nn.Linear(in_features, out_features); the argument input_shape comes by itself"
        )
    if not any(one.requires_grad for one in network.parameters()):
        raise ValueError("it has no parameters that could learn")
    presentation = Presentation(settings.layout, settings.features, settings.output)
    found = probe(network, presentation, samples, n_classes)
    presentation = presentation.with_features(found.features)
    if faults := [*_reset_faults(network), *_state_faults(network, presentation, samples)]:
        raise ValueError("; ".join(faults))
    with copied(network, samples) as one:
        if mixes_samples(one, presentation, found.readout, samples):
            raise ValueError(
                "another first sample changes the answers to the others: forward mixes samples. Mostly the layout is "
                f"another one: trainer.layout: {settings.layout} gives {LAYOUTS[settings.layout]}; there are "
                f"{', '.join(LAYOUTS)}"
            )
    watched = {one.layer: watched_layers(one.layer, found) for one in config.stopping}
    reading = Reading(network, presentation, found, settings.loss)
    learning = Learning(reading, watched, {name: params[name] for name in TORCH if name in params}, 100)
    sizes = (len(samples), FEW, 1) if _has_batch_of_one(config, params) else (len(samples), FEW)
    for n in sizes:
        learning.train(samples[:n], _some_labels(n, n_classes, settings.loss).to(samples.device))
    if not any(one.grad is not None for one in network.parameters()):
        raise ValueError("none of its parameters gets a gradient from its output")
    reading.classes(samples)
    return found


def _some_labels(n: int, n_classes: int, loss: str) -> Tensor:
    """``B`` classes, or ``B x K`` numbers where the loss is that of a regression."""
    classes = torch.arange(n) % n_classes
    return classes if loss_kind(loss).score == ACCURACY else torch.nn.functional.one_hot(classes, n_classes).double()


def _reset_faults(network: torch.nn.Module) -> Iterator[str]:
    before = [one.detach().clone() for one in network.parameters()]
    for reset in resets(network):
        reset()
    if not all(torch.equal(one, then) for one, then in zip(network.parameters(), before, strict=True)):
        yield (
            f"one of its methods {', '.join(RESETS)} changes parameters: these are called before each batch, to forget "
            "state; give it another name"
        )


def _state_faults(network: torch.nn.Module, presentation: Presentation, samples: Tensor) -> Iterator[str]:
    """Whether something of one batch reaches the next, of the same size or of another, in eval mode."""
    few, strong = samples[:FEW], 100 * samples  # of which a silent network shows more
    orders = outputs_of(network, presentation, [samples, samples, few, few, samples, strong, strong])
    for first, second in ((0, 1), (2, 3), (0, 4), (5, 6)):
        for (path, one), (_, other) in zip(orders[first], orders[second], strict=False):
            if not np.array_equal(one, other, equal_nan=True):
                who = f"the layer {path}" if path else "the network itself"
                kind = type(network.get_submodule(path)).__name__
                yield (
                    f"{who} ({kind}) answers the same samples otherwise the second time: it keeps state from batch to "
                    "batch. Give it a method reset_state() without arguments, which is called before each batch"
                )
                return


def _has_batch_of_one(config: StudyConfig, params: Params) -> bool:
    """Whether some epoch may have a batch of one sample, which a normalisation over the batch cannot learn from."""
    assert isinstance(config.trainer, TorchSettings)
    searched, n_train = config.space.get("batch_size"), config.trainer.dataset.train
    sizes: Sequence[Any] = [params["batch_size"]]
    if isinstance(searched, IntParameter):
        sizes = range(searched.low, min(searched.high, n_train) + 1)
    elif isinstance(searched, CategoricalParameter):
        sizes = searched.choices
    return n_train == 1 or any(size == 1 or n_train % int(size) == 1 for size in sizes)


def described(found: Found, watched: Sequence[str]) -> Iterator[str]:
    """The tree of modules, a line each: path, class, and what was found of it."""
    of_path = {one.path: one for one in found.layers}
    width = max(len(_indented(path)) for path in found.kinds)
    for path, kind in found.kinds.items():
        layer = of_path.get(path)
        note = "" if layer is None else f"  spikes{_axis(layer)}{_watch(layer, watched)}"
        yield f"{_indented(path):<{width}}  {kind}{note}".rstrip()
    readout = found.readout
    axes = "samples x neurons, without time" if readout.time is None else "samples x steps x neurons"
    yield f"features {found.features}; output read as {axes}"


def _watch(layer: Layer, watched: Sequence[str]) -> str:
    if layer.path in watched or (AUTO in watched and layer.is_read):
        return ", watched"
    return "" if layer.is_read else ", which nothing reads"


def _indented(path: str) -> str:
    return "  " * path.count(".") + path.rpartition(".")[2] if path else "(network)"


def _axis(layer: Layer) -> str:
    calls = f", called {layer.n_calls} times" if layer.n_calls > 1 else ""
    merged = " with time" if layer.axis.is_merged else ""
    return f" (samples{merged}: axis {layer.axis.place}{calls})"
