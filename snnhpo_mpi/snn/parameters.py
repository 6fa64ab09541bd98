"""The hyperparameters each network takes, with the defaults of its library: plain data that needs no torch.

Sources: BindsNET 0.3.4, ``DiehlAndCook2015`` and its MNIST example; lava-dl 0.6.0, ``slayer`` tutorials. The spelling
is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from snnhpo_mpi.trial import ParamValue

STDP_DECODERS = ("all", "vote", "2gram", "3gram", "log", "svm")
SLAYER_DECODERS = ("rate", "max")


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One hyperparameter of a network.

    Attributes:
        default: the library's value, used when it is neither searched nor fixed.
        what: meaning and unit, for ``snnhpo check`` and error messages.
        kind: float, int or str; an int is accepted for a float.
        low: smallest allowed value, None if unbounded.
        high: largest allowed value, None if unbounded.
        choices: allowed values of a categorical.
    """

    default: ParamValue
    what: str
    kind: type[float] | type[int] | type[str] = float
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def rejects(self, value: ParamValue) -> str | None:
        """Why ``value`` is not allowed, or None."""
        if self.kind is str:
            return None if value in self.choices else f"one of {', '.join(self.choices)} is allowed"
        allowed = (int,) if self.kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            return f"{'an integer' if self.kind is int else 'a number'} is needed"
        if self.low is not None and value < self.low:
            return f"at least {self.low:g} is allowed"
        if self.high is not None and value > self.high:
            return f"at most {self.high:g} is allowed"
        return None


def _positive_int(default: int, what: str, low: int = 1) -> Hyperparameter:
    return Hyperparameter(default, what, int, low=low)


DIEHL_COOK: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        "decoder": Hyperparameter("all", "reads the class from excitatory spikes", str, choices=STDP_DECODERS),
        "epochs": _positive_int(1, "passes over the training samples"),
        "map_size": _positive_int(100, "excitatory neurons, and as many inhibitory ones", low=2),
        "nu_pre": Hyperparameter(1e-4, "learning rate at presynaptic spikes", low=0),
        "nu_post": Hyperparameter(1e-2, "learning rate at postsynaptic spikes", low=0),
        "strength_exc": Hyperparameter(22.5, "weight excitatory -> inhibitory", low=0),
        "strength_inh": Hyperparameter(17.5, "weight inhibitory -> excitatory, applied negatively", low=0),
        "norm": Hyperparameter(78.4, "sum of the input weights of a neuron after each sample", low=0),
        "e_thresh": Hyperparameter(-52.0, "threshold, excitatory [mV]"),
        "e_rest": Hyperparameter(-65.0, "resting potential, excitatory [mV]"),
        "e_reset": Hyperparameter(-60.0, "potential after a spike, excitatory [mV]"),
        "e_refrac": _positive_int(5, "refractory period, excitatory [ms]", low=0),
        "theta_plus": Hyperparameter(0.05, "rise of the adaptive threshold at a spike [mV]", low=0),
        "tc_theta_decay": Hyperparameter(1e7, "time constant of the adaptive threshold [ms]", low=1e-6),
        "e_tc_decay": Hyperparameter(100.0, "membrane time constant, excitatory [ms]", low=1e-6),
        "e_tc_trace": Hyperparameter(20.0, "time constant of the excitatory spike trace [ms]", low=1e-6),
        "x_tc_trace": Hyperparameter(20.0, "time constant of the input spike trace [ms]", low=1e-6),
        "i_thresh": Hyperparameter(-40.0, "threshold, inhibitory [mV]"),
        "i_rest": Hyperparameter(-60.0, "resting potential, inhibitory [mV]"),
        "i_reset": Hyperparameter(-45.0, "potential after a spike, inhibitory [mV]"),
        "i_refrac": _positive_int(2, "refractory period, inhibitory [ms]", low=0),
        "i_tc_decay": Hyperparameter(10.0, "membrane time constant, inhibitory [ms]", low=1e-6),
    }
)

DIEHL_COOK_DISTANCE: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        **DIEHL_COOK,
        "reset_interval": _positive_int(100, "steps after which potentials and traces begin anew"),
        "strength_inh": Hyperparameter(17.5, "weight inhibitory -> farthest excitatory, applied negatively", low=0),
    }
)

LEARNER: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        "decoder": Hyperparameter("rate", "loss, and how the class is read", str, choices=SLAYER_DECODERS),
        "epochs": _positive_int(5, "passes over the training samples"),
        "batch_size": _positive_int(32, "samples of a minibatch"),
        "learning_rate": Hyperparameter(1e-3, "step of Adam", low=0),
    }
)

_ALIF: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        "tau_grad": Hyperparameter(0.1, "time constant of the surrogate gradient", low=1e-9),
        "scale_grad": Hyperparameter(0.8, "scale of the surrogate gradient", low=0),
        "threshold": Hyperparameter(1.25, "spiking threshold", low=1e-9),
        "threshold_step": Hyperparameter(0.05, "rise of the threshold at a spike", low=0),
        "current_decay": Hyperparameter(0.25, "share of the current lost in a step", low=0, high=1),
        "voltage_decay": Hyperparameter(0.03, "share of the voltage lost in a step", low=0, high=1),
        "threshold_decay": Hyperparameter(0.05, "share of the threshold's rise lost in a step", low=0, high=1),
        "refractory_decay": Hyperparameter(0.5, "share of the refractory response lost in a step", low=0, high=1),
        "dropout": Hyperparameter(0.05, "probability of dropping a neuron", low=0, high=0.99),
    }
)

CSNN: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        **LEARNER,
        "c1_filters": _positive_int(8, "filters of the first convolution"),
        "c1_k": _positive_int(5, "kernel size of the first convolution, clipped to its input"),
        "c2_filters": _positive_int(16, "filters of the second convolution"),
        "c2_k": _positive_int(3, "kernel size of the second convolution, clipped to its input"),
        **_ALIF,
    }
)

DENSE: Mapping[str, Hyperparameter] = MappingProxyType(
    {**LEARNER, "hidden": _positive_int(128, "neurons of the hidden layer"), **_ALIF}
)

NETWORKS: Mapping[str, Mapping[str, Mapping[str, Hyperparameter]]] = MappingProxyType(
    {
        "stdp": MappingProxyType({"diehl_cook": DIEHL_COOK, "diehl_cook_distance": DIEHL_COOK_DISTANCE}),
        "slayer": MappingProxyType({"csnn": CSNN, "csnn_gesture": CSNN, "dense": DENSE}),
    }
)

LAYERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "diehl_cook": ("excitatory", "inhibitory"),
        "diehl_cook_distance": ("excitatory", "inhibitory"),
        "csnn": ("c1", "pool1", "c2", "pool2", "output"),
        "csnn_gesture": ("pool0", "c1", "pool1", "c2", "pool2", "hidden", "output"),
        "dense": ("hidden", "output"),
    }
)


def hyperparameters(trainer: str, network: str) -> Mapping[str, Hyperparameter]:
    """The table of one network; of somebody's own, ``package.module:Class``, what the trainer itself takes.

    Raises:
        KeyError: unknown trainer or network.
    """
    return LEARNER if ":" in network else NETWORKS[trainer][network]


def defaults(trainer: str, network: str) -> dict[str, ParamValue]:
    """The library's value of every hyperparameter of one network."""
    return {name: hyperparameter.default for name, hyperparameter in hyperparameters(trainer, network).items()}
