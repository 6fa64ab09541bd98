"""Imports a network of the user's, and builds it from the hyperparameters that its constructor names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from snnhpo_mpi.config import StudyConfig, TorchSettings, when_text
from snnhpo_mpi.config.faults import suggest
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.hyperparameters.networks import TORCH
from snnhpo_mpi.snn.torch.adapters import forget_other_networks
from snnhpo_mpi.snn.user_code import user_code
from snnhpo_mpi.trial import Params

KEY = "trainer.network"
OF_DATA = ("input_shape", "n_classes", "n_steps")  # that a constructor may name, besides hyperparameters
Make = Callable[..., torch.nn.Module]


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a network is for.

    Attributes:
        input_shape: ``C x H x W`` of an encoded sample.
        n_classes: K.
        n_steps: T.
    """

    input_shape: tuple[int, int, int]
    n_classes: int
    n_steps: int


def load(target: str) -> Make:
    """The class or function ``path/to/file.py:Class`` or ``package.module:Class``.

    Raises:
        ConfigError: it cannot be imported, or is none.
    """
    found = user_code(target, KEY)
    if isinstance(found, type) and not issubclass(found, torch.nn.Module):
        raise ConfigError(f"{KEY}: {target} must be a torch.nn.Module, its bases are {_bases(found)}")
    if isinstance(found, torch.nn.Module):
        raise ConfigError(f"{KEY}: {target} is a network already: name its class, or a function that makes a new one")
    if not callable(found):
        raise ConfigError(f"{KEY}: {target} must be a class or a function, found {type(found).__name__}")
    make: Make = found
    return make


def _bases(found: type) -> str:
    return ", ".join(base.__name__ for base in found.__bases__)


def build(target: str, params: Params, shapes: Shapes) -> torch.nn.Module:
    """A new network.

    Raises:
        ConfigError: as ``load``.
        TypeError: its constructor takes something that nobody gives.
        ValueError: it is no ``torch.nn.Module``.
    """
    make = load(target)
    forget_other_networks()
    known: dict[str, Any] = {**params, **{name: getattr(shapes, name) for name in OF_DATA}}
    arguments = _parameters(make)
    takes_all = any(one.kind is one.VAR_KEYWORD for one in arguments.values())
    own = set(params) - TORCH.keys()  # what the trainer takes goes to a constructor that names it
    given = {name: value for name, value in known.items() if name in arguments or (takes_all and name in own)}
    network = make(**given)
    if not isinstance(network, torch.nn.Module):
        raise ValueError(f"{target} must make a torch.nn.Module, it returned {type(network).__name__}")
    return network


def argument_faults(target: str, config: StudyConfig) -> Iterator[str]:
    """What of a configuration does not fit the constructor's arguments.

    Raises:
        ConfigError: as ``load``.
    """
    assert isinstance(config.trainer, TorchSettings)
    make, name = load(target), target.rpartition(":")[2]
    arguments = _parameters(make)
    always = {key for key, parameter in config.searched.items() if not parameter.when}
    given = {*always, *config.fixed, *TORCH, *OF_DATA}
    for one in arguments.values():
        is_needed = one.default is one.empty and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        if is_needed and one.kind is one.POSITIONAL_ONLY:
            yield f"the argument {one.name} of {name} can only be given by place: take the / out of its signature"
        elif is_needed and one.name in config.space and one.name not in given:
            yield (
                f"the argument {one.name} of {name} has no default, and space.{one.name} exists "
                f"{when_text(config.space[one.name])}: give it one for the other trials"
            )
        elif is_needed and one.name not in given:
            yield (
                f"the argument {one.name} of {name} has no value: write space.{one.name} or fixed.{one.name}, or "
                f"give it a default; {', '.join(OF_DATA)} come by themselves"
            )
    if any(one.kind is one.VAR_KEYWORD for one in arguments.values()):
        return
    taken = [*arguments, *TORCH]
    for section, names in (("space", config.space), ("fixed", config.fixed)):
        for given_name in (given_name for given_name in names if given_name not in taken):
            yield f"{section}.{given_name} is no argument of {name}{suggest(given_name, sorted({*taken} - {*OF_DATA}))}"


def _parameters(make: Make) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(make).parameters
    except (TypeError, ValueError):  # a class of C code may not tell
        return {}


def defaults_of(target: str) -> dict[str, Any]:
    """The constructor's own values of arguments that could be searched: numbers and text."""
    found = _parameters(load(target))
    return {name: one.default for name, one in found.items() if isinstance(one.default, int | float | str)}
