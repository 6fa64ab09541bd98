"""What is wrong with the conditions ``when`` of a search space."""

from __future__ import annotations

from collections.abc import Iterator

from snnhpo_mpi.config.conditions import circle, needs
from snnhpo_mpi.config.faults import Fault, shown, suggest
from snnhpo_mpi.config.parameters import FloatParameter, conditions, outside
from snnhpo_mpi.config.settings import StudyConfig


def condition_faults(config: StudyConfig) -> Iterator[Fault]:
    """Conditions on what is not there, on themselves, and such as can never hold."""
    faults = [fault for name in config.space for fault in _faults_of(config, name)]
    yield from faults
    if faults:
        return
    if ring := circle(conditions(config.space)):
        chain = ", which needs ".join(ring)
        yield ("space", ring[0], "when"), f"goes in a circle: {chain}"
        return
    for name, need in needs(conditions(config.space)).items():
        for other in (other for other, allowed in need.items() if not allowed):
            yield ("space", name, "when"), f"can never hold: no value of {other} satisfies this and what it needs"
    if not config.searched:
        yield ("space",), f"nothing is left to search: no condition holds with {shown(config.fixed)} (fixed)"


def _faults_of(config: StudyConfig, name: str) -> Iterator[Fault]:
    for other, values in config.space[name].when.items():
        path = ("space", name, "when", other)
        if other in config.fixed:  # decided: whatever else is listed may be for another fixed value
            continue
        if other not in config.space:
            allowed = [known for known in (*config.space, *config.fixed) if known != name]
            yield path, f"is neither searched nor fixed{suggest(other, allowed)}"
        elif isinstance(parameter := config.space[other], FloatParameter):
            yield path, "must be a categorical or int hyperparameter, or a fixed one: this is a float"
        else:
            for index, value in enumerate(values):
                if reason := outside(parameter, value):
                    yield (*path, index), f"{reason} (space.{other}), found {shown(value)}"
