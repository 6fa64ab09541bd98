"""What a layer can fire on a sample at most: arithmetic that needs no torch.

Every synapse of a Diehl & Cook network takes a step, as every layer of a SLAYER network does, pools included: before
its first step a layer has had no input. Notation: T steps of a sample.
"""

from __future__ import annotations

import math

from snnhpo_mpi.snn.parameters import LAYERS


def most_spikes(n_steps: int, refrac_ms: float, dt_ms: float, first: int = 1) -> int:
    """Spikes that a neuron with this refractory period can fire in ``n_steps``, the first in step ``first``, from 0.

    At least 1, so that shares of it mean something where the sample is too short for any.
    """
    return max(most_of_layer(n_steps, 1, refrac_ms / dt_ms, first), 1)


def most_of_layer(n_steps: int, n_neurons: int, refrac_steps: float, first: int) -> int:
    """Spikes that ``n_neurons`` can fire in ``n_steps``, of which the first is in step ``first``, from 0."""
    return n_neurons * max(math.ceil((n_steps - first) / (1 + math.ceil(refrac_steps))), 0)


def first_step(network: str, layer: str) -> int:
    """The step, from 0, in which a layer of a SLAYER network can first fire; of somebody's own network 1."""
    return LAYERS[network].index(layer) + 1 if network in LAYERS else 1
