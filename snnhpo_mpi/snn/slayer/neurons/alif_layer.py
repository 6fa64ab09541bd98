"""A layer of ``alif`` neurons: by fused kernels where a GPU has them.

Outputs and gradients equal those of lava-dl 0.6.0.
"""

from __future__ import annotations

from torch import Tensor

from snnhpo_mpi.snn.slayer.neurons import Neuron
from snnhpo_mpi.snn.slayer.neurons.alif import alif
from snnhpo_mpi.snn.slayer.neurons.layer import Engine, layer
from snnhpo_mpi.snn.triton_available import fuses
from snnhpo_mpi.trial import Params


def neuron(params: Params) -> Neuron:
    """The neurons that the hyperparameters ask for."""
    return layer(alif(params), _engine)


def _engine(like: Tensor) -> Engine:
    if not fuses(like):
        from snnhpo_mpi.snn.slayer.neurons import alif_torch

        return alif_torch
    from snnhpo_mpi.snn.slayer.neurons import alif_triton

    return alif_triton
