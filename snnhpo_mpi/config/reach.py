"""Whether a configuration's rules can be passed and can act at all, at the point of the space where that is easiest.

Only what is impossible for certain is refused. Notation: T steps of a sample, N neurons of a layer, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.config.faults import Fault
from snnhpo_mpi.config.parameters import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.config.settings import SaturationSettings, SlayerSettings, StdpSettings, StudyConfig, TorchSettings
from snnhpo_mpi.hyperparameters.firing import first_step, most_of_layer, most_spikes
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.hyperparameters.ranges import MAX_STEPS

N_DIGITS = 10  # classes of a data set whose row does not say it, at most
N_UNKNOWN = 10**12  # neurons of a layer that depend on the data: more than any can have
N_HIDDEN = 512  # of csnn_gesture
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class _Span:
    """The smallest and the largest value that a hyperparameter has anywhere in the space."""

    low: float
    high: float


def reach_faults(config: StudyConfig) -> Iterator[Fault]:
    """What no network of the space could satisfy, and rules that could never act."""
    match config.trainer:
        case StdpSettings():
            refractory = list(_refractory_faults(config, config.trainer))
            yield from refractory or _Stdp(config, config.trainer).faults()
        case SlayerSettings():
            yield from _slayer_faults(config, config.trainer)
        case TorchSettings():
            pass  # what it fires is not known
        case _:
            return
    yield from _chance_faults(config)


def _span(config: StudyConfig, name: str) -> _Span:
    assert config.trainer.name != "python"
    searched = config.searched.get(name)
    values: list[float] = []
    match searched:
        case FloatParameter(low=low, high=high) | IntParameter(low=low, high=high):
            values = [low, high]
        case CategoricalParameter(choices=choices):
            values = [float(choice) for choice in choices]
    if searched is None or searched.when:  # where it does not exist it has its default
        values.append(float(config.fixed.get(name, defaults(config.trainer.name, config.trainer.network)[name])))
    return _Span(min(values), max(values))


def _refractory_faults(config: StudyConfig, trainer: StdpSettings) -> Iterator[Fault]:
    """The library counts a refractory period down by ``dt_ms`` in single precision, step by step."""
    dt_ms = trainer.encoding.dt_ms
    for name in ("e_refrac", "i_refrac"):
        if (found := _span(config, name).high) > MAX_STEPS * dt_ms:
            path = ("space", name) if name in config.space else ("fixed", name)
            yield (
                path if name in {*config.space, *config.fixed} else ("trainer", "encoding", "dt_ms"),
                f"{name} of at most {MAX_STEPS} time steps is allowed, which are {MAX_STEPS * dt_ms:g} ms at dt_ms "
                f"{dt_ms:g}, found {found:g} ms",
            )


def _chance_faults(config: StudyConfig) -> Iterator[Fault]:
    if config.chance is None:
        return
    most = _span(config, "epochs").high
    if config.chance.after_epochs > most:
        yield (
            ("chance", "after_epochs"),
            f"must be at most {most:.0f}, the most epochs of a training here, or it never acts, found "
            f"{config.chance.after_epochs}",
        )


def _alpha_fault(index: int, alpha: int, layer: str, most: int, n_steps: int) -> Iterator[Fault]:
    if alpha > most:
        yield (
            ("stopping", index, "alpha"),
            f"at most {most} is allowed, which is all that the layer {layer} can fire in {n_steps} time steps: every "
            f"network would be stopped, found {alpha}",
        )


# SLAYER: a neuron can fire in every step from that on in which spikes first reach its layer.


def _slayer_faults(config: StudyConfig, trainer: SlayerSettings) -> Iterator[Fault]:
    n_steps = trainer.encoding.steps
    for index, monitor in enumerate(config.stopping):
        most = most_of_layer(
            n_steps, _slayer_neurons(config, trainer, monitor.layer), 0, _first(trainer, monitor.layer)
        )
        yield from _alpha_fault(index, monitor.alpha, monitor.layer, most, n_steps)
    for index, watched in enumerate(config.saturation):
        if n_steps <= (first := _first(trainer, watched.layer)):
            yield (
                ("saturation", index, "layer"),
                f"{watched.layer!r} cannot fire in {n_steps} time steps, so this never acts: at least {first + 1} are "
                "needed",
            )


def _first(trainer: SlayerSettings, layer: str) -> int:
    return first_step(trainer.network, layer)


def _slayer_neurons(config: StudyConfig, trainer: SlayerSettings, layer: str) -> int:
    """N at most; of convolutions, whose maps depend on the data, more than any can have."""
    if layer == "output":
        row = DATASETS[trainer.dataset.name]
        return row.n_classes or (N_UNKNOWN if row.kind == "own" else N_DIGITS)
    if layer == "hidden":
        return int(_span(config, "hidden").high) if trainer.network == "dense" else N_HIDDEN
    return N_UNKNOWN


# STDP: a neuron fires as its refractory period lets it, and of diehl_cook one excitatory neuron a step at most.


class _Stdp:
    """What the layers of a Diehl & Cook network can fire on a sample, in the space of a configuration."""

    def __init__(self, config: StudyConfig, trainer: StdpSettings) -> None:
        self._config, self._trainer = config, trainer
        self._n_steps, self._dt_ms = trainer.encoding.steps, trainer.encoding.dt_ms
        self._one_winner = trainer.network == "diehl_cook"
        self._neurons = _span(config, "map_size")

    def faults(self) -> Iterator[Fault]:
        for index, monitor in enumerate(self._config.stopping):
            yield from _alpha_fault(index, monitor.alpha, monitor.layer, self._most(monitor.layer), self._n_steps)
        for index, watched in enumerate(self._config.saturation):
            yield from self._saturation_faults(index, watched)

    def _first(self, layer: str) -> int:
        """The step, from 0, in which the layer can first fire: by its input, or by itself."""
        if self._fires_by_itself(layer):
            return 0
        return 1 if layer == "excitatory" else self._first("excitatory") + 1

    def _fires_by_itself(self, layer: str) -> bool:
        """Whether a resting potential, or that after a spike, can be as high as the threshold."""
        rest, reset, thresh = (_span(self._config, f"{layer[0]}_{name}") for name in ("rest", "reset", "thresh"))
        return max(rest.high, reset.high) >= thresh.low

    def _is_restarted(self) -> bool:
        """Whether a presentation can begin from rest more than once, which ends refractory periods."""
        return not self._one_winner and _span(self._config, "reset_interval").low < self._n_steps

    def _winners(self, layer: str) -> int | None:
        """Spikes of the whole layer at most, as one neuron a step wins; None where that does not bound it."""
        if not self._one_winner or (layer == "inhibitory" and self._fires_by_itself(layer)):
            return None
        return max(self._n_steps - self._first(layer), 0)

    def _most(self, layer: str) -> int:
        refrac_ms = 0.0 if self._is_restarted() else _span(self._config, f"{layer[0]}_refrac").low
        neurons = int(self._neurons.high)
        most = most_of_layer(self._n_steps, neurons, refrac_ms / self._dt_ms, self._first(layer))
        winners = self._winners(layer)
        return most if winners is None else min(most, winners)

    def _saturation_faults(self, index: int, watched: SaturationSettings) -> Iterator[Fault]:
        """Saturation needs ``share`` of the neurons to fire ``limit`` of what their refractory period allows."""
        winners = self._winners(watched.layer)
        if winners is None:
            return
        longest = _span(self._config, f"{watched.layer[0]}_refrac").high
        each = math.ceil(watched.limit * most_spikes(self._n_steps, longest, self._dt_ms) - ROUNDING)
        neurons = math.ceil(watched.share * int(self._neurons.low) - ROUNDING)
        if each * neurons > winners:
            yield (
                ("saturation", index, "share"),
                f"this never acts: {neurons} neurons of {watched.layer} would have to fire {each} times each, but only "
                f"one neuron of the layer fires in a time step, {winners} times on a sample at most; a share of at "
                f"most {winners // each / self._neurons.low:.3g} is allowed here, found {watched.share:g}",
            )
