"""How any network takes a step down its loss, and what its layers spike meanwhile.

Notation: B samples, T steps, C channels, H x W pixels, K classes; L layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from snnhpo_mpi.snn.torch.adapters import resets
from snnhpo_mpi.snn.torch.axes import first_tensor
from snnhpo_mpi.snn.torch.losses import loss_of, predicted
from snnhpo_mpi.snn.torch.optimizers import make
from snnhpo_mpi.snn.torch.presentation import Presentation
from snnhpo_mpi.snn.torch.probe import OUTPUT, Found, Layer
from snnhpo_mpi.trial import Params

AUTO = "auto"


class Reading:
    """A network with what is needed to read it."""

    def __init__(self, network: torch.nn.Module, presentation: Presentation, found: Found, loss: str) -> None:
        """Hand in the network and what was found of it."""
        self.network, self._found, self.loss = network, found, loss
        self.presentation = presentation.with_features(found.features)
        self._resets = resets(network)

    def output(self, samples: Tensor) -> Tensor:
        """``B x T x C x H x W`` -> ``B x T x K``; the state of the batch before is forgotten.

        Raises:
            ValueError: another shape than at the beginning.
        """
        for reset in self._resets:
            reset()
        n, readout = len(samples), self._found.readout
        calls = [self.presentation.chosen(one) for one in self.presentation.returned(self.network, samples)]
        return torch.cat([readout.read(one, n) for one in calls], 1)

    @torch.no_grad()
    def classes(self, samples: Tensor) -> Tensor:
        """``B`` classes, in eval mode.

        Raises:
            FloatingPointError: the output is not finite.
        """
        self.network.eval()
        output = self.output(samples)
        if not output.isfinite().all():
            raise FloatingPointError("the output is not finite in eval mode")
        return predicted(self.loss, output)

    def state_dict(self) -> dict[str, Any]:
        """Of the network, without what it remembers of a batch."""
        for reset in self._resets:
            reset()
        return self.network.state_dict()


class Counters:
    """Counts the spikes of layers, by hooks."""

    def __init__(self, network: torch.nn.Module, watched: Mapping[str, tuple[Layer, ...]]) -> None:
        """Watch.

        Args:
            network: that the layers are of.
            watched: name of a monitor -> its layers.
        """
        self._watched = watched
        self._sums: dict[str, Tensor | None] = {}
        self._n = 0  # samples of the batch that is counted
        for layer in {one.path: one for layers in watched.values() for one in layers}.values():
            module = network if layer.path == OUTPUT else network.get_submodule(layer.path)
            module.register_forward_hook(lambda module, given, output, layer=layer: self._add(layer, output))

    def start(self, n: int) -> None:
        """A batch of ``n`` samples follows."""
        self._n = n
        self._sums = {}

    def _add(self, layer: Layer, output: Any) -> None:
        spikes = first_tensor(output)
        if spikes is None or not self._n:
            return
        counts = layer.axis.counts(spikes.detach(), self._n)
        before = self._sums.get(layer.path)
        self._sums[layer.path] = counts if before is None else before + counts

    def counts(self) -> dict[str, Tensor]:
        """Name of a monitor -> ``L x B`` spikes of each sample, of its layers.

        Raises:
            ValueError: a layer was not called, or its output has other samples.
        """
        counts = {name: torch.stack([self._of(layer) for layer in layers]) for name, layers in self._watched.items()}
        self._n = 0
        return counts

    def _of(self, layer: Layer) -> Tensor:
        found = self._sums.get(layer.path)
        if found is None or len(found) != self._n:
            what = "was not called" if found is None else f"has {len(found)} samples instead of {self._n}"
            raise ValueError(f"the layer {layer.path} ({layer.kind}) {what} with this batch")
        return found


class Learning:
    """A network that learns from one batch after another."""

    def __init__(
        self, reading: Reading, watched: Mapping[str, tuple[Layer, ...]], params: Params, n_steps: int
    ) -> None:
        """Start with fresh moments of the gradient.

        Args:
            reading: of the network, which changes as it learns.
            watched: name of a monitor -> its layers.
            params: what the trainer takes.
            n_steps: of the whole training, for the schedule of the learning rate.
        """
        self.network, self.reading = reading.network, reading
        self._loss, self._loss_name = loss_of(reading.loss, float(params["label_smoothing"])), reading.loss
        self._counters = Counters(self.network, watched)
        self._optimizer = make(self.network.parameters(), params, n_steps)

    def train(self, samples: Tensor, classes: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Predict a batch, and take one step down its loss.

        Args:
            samples: ``B x T x C x H x W``.
            classes: ``B``.

        Returns:
            Predicted classes ``B``; name of a monitor -> ``L x B`` spikes of each sample; ``B x T x K`` output; all of
            before the step.

        Raises:
            FloatingPointError: the loss or its gradient is not finite.
            ValueError: the output has another shape than at the beginning, or no gradient.
        """
        self.network.train()
        self._optimizer.zero_grad()
        self._counters.start(len(samples))
        output = self.reading.output(samples)
        counts = self._counters.counts()
        if not output.requires_grad:
            raise ValueError(
                "the output has no gradient: a spike must be a surrogate-gradient function of the potential"
            )
        loss = self._loss(output, classes)
        loss.backward()  # type: ignore[no-untyped-call]
        slope = self._optimizer.step()
        if not math.isfinite((loss.detach() + slope).item()):
            raise FloatingPointError(f"training diverged: loss {loss.item():g}, norm of its gradient {slope.item():g}")
        output = output.detach()
        return predicted(self._loss_name, output), counts, output

    def end_training(self) -> None:
        """Nothing is held for learning alone."""

    def state_dict(self) -> dict[str, Any]:
        """The network and the moments of its gradient."""
        return {"network": self.reading.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Learn on from there, before the first batch."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
