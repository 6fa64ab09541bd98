"""A layer of ``lif`` or ``cuba`` neurons."""

from __future__ import annotations

from snnhpo_mpi.snn.slayer.neurons import Neuron, lif
from snnhpo_mpi.snn.slayer.neurons.layer import layer
from snnhpo_mpi.trial import Params


def neuron(params: Params) -> Neuron:
    """The neurons that the hyperparameters ask for."""
    return layer(lif.lif(params), lambda like: lif)
