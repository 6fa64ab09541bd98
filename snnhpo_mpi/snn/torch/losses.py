"""Losses of anybody's network, and how its answer is read from its output.

The rows of ``hyperparameters/losses.py`` by name, or a function of the user's.

Sources: snnTorch 1.0, ``functional.loss``, for ``rate_cross_entropy``, ``count_cross_entropy``, ``max_cross_entropy``
and ``count_mean_square``; ``snn/slayer/loss.py`` for ``rate`` and ``max``.

Notation: B samples, T steps, K output neurons. Output: spikes or membrane potentials.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.losses import loss_kind
from snnhpo_mpi.snn.slayer.loss import spike_max, spike_rate
from snnhpo_mpi.snn.user_code import user_code
from snnhpo_mpi.trial import ACCURACY

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(name: str, label_smoothing: float = 0.0) -> Loss:
    """Output ``B x T x K`` and labels -> loss, a number with a gradient.

    Labels are ``B`` classes. Of a regression they are ``B x K`` numbers, or ``B`` where K is 1.

    Args:
        name: a row of ``LOSSES``, or a function ``module:function`` of output and labels.
        label_smoothing: share of each label that is spread over all classes; of cross entropies only.

    Raises:
        ConfigError: the function of the user's is not there.
    """
    if ":" in name:
        return _own_loss(name)
    match name:
        case "rate_cross_entropy":
            return functools.partial(_rate_cross_entropy, smoothing=label_smoothing)
        case "count_cross_entropy" | "max_cross_entropy" | "last_cross_entropy":
            return functools.partial(_cross_entropy, reads=loss_kind(name).reads, smoothing=label_smoothing)
        case "count_mean_square":
            return _count_mean_square
        case "rate":
            return lambda output, labels: spike_rate(output.transpose(1, 2), labels)
        case "max":
            return lambda output, labels: spike_max(output.transpose(1, 2), labels)
        case "mean_square" | "last_mean_square":
            return functools.partial(_mean_square, name=name)
        case _:
            raise ValueError(f"no loss {name}")


def predicted(name: str, output: Tensor) -> Tensor:
    """What a network answers.

    Args:
        name: of the loss.
        output: ``B x T x K``.

    Returns:
        ``B`` classes, the first of several that are equal; of a regression ``B x K`` numbers.
    """
    kind = loss_kind(name)
    answer = read(output, kind.reads)
    return answer.argmax(1) if kind.score == ACCURACY else answer


def read(output: Tensor, reads: str) -> Tensor:
    """Output ``B x T x K`` -> ``B x K``: each neuron's sum or mean over the steps, its largest or its last value."""
    match reads:
        case "sum":
            return output.sum(1)
        case "mean":
            return output.mean(1)
        case "max":
            return output.amax(1)
        case _:
            return output[:, -1]


def _rate_cross_entropy(output: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    each_step = labels[:, None].expand(-1, output.shape[1])  # B x T
    return functional.cross_entropy(output.flatten(0, 1), each_step.flatten(), label_smoothing=smoothing)


def _cross_entropy(output: Tensor, labels: Tensor, reads: str, smoothing: float) -> Tensor:
    return functional.cross_entropy(read(output, reads), labels, label_smoothing=smoothing)


def _count_mean_square(output: Tensor, labels: Tensor) -> Tensor:
    n_steps = output.shape[1]
    wanted = functional.one_hot(labels, output.shape[2]) * n_steps
    return functional.mse_loss(output.sum(1), wanted.to(output.dtype)) / n_steps


def _mean_square(output: Tensor, labels: Tensor, name: str) -> Tensor:
    answer = predicted(name, output)
    if labels.shape[1:].numel() != answer.shape[1]:
        raise ValueError(
            f"the loss {name} needs as many numbers a sample as the output has neurons: {answer.shape[1]}, "
            f"the labels have {labels.shape[1:].numel()}"
        )
    return functional.mse_loss(answer, labels.reshape(answer.shape).to(answer.dtype))


def _own_loss(name: str) -> Loss:
    """The function of the user's, whose answer is checked at every call: a wrong one would train on nonsense."""
    function = user_code(name, "trainer.loss")
    if not callable(function) or isinstance(function, type):
        raise ConfigError(f"trainer.loss: {name} must be a function of output B x T x K and labels B")

    def loss(output: Tensor, labels: Tensor) -> Tensor:
        found = function(output, labels)
        if not isinstance(found, Tensor) or found.numel() != 1:
            kind = f"a tensor of {' x '.join(map(str, found.shape))}" if isinstance(found, Tensor) else repr(found)[:80]
            raise ValueError(f"trainer.loss: {name} must return one number as a tensor, found {kind}")
        if not found.requires_grad:
            raise ValueError(f"trainer.loss: {name} returned a number without a gradient to the output")
        return found.reshape(())

    return loss
