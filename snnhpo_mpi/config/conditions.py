"""Which hyperparameters exist: the conditions ``when`` of a search space, followed along their chains.

A hyperparameter exists where each of its conditions holds: another one exists or is fixed, and has a listed value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from snnhpo_mpi.trial import Params, ParamValue

Conditions = Mapping[str, Mapping[str, Sequence[ParamValue]]]
"""Hyperparameter -> those that it depends on -> the values with which it exists; nothing where it always does."""
Needs = Mapping[str, tuple[ParamValue, ...]]
"""All that one hyperparameter depends on, by whatever chain -> the values with which it exists."""


def ordered(conditions: Conditions) -> tuple[str, ...]:
    """All hyperparameters, those that others depend on first.

    Raises:
        CycleError: one depends on itself, by whatever chain.
    """
    return tuple(TopologicalSorter(conditions).static_order())


def circle(conditions: Conditions) -> list[str]:
    """Hyperparameters that depend on one another, the first of them once more at the end; none where all is well."""
    try:
        ordered(conditions)
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []


def needs(conditions: Conditions) -> dict[str, Needs]:
    """Of each hyperparameter all that it depends on; a list without values says that it can never exist.

    Raises:
        CycleError: one depends on itself, by whatever chain.
    """
    found: dict[str, Needs] = {}
    for name in ordered(conditions):
        mine: dict[str, tuple[ParamValue, ...]] = {}
        for other, values in conditions.get(name, {}).items():
            for far, allowed in ((other, tuple(values)), *found[other].items()):
                mine[far] = tuple(value for value in mine[far] if value in allowed) if far in mine else allowed
        found[name] = mine
    return found


def exists(need: Needs, params: Params) -> bool:
    """Whether a hyperparameter of these needs exists beside these values."""
    return all(name in params and params[name] in allowed for name, allowed in need.items())


def existing(conditions: Conditions, params: Params) -> dict[str, ParamValue]:
    """Those of the values whose hyperparameters exist beside the others, in the order of ``params``."""
    known = needs(conditions)
    return {name: value for name, value in params.items() if exists(known.get(name, {}), params)}


def searched(conditions: Conditions, fixed: Params) -> dict[str, dict[str, tuple[ParamValue, ...]]]:
    """The hyperparameters that exist in some trial, and their conditions on one another: those on fixed ones are gone.

    Raises:
        CycleError: one depends on itself, by whatever chain.
    """
    known = needs(conditions)
    return {
        name: {other: tuple(values) for other, values in mine.items() if other not in fixed}
        for name, mine in conditions.items()
        if exists({other: allowed for other, allowed in known[name].items() if other in fixed}, fixed)
    }
