"""The networks of ``csnn`` as lava-dl builds them: its blocks, synapses, neurons and delays.

``engine: library`` trains with it; it is what the faster ``csnn`` is measured and tested against.

This file is lava-dl's border: our ``B x T x C x H x W`` becomes its ``B x C x H x W x T``.
"""

from __future__ import annotations

import contextlib
import io
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.hyperparameters.neurons import DEFAULT, NEURONS
from snnhpo_mpi.snn.slayer.csnn import MAX_DELAY_STEPS, MNIST, Layer, Layout, Shape, initial_weight, layers_of
from snnhpo_mpi.trial import Params

# lava-dl prints on stdout that an automotive data set's toolbox is missing, which concerns no run of this network.
with contextlib.redirect_stdout(io.StringIO()):
    from lava.lib.dl import slayer as slayer


class LavaNetwork(torch.nn.Module):
    """See ``csnn.Csnn``: the same arguments, and from the same seed the same weights."""

    def __init__(
        self,
        input_shape: Shape,
        n_classes: int,
        params: Params,
        monitored: tuple[str, ...] = ("output",),
        layout: Layout = MNIST,
        initial_weights: str = "scaled",
    ) -> None:
        super().__init__()
        self.monitored = monitored
        blocks: OrderedDict[str, torch.nn.Module] = OrderedDict()
        for layer in layers_of(input_shape, n_classes, params, layout):
            if layer.kind == "dense" and "flatten" not in blocks:
                blocks["flatten"] = _blocks(params).Flatten()
            blocks[layer.name] = _block(layer, params, initial_weights)
        self.blocks = torch.nn.ModuleDict(blocks)

    def forward(self, given: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``csnn.Csnn``."""
        x = given.movedim(1, -1)
        counts = {}
        for name, block in self.blocks.items():
            x = block(x)
            if name in self.monitored:
                counts[name] = (x.detach() > 0).flatten(1).sum(1)
        return x.movedim(-1, 1), counts


class _Delay(slayer.axon.Delay):  # type: ignore[misc]  # lava-dl has no types
    """The library's delay, which cannot learn on maps of 1 x 1 unless they are given to it as neurons in a row."""

    def forward(self, spikes: Tensor) -> Tensor:
        """``B x C x ... x T`` spikes -> the same, delayed."""
        if spikes.dim() > 3 and spikes.shape[2:-1].numel() == 1:
            delayed: Tensor = super().forward(spikes.flatten(1, -2)).view_as(spikes)
            return delayed
        delayed = super().forward(spikes)
        return delayed


def _block(layer: Layer, params: Params, initial_weights: str) -> torch.nn.Module:
    """One layer; only what ``csnn`` draws is drawn from torch's generator."""
    weight = None if layer.kind == "pool" else initial_weight(layer, initial_weights)
    delay = torch.rand(layer.n_out) if layer.learns_delay else None
    with torch.random.fork_rng(devices=[]):
        block = _library_block(layer, params)
    if weight is not None:
        block.synapse.weight.data = weight[..., None]  # type: ignore[union-attr]
    if delay is not None:
        axon = _Delay(max_delay=MAX_DELAY_STEPS)
        axon.delay.data, axon.init = delay, True
        block.delay = axon
    return block


def _kind(params: Params) -> str:
    return str(params.get("neuron", DEFAULT))


def _blocks(params: Params) -> Any:
    """The library's package of blocks of these neurons."""
    name = NEURONS[_kind(params)].library
    assert name is not None, "refused by the validation of the configuration"
    return getattr(slayer.block, name)


def _library_block(layer: Layer, params: Params) -> torch.nn.Module:
    blocks, neuron = _blocks(params), _neuron(params, layer)
    block: torch.nn.Module
    match layer.kind:
        case "pool":
            block = blocks.Pool(neuron, layer.kernel[0])
        case "conv":
            block = blocks.Conv(neuron, layer.n_in, layer.n_out, layer.kernel)
        case _:
            block = blocks.Dense(neuron, layer.n_in, layer.n_out)
    return block


def _neuron(params: Params, layer: Layer) -> dict[str, Any]:
    """The library's arguments of a layer's neurons; a new dict each time, as its pools change theirs."""
    neuron: dict[str, Any] = {name: float(params[name]) for name in NEURONS[_kind(params)].takes}
    if layer.learns_delay:
        neuron["dropout"] = slayer.neuron.Dropout(p=float(params["dropout"]))
    return neuron
