"""``trainer: python``: anybody's own evaluation, called once a trial.

The function is ``function(params: dict, seed: int, device: str)`` and returns
``{"objective": float, "constraints": [float, ...], "metrics": {name: float}}``; all but the objective may be left out.
Constraints may also be given by name: ``{"silent": -0.1}``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np

from snnhpo_mpi.config import PythonSettings, StudyConfig, expanded
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import ACCURACY, Outcome, Params, State, Trial
from snnhpo_mpi.worker.numbers import NotANumberError, as_float, metrics_of, shown

Function = Callable[[dict[str, Any], int, str], Mapping[str, Any]]
RESULT_KEYS = frozenset({"objective", "constraints", "metrics"})


class FunctionTrainer:
    """Evaluates trials with a user's function."""

    def __init__(self, settings: PythonSettings, fixed: Params, device: str, objective: str = ACCURACY) -> None:
        self._function = load_function(settings.function)
        self._objective, self._constraint_names = objective, settings.constraints
        self._fixed = dict(fixed)
        self._device = device

    def evaluate(self, trial: Trial) -> Outcome:
        """Call the function with fixed and searched hyperparameters.

        The global generators are seeded first, so that no trial depends on those that ran before it in this process.

        Raises:
            TypeError, ValueError: it returned something else than the contract says.
            Exception: whatever the function raises.
        """
        seed_generators(trial.seed)
        result = self._function(self._fixed | dict(trial.params), trial.seed, self._device)
        return outcome_of(trial.number, result, self._constraint_names, self._objective)


def trainer_from(config: StudyConfig, device: str) -> FunctionTrainer:
    """The trainer of a ``trainer: python`` study."""
    assert isinstance(config.trainer, PythonSettings)
    return FunctionTrainer(config.trainer, config.fixed, device, config.objectives[0])


def seed_generators(seed: int) -> None:
    """Seed those of the process, so that an evaluation does not depend on what ran before it."""
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def outcome_of(
    number: int, result: object, constraint_names: Sequence[str] | None = None, objective: str = ACCURACY
) -> Outcome:
    """What a user's function returned -> the outcome of a trial.

    Metrics that are no numbers are left out with a note. Too few or too many constraints fail the trial.

    Args:
        number: of the trial.
        result: what the function returned.
        constraint_names: those configured; None if nobody knows.
        objective: the name that the study has for it.

    Raises:
        TypeError: not a mapping, or a value of the wrong type.
        ValueError: a key is unknown, the objective is missing, or constraints have other names than those configured.
    """
    if not isinstance(result, Mapping):
        raise TypeError(f"the function must return a dict with the key objective, found {shown(result)}")
    if unknown := sorted(str(key) for key in result.keys() - RESULT_KEYS):
        raise ValueError(f"the function returned unknown keys {unknown}; allowed: {sorted(RESULT_KEYS)}")
    if "objective" not in result:
        raise ValueError("the function returned no objective")
    objectives = {objective: _number("objective", result["objective"])}
    values = _ordered(result.get("constraints"), constraint_names)
    metrics, notes = metrics_of(result.get("metrics"))
    if constraint_names is not None and len(values) != len(constraint_names):
        reason = f"{_configured(constraint_names)}, evaluate returned {len(values) or 'none'}"
        return Outcome(number, State.FAILED, metrics=metrics, notes=notes, error=reason)
    names = [f" ({name})" for name in constraint_names or ()] or [""] * len(values)
    constraints = tuple(
        _number(f"constraints must be numbers: constraints[{i}]{names[i]}", value) for i, value in enumerate(values)
    )
    return Outcome(number, State.COMPLETED, objectives, constraints, metrics, notes=notes)


def _ordered(given: Any, names: Sequence[str] | None) -> list[Any]:
    """Constraints, given in a list or by name, in the order of the configured names."""
    if given is None:
        return []
    if isinstance(given, Mapping):
        if names is None or set(given) != set(names):
            found = ", ".join(map(str, given)) or "none"
            raise ValueError(f"constraints by name: {_configured(names or ())}, found {found}")
        return [given[name] for name in names]
    if hasattr(given, "tolist"):  # an array or tensor
        given = given.tolist()
    if not isinstance(given, Iterable) or isinstance(given, str | bytes | Set):
        raise TypeError(f"constraints must be a list of numbers, found {shown(given)}")
    return list(given)


def _configured(names: Sequence[str]) -> str:
    if not names:
        return "no constraints are configured (trainer.constraints)"
    return f"{len(names)} constraint{'s are' if len(names) > 1 else ' is'} configured ({', '.join(names)})"


def _number(what: str, value: object) -> float:
    try:
        return as_float(value)
    except NotANumberError as reason:
        kind = OverflowError if isinstance(reason.__cause__, OverflowError) else TypeError
        raise kind(f"{what} is {reason}") from None


def function_file(target: str) -> Path | None:
    """The file of a ``path/to/file.py:function`` target, None for ``package.module:function``.

    Raises:
        ConfigError: no file can have that path here.
    """
    source, _, _ = target.rpartition(":")
    return expanded(source, "trainer.function") if source.endswith(".py") else None


def load_function(target: str) -> Function:
    """Import ``package.module:function`` or ``path/to/file.py:function``, both as seen from the working directory.

    Raises:
        ConfigError: it is not there, or cannot be called with (params, seed, device). What the import itself raises is
            passed on.
    """
    source, _, name = target.rpartition(":")
    file = function_file(target)
    module = import_file(file) if file else _import_module(source)
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"trainer.function: {source} has no function {name}")
    if reason := unfit(function):
        raise ConfigError(f"trainer.function: {target} {reason}; it is called as {name}(params, seed, device)")
    return function  # type: ignore[no-any-return]


def unfit(function: Any) -> str | None:
    """Why a callable cannot be an evaluation, as far as can be said without calling it."""
    if inspect.isclass(function):
        return "is a class, not a function"
    for one in (function, getattr(function, "__call__", None)):  # noqa: B004 - an object's own
        if inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one):
            return "is an async function, which returns no result by itself"
        if inspect.isgeneratorfunction(one):
            return "is a generator function (it has a yield), which returns no result"
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function of C code may not tell
        return None
    try:
        signature.bind({}, 0, "cpu")
    except TypeError as error:
        return f"takes {signature}: {error}"
    return None


def import_file(path: Path, key: str = "trainer.function") -> Any:
    """The module of a file, which can import its neighbours.

    Args:
        path: of the file.
        key: or option that named it, for the message.

    Raises:
        ConfigError: there is no such file. What the import itself raises is passed on.
    """
    if not path.is_file():
        raise ConfigError(f"{key}: there is no file {path} (seen from {Path.cwd()})")
    if (folder := str(path.parent.resolve())) not in sys.path:
        sys.path.insert(0, folder)  # so that the file can import its neighbours
    name = f"user_function_{path.stem}"  # never the name of another module
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> Any:
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"trainer.function: there is no module {name} (seen from {Path.cwd()})") from error
        raise
