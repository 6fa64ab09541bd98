"""The hyperparameters each network takes, with the defaults of its library: plain data that needs no torch.

Sources: BindsNET 0.3.4, ``DiehlAndCook2015`` and its MNIST example; lava-dl 0.6.0, ``slayer`` tutorials. The spelling
is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from snnhpo_mpi.hyperparameters.hyperparameter import Hyperparameter
from snnhpo_mpi.hyperparameters.neurons import DEFAULT, NEURONS
from snnhpo_mpi.hyperparameters.ranges import RANGES
from snnhpo_mpi.trial import ParamValue

STDP_DECODERS = ("all", "vote", "2gram", "3gram", "log", "svm")
SLAYER_DECODERS = ("rate", "max")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "one_cycle")


def _table(
    numbers: Mapping[str, tuple[float, str]], words: Mapping[str, Hyperparameter]
) -> Mapping[str, Hyperparameter]:
    """Name -> (default, meaning), and the hyperparameters that are words."""
    rows = {name: Hyperparameter(default, what, RANGES[name]) for name, (default, what) in numbers.items()}
    return MappingProxyType({**words, **rows})


DIEHL_COOK = _table(
    {
        "epochs": (1, "passes over the training samples"),
        "map_size": (100, "excitatory neurons, and as many inhibitory ones"),
        "nu_pre": (1e-4, "learning rate at presynaptic spikes"),
        "nu_post": (1e-2, "learning rate at postsynaptic spikes"),
        "strength_exc": (22.5, "weight excitatory -> inhibitory"),
        "strength_inh": (17.5, "weight inhibitory -> excitatory, applied negatively"),
        "norm": (78.4, "sum of the input weights of a neuron after each sample"),
        "e_thresh": (-52.0, "threshold, excitatory"),
        "e_rest": (-65.0, "resting potential, excitatory"),
        "e_reset": (-60.0, "potential after a spike, excitatory"),
        "e_refrac": (5, "refractory period, excitatory"),
        "theta_plus": (0.05, "rise of the adaptive threshold at a spike"),
        "tc_theta_decay": (1e7, "time constant of the adaptive threshold"),
        "e_tc_decay": (100.0, "membrane time constant, excitatory"),
        "e_tc_trace": (20.0, "time constant of the excitatory spike trace"),
        "x_tc_trace": (20.0, "time constant of the input spike trace"),
        "i_thresh": (-40.0, "threshold, inhibitory"),
        "i_rest": (-60.0, "resting potential, inhibitory"),
        "i_reset": (-45.0, "potential after a spike, inhibitory"),
        "i_refrac": (2, "refractory period, inhibitory"),
        "i_tc_decay": (10.0, "membrane time constant, inhibitory"),
    },
    {"decoder": Hyperparameter("all", "reads the class from excitatory spikes", choices=STDP_DECODERS)},
)

DIEHL_COOK_DISTANCE: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        **DIEHL_COOK,
        **_table(
            {
                "reset_interval": (100, "steps after which potentials and traces start from rest"),
                "strength_inh": (17.5, "weight inhibitory -> farthest excitatory, applied negatively"),
            },
            {},
        ),
    }
)

_LEARNER = _table(
    {
        "epochs": (5, "passes over the training samples"),
        "batch_size": (32, "samples of a minibatch"),
        "learning_rate": (1e-3, "step of Adam"),
    },
    {"decoder": Hyperparameter("rate", "loss, and how the class is read", choices=SLAYER_DECODERS)},
)

TORCH = _table(
    {
        "epochs": (5, "passes over the training samples"),
        "batch_size": (32, "samples of a minibatch"),
        "learning_rate": (1e-3, "largest step of the optimizer"),
        "momentum": (0.9, "sgd only: share of the last step that is kept"),
        "weight_decay": (0.0, "share of each weight that a step takes away; of adam and sgd by the gradient"),
        "gradient_clipping": (0.0, "largest norm of a batch's gradient; 0 for none"),
        "label_smoothing": (0.0, "share of a label that is spread over all classes; cross entropies only"),
    },
    {
        "optimizer": Hyperparameter("adam", "how a gradient becomes a step", choices=OPTIMIZERS),
        "schedule": Hyperparameter("constant", "how the steps change over the training", choices=SCHEDULES),
    },
)

_NEURONS: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        **{name: one for neuron in NEURONS.values() for name, one in neuron.takes.items()},
        **_table(
            {"dropout": (0.05, "probability of dropping a neuron")},
            {"neuron": Hyperparameter(DEFAULT, "kind of the neurons of all layers", choices=tuple(NEURONS))},
        ),
    }
)

_CONVOLUTIONS = _table(
    {
        "c1_filters": (8, "filters of the first convolution"),
        "c1_k": (5, "kernel size of the first convolution, clipped to its input"),
        "c2_filters": (16, "filters of the second convolution"),
        "c2_k": (3, "kernel size of the second convolution, clipped to its input"),
    },
    {},
)

CSNN: Mapping[str, Hyperparameter] = MappingProxyType({**_LEARNER, **_CONVOLUTIONS, **_NEURONS})

DENSE: Mapping[str, Hyperparameter] = MappingProxyType(
    {**_LEARNER, **_table({"hidden": (128, "neurons of the hidden layer")}, {}), **_NEURONS}
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
    """The table of one network; of ``trainer: torch`` what the trainer itself takes.

    Raises:
        KeyError: unknown trainer or network.
    """
    return TORCH if trainer == "torch" else NETWORKS[trainer][network]


def defaults(trainer: str, network: str) -> dict[str, ParamValue]:
    """The library's value of every hyperparameter of one network."""
    return {name: hyperparameter.default for name, hyperparameter in hyperparameters(trainer, network).items()}
