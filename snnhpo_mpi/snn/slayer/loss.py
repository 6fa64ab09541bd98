"""The losses of SLAYER: how far the rates of the output neurons are from those that are wanted.

Sources: Shrestha & Orchard, NeurIPS 2018; lava-dl 0.6.0, ``slayer.loss``, which takes time last; the same numbers.

Notation: B samples, K classes, T steps.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

TRUE_RATE, FALSE_RATE = 0.2, 0.03  # spikes a step wanted of the right and of each wrong output neuron
Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(decoder: str) -> Loss:
    """Output spikes ``B x K x T`` and classes ``B`` -> loss, summed over the batch.

    Args:
        decoder: ``rate`` or ``max``.
    """
    return spike_rate if decoder == "rate" else spike_max


def spike_rate(output: Tensor, classes: Tensor) -> Tensor:
    """SpikeRate: squared distance of the rates from those wanted.

    Args:
        output: ``B x K x T`` spikes.
        classes: ``B``.
    """
    right = functional.one_hot(classes, num_classes=output.shape[1])
    wanted = TRUE_RATE * right + FALSE_RATE * (1 - right)
    return functional.mse_loss(output.mean(-1), wanted, reduction="sum")


def spike_max(output: Tensor, classes: Tensor) -> Tensor:
    """SpikeMax of the mode ``softmax``: cross entropy, the rates being the logits.

    The library's default takes the logarithm of a share of spikes: infinite when the right neuron is silent.

    Args:
        output: ``B x K x T`` spikes.
        classes: ``B``.
    """
    return functional.nll_loss(functional.log_softmax(output.mean(-1), dim=1), classes, reduction="sum")
