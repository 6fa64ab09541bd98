"""The neurons of SLAYER networks: one row each, plain facts that need no torch.

To add one, write its row and its module of ``snn/slayer/neurons``, nothing else. The module has ``neuron(params)``: it
gives a function from the currents of a layer to its spikes, both ``T x ...``. A spike leaves a step after it was fired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnhpo_mpi.hyperparameters.hyperparameter import Hyperparameter
from snnhpo_mpi.hyperparameters.ranges import Range


@dataclass(frozen=True, slots=True)
class NeuronKind:
    """One kind of neuron.

    Attributes:
        module: of ``snn/slayer/neurons``.
        takes: its hyperparameters; one that several kinds take has one name, default and meaning.
        library: package of lava-dl's blocks of such neurons (``slayer.block``), for ``engine: library``.
    """

    module: str
    takes: Mapping[str, Hyperparameter]
    library: str | None = None


DEFAULT = "alif"  # also of networks that were saved before there was a choice
_RATE = Range(float, 0, 1e6)
_POSITIVE = Range(float, 1e-9, 1e6)
_DECAY = Range(float, 0, 1)

_TAKES = {
    "tau_grad": Hyperparameter(0.1, "time constant of the surrogate gradient", _POSITIVE),
    "scale_grad": Hyperparameter(0.8, "scale of the surrogate gradient", _RATE),
    "threshold": Hyperparameter(1.25, "spiking threshold", _POSITIVE),
    "threshold_step": Hyperparameter(0.05, "rise of the threshold at a spike", _RATE),
    "current_decay": Hyperparameter(0.25, "share of the current lost in a step", _DECAY),
    "voltage_decay": Hyperparameter(0.03, "share of the voltage lost in a step", _DECAY),
    "threshold_decay": Hyperparameter(0.05, "share of the threshold's rise lost in a step", _DECAY),
    "refractory_decay": Hyperparameter(0.5, "share of the refractory response lost in a step", _DECAY),
}


def _taken(*names: str) -> dict[str, Hyperparameter]:
    return {name: _TAKES[name] for name in names}


_LIF = ("tau_grad", "scale_grad", "threshold", "voltage_decay")

NEURONS: Mapping[str, NeuronKind] = {
    "alif": NeuronKind("alif_layer", _TAKES, library="alif"),
    "lif": NeuronKind("lif_layer", _taken(*_LIF)),
    "cuba": NeuronKind("lif_layer", _taken(*_LIF, "current_decay")),
}
