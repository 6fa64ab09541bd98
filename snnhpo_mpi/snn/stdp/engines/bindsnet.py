"""The Diehl & Cook networks as BindsNET runs them: ``Network.run``, full matrices, spike monitors.

``engine: library`` trains with it; it is what the faster ``diehl_cook`` is measured and tested against.

This file is BindsNET's border: our ``B x T x C x H x W`` becomes its ``T x B x N``.

Notation: B samples, T steps, M inputs, N excitatory neurons, and as many inhibitory ones.
"""

from __future__ import annotations

import numpy as np
import torch
from bindsnet.encoding import PoissonEncoder
from bindsnet.learning import PostPre
from bindsnet.network import Network
from bindsnet.network.monitors import Monitor
from bindsnet.network.nodes import AdaptiveLIFNodes, DiehlAndCookNodes, Input, LIFNodes, Nodes
from bindsnet.network.topology import Connection
from torch import Tensor

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.snn.encodings import FULL
from snnhpo_mpi.snn.stdp.equations import (
    FORMS,
    INITIAL_WEIGHT,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Form,
    distance_inhibition,
    numbers,
    refuse_overflow,
)
from snnhpo_mpi.snn.stdp.in_batches import InBatches, Response
from snnhpo_mpi.trial import Params


class BindsnetNetwork(InBatches):
    """One network."""

    def __init__(
        self, params: Params, n_inputs: int, dt_ms: float, device: torch.device, form: Form = FORMS["diehl_cook"]
    ) -> None:
        """Build the network, its weights drawn from torch's generator, as ``DiehlCook`` draws them."""
        super().__init__(device)
        refuse_overflow(params, np.float64 if torch.get_default_dtype() == torch.float64 else np.float32)
        self._finite = True
        value = numbers(params)
        n, self._dt_ms, kind = int(value["map_size"]), dt_ms, torch.get_default_dtype()
        self._reset_interval = int(value.get("reset_interval", 0))
        self._network = Network(dt=dt_ms)
        source = Input(n=n_inputs, traces=True, tc_trace=value["x_tc_trace"])
        excitatory = _excitatory(n, value, form)
        inhibitory = LIFNodes(n=n, **_lif(value, "i"))
        learns = value["nu_pre"] > 0 or value["nu_post"] > 0
        synapses = Connection(
            source, excitatory, w=INITIAL_WEIGHT * torch.rand(n_inputs, n), norm=value["norm"],
            update_rule=PostPre if learns else None, nu=(value["nu_pre"], value["nu_post"]), reduction=torch.sum,
            wmin=WEIGHT_MIN, wmax=WEIGHT_MAX, w_dtype=kind,
        )  # fmt: skip
        inhibition = value["strength_inh"] * (1 - torch.eye(n))
        if form.by_distance:
            inhibition = torch.from_numpy(distance_inhibition(n, value["strength_inh"]))
        excitation = value["strength_exc"] * torch.eye(n)
        self._add(source, "X")
        self._add(excitatory, "Ae")
        self._add(inhibitory, "Ai")
        self._network.add_connection(synapses, "X", "Ae")
        forth = Connection(excitatory, inhibitory, w=excitation, w_dtype=kind)
        self._network.add_connection(forth, "Ae", "Ai")
        back = Connection(inhibitory, excitatory, w=-inhibition.to(kind), w_dtype=kind)
        self._network.add_connection(back, "Ai", "Ae")
        self._network.to(device)
        synapses.normalize()
        self._synapses, self._excitatory = synapses, excitatory

    @property
    def w(self) -> Tensor:
        """See ``InBatches``."""
        w: Tensor = self._synapses.w.data
        return w

    @property
    def theta(self) -> Tensor:
        """See ``InBatches``."""
        theta: Tensor = self._excitatory.theta
        return theta

    @property
    def _has_finite_potentials(self) -> bool:
        return self._finite

    def _add(self, layer: Nodes, name: str) -> None:
        self._network.add_layer(layer, name)

    def _present(self, spikes: Tensor, learning: bool) -> Response:
        steps = spikes.flatten(2).transpose(0, 1).contiguous()
        # A step of a batch takes as long as one of each of its samples.
        self._excitatory.theta_decay = torch.exp(-len(spikes) * self._dt_ms / self._excitatory.tc_theta_decay)
        self._network.train(learning)
        recorded: tuple[list[Tensor], list[Tensor]] = ([], [])
        for part in torch.split(steps, self._reset_interval or len(steps)):
            for name in ("Ae", "Ai"):
                monitor = Monitor(self._network.layers[name], ["s"], time=len(part))
                self._network.add_monitor(monitor, name)
            self._network.reset_state_variables()
            # A copy: the library's input layer keeps a view of what it is shown, and clears it.
            self._network.run({"X": part.clone()}, time=len(part) * self._dt_ms)
            for name, parts in zip(("Ae", "Ai"), recorded, strict=True):
                parts.append(self._network.monitors[name].get("s").bool())
                self._finite &= bool(self._network.layers[name].v.isfinite().all())
        excitatory, inhibitory = (torch.cat(parts).transpose(0, 1) for parts in recorded)
        return Response(excitatory, inhibitory)


def poisson_encoded(images: Tensor, encoding: EncodingSettings) -> Tensor:
    """Images ``B x C x H x W`` as the library's ``PoissonEncoder`` encodes them, drawn from torch's global generator.

    Returns:
        ``B x T x C x H x W`` bool.
    """
    assert encoding.max_rate_hz is not None
    encoder = PoissonEncoder(time=encoding.steps * encoding.dt_ms, dt=encoding.dt_ms)
    return torch.stack([encoder(image.float() / FULL * encoding.max_rate_hz) for image in images]).bool()


def _excitatory(n: int, value: dict[str, float], form: Form) -> Nodes:
    constants = _lif(value, "e") | {name: value[name] for name in ("theta_plus", "tc_theta_decay")}
    kind = DiehlAndCookNodes if form.one_winner else AdaptiveLIFNodes
    return kind(n=n, traces=True, tc_trace=value["e_tc_trace"], **constants)


def _lif(value: dict[str, float], layer: str) -> dict[str, float]:
    """The library's arguments of a layer, [mV] and [ms]."""
    return {name: value[f"{layer}_{name}"] for name in ("thresh", "rest", "reset", "refrac", "tc_decay")}
