"""What differs between the libraries of spiking networks: how state is forgotten, and which classes spike.

No library is imported here: one that the network does not use is not in ``sys.modules``.

Sources: snnTorch 1.0.0, SpikingJelly 2.0.0, Norse 1.1.0, sinabs 3.1.3, lava-dl 0.6.0.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

Reset = Callable[[], Any]
RESETS = ("reset_mem", "reset_states", "reset_state", "reset")
"""Methods without arguments, of which a module's first one forgets its state: snnTorch's, sinabs's, one's own,
SpikingJelly's. Norse hands its state on, and lava-dl forgets by itself."""
SPIKING = {
    "snntorch": ("SpikingNeuron", "LeakyParallel"),
    "spikingjelly.activation_based.neuron": ("BaseNode",),
    "norse.torch": ("SNNCell", "SNNRecurrentCell", "SNN", "SNNRecurrent"),
    "sinabs.layers": ("StatefulLayer",),
    "lava.lib.dl.slayer.neuron.base": ("Neuron",),
}
"""Base classes whose modules spike, by the module that holds them."""
POTENTIALS = {"norse.torch": ("LI", "LICell"), "sinabs.layers": ("ExpLeak",)}
"""Classes of those that give a potential instead."""

PASSING = {"lava.lib.dl.slayer.axon.delay": ("Delay",)}
"""Classes with parameters that only pass spikes on."""


def _classes(table: Mapping[str, tuple[str, ...]]) -> tuple[type, ...]:
    found = [getattr(sys.modules.get(module), name, None) for module, names in table.items() for name in names]
    return tuple(one for one in found if isinstance(one, type))


def is_known_to_spike(module: torch.nn.Module) -> bool:
    """Whether a module is of a class that spikes, in a library that has been imported."""
    return isinstance(module, _classes(SPIKING)) and not isinstance(module, _classes(POTENTIALS))


def is_known_to_pass_on(module: torch.nn.Module) -> bool:
    """Whether a module is of a class that has parameters and makes no spikes of its own."""
    return isinstance(module, _classes(PASSING))


def resets(network: torch.nn.Module) -> tuple[Reset, ...]:
    """What to call before each batch, so that the network knows nothing of the one before."""
    return tuple(_resets(network))


def _resets(network: torch.nn.Module) -> Iterator[Reset]:
    stateful = _classes({"sinabs.layers": ("StatefulLayer",)})
    for module in network.modules():
        if isinstance(module, stateful):
            # Its own reset keeps the shape of the batch before, and a smaller batch then draws from these states.
            yield functools.partial(_empty, module)
            continue
        methods = (getattr(module, name, None) for name in RESETS)
        if method := next((one for one in methods if callable(one) and _takes_nothing(one)), None):
            yield method


def _empty(module: torch.nn.Module) -> None:
    """Bring a layer of sinabs to where it was built: its buffers are its state, empty until the first batch."""
    for name, buffer in module.named_buffers(recurse=False):
        module.register_buffer(name, torch.zeros(0, device=buffer.device))


def _takes_nothing(method: Callable[..., Any]) -> bool:
    try:
        inspect.signature(method).bind()
    except (TypeError, ValueError):
        return False
    return True


def forget_other_networks() -> None:
    """Empty the list in which snnTorch keeps every neuron that was ever made.

    Its networks would never be freed, and ``snntorch.utils.reset`` of one network would reset them all.
    """
    neurons: Any = getattr(sys.modules.get("snntorch"), "SpikingNeuron", None)
    if neurons is not None:
        neurons.instances.clear()
