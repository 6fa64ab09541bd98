"""The convolutional spiking network of the SLAYER experiments, built from lava-dl's blocks.

    [pool] - conv c1 - pool 2 - conv c2 - pool 2 - [dense] - dense

of adaptive leaky integrate-and-fire neurons (``slayer.block.alif``), whose convolutions have learnable axonal delays
and dropout. Source: Firmin, Boulet, Talbi, Neurocomputing 2024, section 4 (arXiv 2403.00450); Shrestha & Orchard,
NeurIPS 2018 (SLAYER).

Notation: B samples, C channels, H x W pixels, T steps, K classes. Axis order is lava-dl's, ``B x C x H x W x T``.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.snn.axon import AxonalDelay
from snnhpo_mpi.trial import Params

# lava-dl prints on stdout that an automotive data set's toolbox is missing, and torch logs that a machine with CUDA
# tools has no GPU: neither concerns a run of this network.
logging.getLogger("torch.utils.cpp_extension").addFilter(lambda record: "No CUDA runtime" not in record.msg)
with contextlib.redirect_stdout(io.StringIO()):
    from lava.lib.dl import slayer as slayer

MAX_DELAY_STEPS = 62  # of lava-dl's blocks: what Loihi can do
WEIGHT_STEP = 1 / 32  # to which lava-dl's blocks round weights, while they train too
_NEURON = (
    "threshold",
    "threshold_step",
    "current_decay",
    "voltage_decay",
    "threshold_decay",
    "refractory_decay",
    "tau_grad",
    "scale_grad",
)


@dataclass(frozen=True, slots=True)
class Layout:
    """What differs between the networks of the experiments.

    Attributes:
        input_pool: side of a pooling of the input, 1 for none.
        n_hidden: neurons of a dense layer before the output, 0 for none.
    """

    input_pool: int = 1
    n_hidden: int = 0


class Csnn(torch.nn.Module):
    """Input spikes to output spikes, and spike counts of the monitored layers.

    Args:
        input_shape: ``C x H x W`` of a sample.
        n_classes: K, neurons of the output layer.
        params: the hyperparameters of the ``csnn`` table.
        monitored: layers whose spikes are counted: ``c1``, ``pool1``, ``c2``, ``pool2`` or ``output`` (and ``pool0``,
            ``hidden`` where the layout has them).
        layout: the experiment's variant.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        n_classes: int,
        params: Params,
        monitored: tuple[str, ...] = ("output",),
        layout: Layout = Layout(),
    ) -> None:
        super().__init__()
        self.monitored = monitored
        self.blocks = torch.nn.ModuleDict(_blocks(input_shape, n_classes, params, layout))

    def forward(self, spikes: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Runs all steps from rest.

        Args:
            spikes: ``B x C x H x W x T``, 0 or 1.

        Returns:
            Output spikes ``B x K x T``, and per monitored layer the spikes of each sample, ``B``.
        """
        counts = {}
        for name, block in self.blocks.items():
            spikes = block(spikes)
            if name in self.monitored:
                counts[name] = (spikes.detach() > 0).flatten(1).sum(1)  # dropout scales spikes: count, do not add
        return spikes, counts


def _blocks(
    input_shape: tuple[int, int, int], n_classes: int, params: Params, layout: Layout
) -> OrderedDict[str, torch.nn.Module]:
    """The layers by name, in order; sizes follow the input through them."""
    n_channels, *sides = input_shape
    blocks: OrderedDict[str, torch.nn.Module] = OrderedDict()
    if layout.input_pool > 1:
        blocks["pool0"] = _pool(params, layout.input_pool)
        sides = [_pooled(side, layout.input_pool) for side in sides]
    for number in (1, 2):
        kernel = [min(int(params[f"c{number}_k"]), side) for side in sides]
        n_filters = int(params[f"c{number}_filters"])
        blocks[f"c{number}"] = _conv(params, n_channels, n_filters, kernel)
        blocks[f"pool{number}"] = _pool(params, 2)
        n_channels, sides = n_filters, [_pooled(side - k + 1, 2) for side, k in zip(sides, kernel, strict=True)]
    blocks["flatten"] = slayer.block.alif.Flatten()
    n_inputs = n_channels * sides[0] * sides[1]
    if layout.n_hidden:
        blocks["hidden"] = _dense(params, n_inputs, layout.n_hidden)
        n_inputs = layout.n_hidden
    blocks["output"] = _dense(params, n_inputs, n_classes)
    return blocks


def _pooled(side: int, pool: int) -> int:
    """Side of a pooled map: the library pads with the remainder, then drops what does not fill a window."""
    return (side + side % pool) // pool


def _conv(params: Params, n_channels: int, n_filters: int, kernel: list[int]) -> torch.nn.Module:
    """Unpadded convolution, whose neurons have dropout and one axonal delay a filter."""
    neuron = _neuron(params) | {"dropout": slayer.neuron.Dropout(p=float(params["dropout"]))}
    scale = _weight_scale(n_channels * kernel[0] * kernel[1])
    block = slayer.block.alif.Conv(neuron, n_channels, n_filters, tuple(kernel), weight_scale=scale)
    block.delay = AxonalDelay(n_filters, MAX_DELAY_STEPS)
    return _time_outermost(block)


def _pool(params: Params, size: int) -> torch.nn.Module:
    """Neurons that sum ``size x size`` others with fixed weights 1."""
    return _time_outermost(slayer.block.alif.Pool(_neuron(params), size))


def _dense(params: Params, n_inputs: int, n_neurons: int) -> torch.nn.Module:
    scale = _weight_scale(n_inputs)
    return _time_outermost(slayer.block.alif.Dense(_neuron(params), n_inputs, n_neurons, weight_scale=scale))


def _neuron(params: Params) -> dict[str, Any]:
    """The library's arguments of a layer's neurons; a new dict each time, as its pools change theirs."""
    return {name: float(params[name]) for name in _NEURON}


def _weight_scale(n_inputs: int) -> float:
    """Times torch's initial weights, uniform within 1 / sqrt(inputs): so many inputs would round all of them to 0."""
    return max(1.0, WEIGHT_STEP * math.sqrt(n_inputs))


def _time_outermost(block: torch.nn.Module) -> torch.nn.Module:
    """Lays out what the neurons are fed step by step in memory: they then walk through time 1.5 times as fast."""

    def lay_out(_module: torch.nn.Module, _args: object, current: Tensor) -> Tensor:
        return current.movedim(-1, 0).contiguous().movedim(0, -1)

    synapse = block.synapse
    assert isinstance(synapse, torch.nn.Module)
    synapse.register_forward_hook(lay_out)
    return block
