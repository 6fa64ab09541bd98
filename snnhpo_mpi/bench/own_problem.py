"""A benchmark problem of one's own: ``--problem FILE.py:NAME``.

NAME is a function ``evaluate(params, seed, device)`` that returns what one for ``trainer: python`` returns; the space
is then the file's variable ``space``, a dict as under ``space`` of a configuration. Or NAME is an object (a class, an
instance, a module) that has both, ``space`` and ``evaluate``. Constraints may have names, in a list ``constraints``
next to ``space``. Without ``:NAME``, the file's own ``space`` and ``evaluate`` are meant.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.bench.problems import Problem
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.user_code import import_file
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State, Trial
from snnhpo_mpi.worker.user_function import Function, called, outcome_of, seed_generators, unfit

DEVICE = "cpu"
N_INITIAL = 20  # as in a search


def own_problem(target: str) -> Problem:
    """The problem of a file, which is evaluated once, in the middle of its space, to see that it works.

    Each evaluation takes a virtual second in the mean; the value of a trial is what was measured, noise included.

    Raises:
        ConfigError: what is not there or does not work, in one line.
    """
    holder, function = _found(target)
    space = _space(target, getattr(holder, "space", None))
    names = getattr(holder, "constraints", None)
    if names is not None and (isinstance(names, str) or not all(isinstance(name, str) for name in names)):
        raise ConfigError(f"--problem {target}: constraints must be a list of names, found {names!r}")
    middle = Trial(0, space.decode(np.full(space.dim, 0.5)), 0)
    first = _evaluated(middle, function, None if names is None else tuple(names))
    if first.error:
        raise ConfigError(f"--problem {target}: evaluate({middle.params}, 0, {DEVICE!r}) failed: {first.error}")
    known = tuple(names) if names is not None else tuple(f"constraint {i}" for i in range(len(first.constraints)))
    return Problem(
        name=target,
        space=space,
        n_constraints=len(known),
        n_initial=N_INITIAL,
        minimised=False,
        evaluate=lambda trial: _evaluated(trial, function, known),
        value=None,
        mean_seconds=lambda params, outcome: 1.0,
    )


def _found(target: str) -> tuple[Any, Function]:
    """What has the space, and the function."""
    source, name = (target, "") if target.endswith(".py") else target.rsplit(":", 1)
    try:
        module = import_file(Path(source), f"--problem {target}")
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"--problem {target}: importing {source} failed: {_said(error)}") from error
    holder: Any = module
    function = getattr(module, name or "evaluate", None)
    if name and not hasattr(module, name):
        raise ConfigError(f"--problem {target}: {source} has no {name}; it has {_public(module)}")
    if hasattr(function, "evaluate") or inspect.isclass(function):
        holder = function() if inspect.isclass(function) else function
        function = getattr(holder, "evaluate", None)
    if not callable(function):
        raise ConfigError(f"--problem {target}: there is no function evaluate(params, seed, device)")
    if reason := unfit(function):
        raise ConfigError(f"--problem {target}: evaluate {reason}; it is called as evaluate(params, seed, device)")
    return holder, function


def _space(target: str, given: object) -> Space:
    if isinstance(given, Space):
        return given
    if not isinstance(given, Mapping):
        found = "nothing" if given is None else repr(given)
        raise ConfigError(
            f"--problem {target}: space must be a dict of hyperparameters, as under space of a configuration; "
            f"found {found}"
        )
    try:
        return Space(given)
    except ConfigError as error:
        raise ConfigError(f"--problem {target}: {str(error).splitlines()[0]}") from None


def _evaluated(trial: Trial, function: Function, names: tuple[str, ...] | None) -> Outcome:
    seed_generators(trial.seed)
    try:
        result = called(function, dict(trial.params), trial.seed, DEVICE, lambda score, position: False)
        return outcome_of(trial.number, result, names)
    except Exception as error:  # a failed trial, as in a search
        return Outcome(trial.number, State.FAILED, error=_said(error))


def _said(error: Exception) -> str:
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _public(module: Any) -> str:
    return ", ".join(name for name in vars(module) if not name.startswith("_")) or "nothing"
