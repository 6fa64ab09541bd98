"""The spiking networks of the SLAYER experiments.

    csnn    [pool] - conv c1 - pool 2 - conv c2 - pool 2 - [dense] - dense        (Layout)
    dense   dense - dense                                                         (one-dimensional input, such as SHD)

of one kind of spiking neuron (``neurons``), whose convolutions (or hidden dense layer) have learnable axonal delays
and dropout. Source: Firmin, Boulet, Talbi, Neurocomputing 2024, section 4 (arXiv 2403.00450); Shrestha & Orchard,
NeurIPS 2018 (SLAYER); lava-dl 0.6.0, ``slayer.block.alif``, whose output this equals (``lava_network``): here time is
folded into the batch of a 2-D convolution, instead of being the last axis of a 3-D one.

Notation: B samples, C channels, H x W pixels, T steps, K classes. Between layers the order is ``T x B x C x H x W``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from snnhpo_mpi.snn.slayer.axon import AxonalDelay
from snnhpo_mpi.snn.slayer.neurons import Neuron, neuron_of
from snnhpo_mpi.trial import Params

MAX_DELAY_STEPS = 62  # of lava-dl's blocks: what Loihi can do
WEIGHT_STEP = 1 / 32  # to which lava-dl's blocks round weights, while they train too
WEIGHT_BOUNDS = -4.0, 4.0 - WEIGHT_STEP
Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """What differs between the networks of the experiments.

    Attributes:
        input_pool: side of a pooling of the input, 1 for none.
        n_hidden: neurons of a dense layer before the output, 0 for none.
        convolves: whether there are convolutions.
    """

    input_pool: int = 1
    n_hidden: int = 0
    convolves: bool = True


MNIST = Layout()
LAYOUTS = {
    "csnn": MNIST,
    "csnn_gesture": Layout(input_pool=4, n_hidden=512),
    "dense": Layout(convolves=False),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a network, whichever library computes it.

    Attributes:
        name: as monitors name it.
        kind: conv, pool or dense.
        n_in: channels of its input, or inputs of a dense layer.
        n_out: filters or neurons.
        kernel: of a convolution, or twice the side of a pool.
        learns_delay: whether it has axonal delays and dropout.
    """

    name: str
    kind: str
    n_in: int
    n_out: int
    kernel: tuple[int, int] = (1, 1)
    learns_delay: bool = False


def layers_of(input_shape: Shape, n_classes: int, params: Params, layout: Layout) -> list[Layer]:
    """The layers of a network in order; kernels larger than their input are clipped to it."""
    n_channels, *sides = input_shape
    layers = []
    if layout.input_pool > 1:
        layers.append(_pool("pool0", n_channels, layout.input_pool))
        sides = [_pooled(side, layout.input_pool) for side in sides]
    for number in (1, 2) if layout.convolves else ():
        kernel = tuple(min(int(params[f"c{number}_k"]), side) for side in sides)
        n_filters = int(params[f"c{number}_filters"])
        layers.append(Layer(f"c{number}", "conv", n_channels, n_filters, (kernel[0], kernel[1]), learns_delay=True))
        layers.append(_pool(f"pool{number}", n_filters, 2))
        n_channels, sides = n_filters, [_pooled(side - k + 1, 2) for side, k in zip(sides, kernel, strict=True)]
    n_inputs = n_channels * sides[0] * sides[1]
    n_hidden = layout.n_hidden if layout.convolves else int(params["hidden"])
    if n_hidden:
        layers.append(Layer("hidden", "dense", n_inputs, n_hidden, learns_delay=not layout.convolves))
        n_inputs = n_hidden
    layers.append(Layer("output", "dense", n_inputs, n_classes))
    return layers


def _pool(name: str, n_channels: int, side: int) -> Layer:
    return Layer(name, "pool", n_channels, n_channels, (side, side))


def _pooled(side: int, pool: int) -> int:
    """Side of a pooled map: the library pads with the remainder, then drops what does not fill a window."""
    return (side + side % pool) // pool


def initial_weight(layer: Layer, initial_weights: str) -> Tensor:
    """Weights ``n_out x n_in x k x k``, uniform within 1 / sqrt(inputs), as torch draws them for lava-dl's blocks.

    Of more than 1,024 inputs the rounding erases more than half of these, of more than 4,096 all. Where
    ``initial_weights`` is ``scaled``, they are scaled up there so that half of them stay; ``library`` leaves them.
    """
    weight = torch.empty(layer.n_out, layer.n_in, *layer.kernel)
    torch.nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
    if initial_weights == "library":
        return weight
    return max(1.0, WEIGHT_STEP * math.sqrt(weight[0].numel())) * weight


class Csnn(torch.nn.Module):
    """Input spikes to output spikes, and spike counts of the monitored layers.

    Args:
        input_shape: ``C x H x W`` of a sample.
        n_classes: K, neurons of the output layer.
        params: the hyperparameters of the network's table.
        monitored: layers whose spikes are counted: ``c1``, ``pool1``, ``c2``, ``pool2`` or ``output`` (and ``pool0``,
            ``hidden`` where the layout has them).
        layout: the experiment's variant.
        initial_weights: library or scaled.
    """

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
        layers = layers_of(input_shape, n_classes, params, layout)
        blocks = OrderedDict((layer.name, _block(layer, params, initial_weights)) for layer in layers)
        self.blocks = torch.nn.ModuleDict(blocks)

    def forward(self, given: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Runs all steps from rest.

        Args:
            given: ``B x T x C x H x W`` spikes, 0 or 1.

        Returns:
            Output spikes ``B x T x K``, and per monitored layer the spikes of each sample, ``B``.
        """
        x = given.transpose(0, 1)
        counts = {}
        for name, block in self.blocks.items():
            x = block(x)
            if name in self.monitored:
                counts[name] = (x.detach() > 0).flatten(2).sum((0, 2))  # dropout scales spikes: count, do not add
        return x.transpose(0, 1), counts


class _Synapse(torch.nn.Module):
    """Learnt weights, rounded and clipped as the library does: ``n_out x n_in x k x k``."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def rounded(self) -> Tensor:
        weight: Tensor = _Rounded.apply(self.weight)
        return weight.clamp(*WEIGHT_BOUNDS)


class _Rounded(torch.autograd.Function):
    """To multiples of ``WEIGHT_STEP``; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return torch.round(weight / WEIGHT_STEP) * WEIGHT_STEP

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0]


class Conv(_Synapse):
    """Unpadded convolution, whose neurons have dropout and one axonal delay a filter."""

    def __init__(self, layer: Layer, weight: Tensor, neuron: Neuron, dropout: float) -> None:
        super().__init__(weight)
        self.delay = AxonalDelay(layer.n_out, MAX_DELAY_STEPS)
        self._neuron, self._dropout = neuron, dropout

    def forward(self, x: Tensor) -> Tensor:
        """``T x B x C x H x W`` -> ``T x B x F x H' x W'``."""
        current = functional.conv2d(x.flatten(0, 1), self.rounded())
        fired = self._neuron(current.view(*x.shape[:2], *current.shape[1:]))
        delayed: Tensor = self.delay(_drop(fired, self._dropout if self.training else 0.0))
        return delayed


class Dense(_Synapse):
    """All to all; with dropout and one axonal delay a neuron if it learns delays."""

    def __init__(self, layer: Layer, weight: Tensor, neuron: Neuron, dropout: float) -> None:
        super().__init__(weight)
        self.delay = AxonalDelay(layer.n_out, MAX_DELAY_STEPS) if layer.learns_delay else None
        self._neuron, self._dropout = neuron, dropout if layer.learns_delay else 0.0

    def forward(self, x: Tensor) -> Tensor:
        """``T x B x ...`` -> ``T x B x N``."""
        current = functional.linear(x.flatten(2), self.rounded().flatten(1))
        fired = _drop(self._neuron(current), self._dropout if self.training else 0.0)
        delayed: Tensor = fired if self.delay is None else self.delay(fired)
        return delayed


class Pool(torch.nn.Module):
    """Neurons that sum ``side x side`` others."""

    def __init__(self, side: int, neuron: Neuron) -> None:
        super().__init__()
        self.side, self._neuron = side, neuron

    def forward(self, x: Tensor) -> Tensor:
        """``T x B x C x H x W`` -> ``T x B x C x H' x W'``."""
        side, (height, width) = self.side, x.shape[3:]
        maps = x.flatten(0, 1)
        if height % side or width % side:
            maps = functional.pad(maps, (0, width % side, 0, height % side))
        current = functional.avg_pool2d(maps, side, divisor_override=1)
        return self._neuron(current.view(*x.shape[:2], *current.shape[1:]))


def _drop(fired: Tensor, probability: float) -> Tensor:
    """Silences neurons for all steps, and scales the others' spikes up; draws as the library does."""
    if probability == 0.0:
        return fired
    kept = torch.empty(fired.shape[1:], dtype=fired.dtype, device=fired.device).bernoulli_(1 - probability)
    return fired * kept.div_(1 - probability)


def _block(layer: Layer, params: Params, initial_weights: str) -> torch.nn.Module:
    neuron = neuron_of(params)
    if layer.kind == "pool":
        return Pool(layer.kernel[0], neuron)
    kind = Conv if layer.kind == "conv" else Dense
    return kind(layer, initial_weight(layer, initial_weights), neuron, float(params["dropout"]))
