"""The neurons of SLAYER networks: equations, and a file for each way to compute them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from snnhpo_mpi.hyperparameters.neurons import DEFAULT, NEURONS
from snnhpo_mpi.trial import Params

Neuron = Callable[[Tensor], Tensor]
"""Currents of a layer ``T x ...`` -> its spikes ``T x ...``, from rest; a spike leaves a step after it was fired."""


def neuron_of(params: Params) -> Neuron:
    """The neurons that the hyperparameters of a network ask for."""
    module = import_module(f"{__name__}.{NEURONS[str(params.get('neuron', DEFAULT))].module}")
    neuron: Neuron = module.neuron(params)
    return neuron
