"""Two problems that look like the search for a spiking network: mixed space, rare feasible region, cliff, noise.

They are formulas and train nothing. 19 hyperparameters of the MNIST STDP space decide two *drives*; a layer is silent
where its drive is too low (or, in ``silent_band``, out of balance), and the share of silent samples goes from nearly 0
to nearly 1 within a few per cent of an axis. A silent network is stopped early: it shows silent shares, estimated on
few samples, and an accuracy at chance. Others are scored on 500 held-out samples. Under 1 % of the volume is feasible.

Notation
    u   encoded position in [0, 1] of each hyperparameter, 0.5 the middle of its axis
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from snnhpo_mpi.bench.problems import Problem
from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter, Parameter
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ACCURACY, Outcome, Params, State, Trial

CHANCE = 0.1
BETA = 0.1  # largest tolerated share of silent samples
N_HELD_OUT = 500
N_SEEN_STOPPED, N_SEEN = 60, 2000  # samples that the silent shares are estimated on
STEEPNESS = 10.0  # of the cliff, per unit of drive
STOPPED_SHARE = 0.02  # of the duration of a full training

PARAMETERS: dict[str, Parameter] = {
    "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram", "3gram")),
    "epochs": IntParameter(type="int", low=1, high=3),
    "map_size": IntParameter(type="int", low=20, high=2000),
    "nu_pre": FloatParameter(type="float", low=1e-4, high=1e-2, scale="log"),
    "nu_post": FloatParameter(type="float", low=1e-4, high=1e-2, scale="reverse_log"),
    "strength_exc": FloatParameter(type="float", low=1, high=500),
    "strength_inh": FloatParameter(type="float", low=1, high=500),
    "norm": FloatParameter(type="float", low=78.4, high=784, scale="log"),
    "e_thresh": FloatParameter(type="float", low=-59, high=0),
    "e_rest": FloatParameter(type="float", low=-70, high=-60),
    "e_refrac": IntParameter(type="int", low=0, high=20),
    "theta_plus": FloatParameter(type="float", low=0.001, high=0.5, scale="reverse_log"),
    "tc_theta_decay": FloatParameter(type="float", low=1e6, high=2e7, scale="reverse_log"),
    "e_tc_decay": FloatParameter(type="float", low=5, high=5000),
    "e_tc_trace": FloatParameter(type="float", low=1, high=100, scale="log"),
    "i_thresh": FloatParameter(type="float", low=-40, high=0),
    "i_rest": FloatParameter(type="float", low=-60, high=-45),
    "i_refrac": IntParameter(type="int", low=0, high=20),
    "i_tc_decay": FloatParameter(type="float", low=5, high=5000),
}
SPACE = Space(PARAMETERS)

EXCITATION = {
    "norm": 1.6,
    "strength_exc": 0.4,
    "e_thresh": -2.2,
    "e_rest": 0.5,
    "e_tc_decay": 0.8,
    "e_refrac": -0.4,
    "theta_plus": -1.2,
    "strength_inh": -1.0,
    "map_size": -0.8,
}
INHIBITION = {"strength_exc": 2.0, "i_thresh": -2.0, "i_rest": 0.8, "i_tc_decay": 0.7, "i_refrac": -0.3}
OPTIMUM = {
    "nu_pre": (0.35, 1.5),
    "nu_post": (0.6, 1.5),
    "map_size": (0.75, 1.2),
    "e_tc_trace": (0.4, 0.6),
    "tc_theta_decay": (0.7, 0.5),
    "strength_inh": (0.3, 1.0),
    "epochs": (0.9, 0.2),
    "theta_plus": (0.35, 0.8),
}
DECODERS = {"all": 0.97, "vote": 0.94, "2gram": 1.0, "3gram": 0.9}

Positions = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Network:
    """What the formulas say of a configuration.

    Attributes:
        silent: share of silent samples, excitatory and inhibitory layer.
        accuracy: held-out accuracy in [0, 1] if it were trained to the end.
    """

    silent: tuple[float, float]
    accuracy: float


def positions(params: Params) -> Positions:
    """The u of every hyperparameter that is a number."""
    x = SPACE.encode(params)
    return {name: float(x[SPACE.columns[name].start]) for name in SPACE.names if name != "decoder"}


def _drive(weights: Mapping[str, float], u: Positions) -> float:
    return sum(weight * (u[name] - 0.5) for name, weight in weights.items())


def _silent(margin: float) -> float:
    return 1.0 / (1.0 + math.exp(min(STEEPNESS * margin, 500.0)))


def _quality(u: Positions, decoder: str, activity: float) -> float:
    """In (0, 1]: best near given positions and at a moderate activity, not far from silence."""
    cost = sum(weight * (u[name] - at) ** 2 for name, (at, weight) in OPTIMUM.items())
    return DECODERS[decoder] * math.exp(-cost - 0.6 * (activity - 0.8) ** 2)


def ridge(params: Params) -> Network:
    """Both layers are silent below a drive that is linear in the positions."""
    u = positions(params)
    exciting = _drive(EXCITATION, u) - 1.55
    inhibiting = _drive(INHIBITION, u) + 0.3 * math.tanh(2.0 * exciting) - 1.0
    active = 1.0 - _silent(exciting)
    silent = (1.0 - active, 1.0 - active * (1.0 - _silent(inhibiting)))
    return Network(silent, CHANCE + 0.88 * _quality(u, str(params["decoder"]), exciting))


def band(params: Params) -> Network:
    """Drives are products, and the excitatory layer is also silent where the two strengths are out of balance."""
    u = positions(params)
    gain = 3.0 * u["norm"] * (0.3 + u["e_tc_decay"]) * (1.2 - u["e_thresh"]) * (1.1 - 0.7 * u["theta_plus"])
    balance = (u["strength_exc"] + 0.3 * math.sin(5.0 * u["i_thresh"])) - (0.2 + 0.8 * u["strength_inh"] ** 2)
    exciting = gain - 1.9 - 0.5 * u["e_refrac"] - 4.0 * balance**2
    inhibiting = 2.2 * u["strength_exc"] * (1.1 - u["i_thresh"]) * (0.5 + u["i_tc_decay"]) + 0.4 * u["i_rest"] - 0.3
    active = 1.0 - _silent(exciting)
    silent = (1.0 - active, 1.0 - active * (1.0 - _silent(inhibiting)))
    return Network(silent, CHANCE + 0.88 * _quality(u, str(params["decoder"]), exciting))


def silent_problem(name: str, network: Callable[[Params], Network]) -> Problem:
    """A network's formulas as a problem: noise of finite samples, early stopping, durations."""

    def evaluate(trial: Trial) -> Outcome:
        rng = np.random.default_rng(trial.seed)
        truth = network(trial.params)
        early = rng.binomial(N_SEEN_STOPPED, truth.silent) / N_SEEN_STOPPED
        if (early > 2.0 * BETA).any():
            accuracy = rng.binomial(N_SEEN_STOPPED, CHANCE) / N_SEEN_STOPPED
            return Outcome(trial.number, State.STOPPED, {ACCURACY: accuracy}, tuple(float(c) for c in early - BETA))
        rates = rng.binomial(N_SEEN, truth.silent) / N_SEEN
        state = State.STOPPED if (rates > BETA).any() else State.COMPLETED
        score = float(rng.binomial(N_HELD_OUT, truth.accuracy) / N_HELD_OUT)
        return Outcome(trial.number, state, {ACCURACY: score}, tuple(float(c) for c in rates - BETA))

    def mean_seconds(params: Params, outcome: Outcome) -> float:
        full = 3600.0 * float(params["epochs"]) * (0.2 + float(params["map_size"]) / 1000.0)
        return full * (STOPPED_SHARE if outcome.state is State.STOPPED else 1.0)

    return Problem(name, SPACE, 2, 20, False, evaluate, lambda params: network(params).accuracy, mean_seconds)
