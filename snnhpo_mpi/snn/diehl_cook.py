"""The Diehl & Cook network, of BindsNET's neurons, connection and learning rule, a batch at a time.

    input - all to all, learnt by STDP -> excitatory <-> inhibitory

One-to-one excitation of the inhibitory layer, inhibition of all *other* excitatory neurons. Source: Diehl & Cook,
Front. Comput. Neurosci. 2015; BindsNET 0.3.4, ``DiehlAndCook2015``. Every synapse takes one step, as there.

This file is BindsNET's border: our ``B x T x C x H x W`` becomes its ``T x B x N``.

Notation: B samples, T steps, M inputs, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from bindsnet.learning import PostPre
from bindsnet.network.nodes import DiehlAndCookNodes, Input, LIFNodes, Nodes
from bindsnet.network.topology import Connection
from torch import Tensor

from snnhpo_mpi.trial import Params

WEIGHT_MIN, WEIGHT_MAX = 0.0, 1.0
INITIAL_WEIGHT = 0.3  # of the library: uniform on [0, 0.3], before normalisation


@dataclass(frozen=True, slots=True)
class Response:
    """Spikes to a batch, ``B x T x N`` bool each."""

    excitatory: Tensor
    inhibitory: Tensor


class DiehlCook:
    """One network; its state is that of BindsNET's layers and of the one learnt connection.

    The lateral connections are not matrices: with one strength for all synapses, a step of them is a product with a
    number, or a sum over neurons, instead of two dense N x N products.
    """

    def __init__(self, params: Params, n_inputs: int, dt_ms: float, device: torch.device) -> None:
        """Build the network, its weights drawn from torch's generator.

        Args:
            params: a value of every hyperparameter of ``parameters.DIEHL_COOK``.
            n_inputs: M.
            dt_ms: time step.
            device: where it lives.
        """
        value = {name: float(number) for name, number in params.items() if not isinstance(number, str)}
        n_neurons = int(value["map_size"])
        self._strength_exc, self._strength_inh = value["strength_exc"], value["strength_inh"]
        self.input = Input(n=n_inputs, traces=True, tc_trace=value["x_tc_trace"])
        self.excitatory = DiehlAndCookNodes(n=n_neurons, traces=True, **_neuron(value, "e"), **_threshold(value))
        self.inhibitory = LIFNodes(n=n_neurons, traces=False, **_neuron(value, "i"))
        learns = value["nu_pre"] > 0 or value["nu_post"] > 0
        self.synapses = Connection(
            source=self.input,
            target=self.excitatory,
            w=INITIAL_WEIGHT * torch.rand(n_inputs, n_neurons),
            update_rule=PostPre if learns else None,
            nu=(value["nu_pre"], value["nu_post"]),
            reduction=torch.sum,
            norm=value["norm"],
        ).to(device)
        for layer in self._layers:
            layer.to(device)
            layer.compute_decays(dt_ms)
        # The library normalises after each presentation only; a large norm would leave the first batch silent.
        self.synapses.normalize()

    @property
    def _layers(self) -> tuple[Nodes, Nodes, Nodes]:
        return self.input, self.excitatory, self.inhibitory

    def state_dict(self) -> dict[str, Tensor]:
        """What outlasts a batch: weights ``M x N`` and adaptive thresholds ``N``."""
        return {"w": self.synapses.w, "theta": self.excitatory.theta}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take weights and adaptive thresholds of another network of this size."""
        self.synapses.w.copy_(state["w"])
        self.excitatory.theta.copy_(state["theta"])

    def train(self, spikes: Tensor) -> Response:
        """Present a batch with learning on: weights and thresholds change at every step, norms at the end.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        steps = self._start(spikes, learning=True)
        response = self._empty_response(steps)
        for t, arriving in enumerate(steps):
            current = self.synapses.compute(self.input.s)
            self.input.forward(arriving)
            self._step(current, response, t)
            self.synapses.update(learning=True)
            # The library would clamp with bounds that are tensors, which costs a fifth of all time.
            self.synapses.w.clamp_(WEIGHT_MIN, WEIGHT_MAX)
        self.synapses.normalize()
        return response

    def score(self, spikes: Tensor) -> Response:
        """Present a batch with weights and adaptive thresholds frozen.

        Args:
            spikes: ``B x T x C x H x W`` bool.
        """
        steps = self._start(spikes, learning=False)
        response = self._empty_response(steps)
        # Frozen weights: the currents of all steps at once. A spike arrives one step after it was fired.
        currents = _sum_of_rows(self.synapses.w, steps[:-1])
        for t in range(len(steps)):
            current = currents[t - 1] if t else torch.zeros_like(self.excitatory.v)
            self._step(current, response, t)
        return response

    def _start(self, spikes: Tensor, learning: bool) -> Tensor:
        """All state but weights and adaptive thresholds to rest; spikes as ``T x B x M``."""
        steps = spikes.flatten(2).transpose(0, 1).clone(memory_format=torch.contiguous_format)
        self.excitatory.traces = learning  # nothing else reads them
        for layer in self._layers:
            layer.train(learning)
            layer.set_batch_size(steps.shape[1])
            layer.reset_state_variables()
        return steps

    def _empty_response(self, steps: Tensor) -> Response:
        shape = (*steps.shape[:2], self.excitatory.n)
        spikes = (torch.empty(shape, dtype=torch.bool, device=steps.device).transpose(0, 1) for _ in range(2))
        return Response(*spikes)

    def _step(self, current: Tensor, response: Response, t: int) -> None:
        """One step of both layers, each driven by the other's spikes of the step before; written to ``response``."""
        fired = self.inhibitory.s.to(current.dtype)
        current = current - self._strength_inh * (fired.sum(1, keepdim=True) - fired)
        excitation = self._strength_exc * self.excitatory.s.to(current.dtype)
        self.excitatory.forward(current)
        self.inhibitory.forward(excitation)
        response.excitatory[:, t] = self.excitatory.s
        response.inhibitory[:, t] = self.inhibitory.s


def _sum_of_rows(weights: Tensor, spikes: Tensor) -> Tensor:
    """The product of spikes ``... x M`` with weights ``M x N``; few inputs spike, so their rows are added up.

    Returns:
        ``... x N``.
    """
    row, column = spikes.flatten(0, -2).nonzero(as_tuple=True)
    ends = torch.bincount(row, minlength=spikes.shape[:-1].numel()).cumsum(0)
    starts = torch.nn.functional.pad(ends[:-1], (1, 0))
    sums = torch.nn.functional.embedding_bag(column, weights, starts, mode="sum")
    return sums.view(*spikes.shape[:-1], -1)


def _neuron(value: dict[str, float], layer: str) -> dict[str, float]:
    """The library's arguments of a leaky integrate-and-fire layer, [mV] and [ms]."""
    names = ("thresh", "rest", "reset", "refrac", "tc_decay")
    return {name: value[f"{layer}_{name}"] for name in names}


def _threshold(value: dict[str, float]) -> dict[str, float]:
    """The library's arguments of the adaptive threshold and the spike trace."""
    return {
        "theta_plus": value["theta_plus"],
        "tc_theta_decay": value["tc_theta_decay"],
        "tc_trace": value["e_tc_trace"],
    }
