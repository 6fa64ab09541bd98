"""One step of surrogate-gradient learning after another: on a GPU as one CUDA graph each.

A step of a small network is some hundred launches, for which a GPU would wait ten times as long as it computes.
Source: Shrestha & Orchard, NeurIPS 2018; the losses: ``loss``.

Notation: B samples, T steps, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

import functools
import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.snn.slayer.csnn import Csnn
from snnhpo_mpi.snn.slayer.loss import loss_of
from snnhpo_mpi.snn.triton_available import fuses
from snnhpo_mpi.trial import Params

log = logging.getLogger(__name__)
N_UNCAPTURED = 2  # batches before the capture: they compile kernels, and make the moments of the gradient


@dataclass(frozen=True, slots=True)
class _Step:
    """What a step found, of before it.

    Attributes:
        predicted: ``B`` classes.
        counts: layer -> ``B`` spikes of each sample.
        fired: ``B x K``, spikes of each output neuron.
        loss: a number.
        slope: norm of its gradient.
    """

    predicted: Tensor
    counts: dict[str, Tensor]
    fired: Tensor
    loss: Tensor
    slope: Tensor


class Backpropagation:
    """A network, and how it learns from a batch.

    Whatever the loss, the class read is that of the output neuron with most spikes, the first of several.
    """

    def __init__(self, network: torch.nn.Module, params: Params) -> None:
        """Start with fresh moments of the gradient.

        Args:
            network: changes as it learns; spikes ``B x T x C x H x W`` -> output spikes ``B x T x K``, and per
                monitored layer the spikes of each sample.
            params: the hyperparameters of the ``csnn`` table.
        """
        self.network = network
        self._loss = loss_of(str(params["decoder"]))
        # Others' networks may ask the device for values, which a graph cannot.
        self._captures = type(network) is Csnn and fuses(next(network.parameters()))
        self._optimizer = torch.optim.Adam(
            network.parameters(), lr=float(params["learning_rate"]), capturable=self._captures
        )
        self._n_seen: Counter[torch.Size] = Counter()
        self._captured: _Captured | None = None

    def state_dict(self) -> dict[str, Any]:
        """The network and the moments of its gradient."""
        return {"network": self.network.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Learn on from there, before the first batch; on another device if need be."""
        self.network.load_state_dict(state["network"])
        groups = [group | {"capturable": self._captures} for group in state["optimizer"]["param_groups"]]
        self._optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})

    def train(self, spikes: Tensor, classes: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Predict a batch, and take one step down its loss.

        Args:
            spikes: ``B x T x C x H x W``, 0 or 1.
            classes: ``B``.

        Returns:
            Predicted classes ``B``; layer -> ``B`` spikes of each sample; ``B x K`` spikes of each output neuron;
            all of before the step, and good until the next.

        Raises:
            FloatingPointError: the loss or its gradient is not finite.
        """
        self.network.train()
        step = self._run(spikes, classes)
        # A gradient that is not a number can come with a finite loss: weights of NaN give no spikes.
        if not math.isfinite((step.loss + step.slope).item()):
            found = f"loss {step.loss.item():g}, norm of its gradient {step.slope.item():g}"
            raise FloatingPointError(f"training diverged: {found}")
        return step.predicted, step.counts, step.fired

    def _run(self, spikes: Tensor, classes: Tensor) -> _Step:
        """A step; captured if batches of this size are the rule."""
        if not self._captures:
            return self._step(spikes, classes)
        if self._captured is None and self._n_seen[spikes.shape] >= N_UNCAPTURED:
            self._capture(spikes, classes)
        if self._captured is not None and self._captured.fits(spikes):
            return self._captured.step(spikes, classes)
        self._n_seen[spikes.shape] += 1
        return _aside(self._step, spikes, classes)

    def _capture(self, spikes: Tensor, classes: Tensor) -> None:
        try:
            self._captured = _Captured(self._step, spikes, classes)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as error:  # something in it asks the device for a value
            self._captures = False
            log.warning("learning goes on, more slowly, without a CUDA graph: %s", str(error).partition("\n")[0])

    def end_training(self) -> None:
        """Give back the memory that a graph holds; the network is there to be read."""
        self._captured = None

    def _step(self, spikes: Tensor, classes: Tensor) -> _Step:
        self._optimizer.zero_grad()
        output, counts = self.network(spikes)
        loss = self._loss(output.transpose(1, 2), classes)
        loss.backward()  # type: ignore[no-untyped-call]
        slope = torch.nn.utils.get_total_norm([p.grad for p in self.network.parameters() if p.grad is not None])
        self._optimizer.step()
        fired = output.detach().sum(1)
        return _Step(fired.argmax(1), counts, fired, loss.detach(), slope)


class _Captured:
    """A step for batches of one size, as a CUDA graph; its results stay in one place."""

    def __init__(self, step: Callable[[Tensor, Tensor], _Step], spikes: Tensor, classes: Tensor) -> None:
        self._spikes, self._classes = spikes.clone(), classes.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=_side_stream(torch.cuda.current_device())):
            self._found = step(self._spikes, self._classes)

    def fits(self, spikes: Tensor) -> bool:
        """Whether a batch has its size."""
        return self._spikes.shape == spikes.shape

    def step(self, spikes: Tensor, classes: Tensor) -> _Step:
        """Learn from a batch."""
        self._spikes.copy_(spikes)
        self._classes.copy_(classes)
        self._graph.replay()
        return self._found


def _aside(step: Callable[[Tensor, Tensor], _Step], spikes: Tensor, classes: Tensor) -> _Step:
    """A step beside the default stream, as whatever precedes a capture must be."""
    here, aside = torch.cuda.current_stream(), _side_stream(torch.cuda.current_device())
    aside.wait_stream(here)
    try:
        with torch.cuda.stream(aside):
            return step(spikes, classes)
    finally:
        here.wait_stream(aside)


@functools.cache
def _side_stream(device: int) -> torch.cuda.Stream:
    """The same for all trials: cuBLAS keeps memory for each stream that it was used on."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream
