"""``trainer: python``: anybody's own evaluation, called once a trial.

The function is ``function(params: dict, seed: int, device: str)`` and returns
``{"objective": float, "constraints": [float, ...], "metrics": {name: float}}``; all but the objective may be left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from snnhpo_mpi.config import PythonSettings, StudyConfig, expanded
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import Outcome, Params, State, Trial

Function = Callable[[dict[str, Any], int, str], Mapping[str, Any]]
RESULT_KEYS = frozenset({"objective", "constraints", "metrics"})


class FunctionTrainer:
    """Evaluates trials with a user's function."""

    def __init__(self, settings: PythonSettings, fixed: Params, device: str) -> None:
        self._function = load_function(settings.function)
        self._fixed = dict(fixed)
        self._device = device

    def evaluate(self, trial: Trial) -> Outcome:
        """Call the function with fixed and searched hyperparameters.

        Raises:
            TypeError, ValueError: it returned something else than the contract says.
            Exception: whatever the function raises.
        """
        result = self._function(self._fixed | dict(trial.params), trial.seed, self._device)
        return outcome_of(trial.number, result)


def trainer_from(config: StudyConfig, device: str) -> FunctionTrainer:
    """The trainer of a ``trainer: python`` study."""
    assert isinstance(config.trainer, PythonSettings)
    return FunctionTrainer(config.trainer, config.fixed, device)


def outcome_of(number: int, result: object) -> Outcome:
    """What a user's function returned -> the outcome of a trial.

    Raises:
        TypeError: not a mapping, or a value of the wrong type.
        ValueError: a key is unknown or the objective is missing.
    """
    if not isinstance(result, Mapping):
        raise TypeError(f"the function must return a dict with the key objective, found {type(result).__name__}")
    if unknown := sorted(str(key) for key in result.keys() - RESULT_KEYS):
        raise ValueError(f"the function returned unknown keys {unknown}; allowed: {sorted(RESULT_KEYS)}")
    if "objective" not in result:
        raise ValueError("the function returned no objective")
    return Outcome(
        number,
        State.COMPLETED,
        objective=_number("objective", result["objective"]),
        constraints=tuple(_number("constraints", value) for value in result.get("constraints", ())),
        metrics={str(name): _number(f"metrics {name}", value) for name, value in result.get("metrics", {}).items()},
    )


def _number(what: str, value: object) -> float:
    if hasattr(value, "item"):  # NumPy and torch scalars
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{what} must be numbers, found {value!r}")
    return float(value)


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
        ConfigError: it is not there, or not callable. What the import itself raises is passed on.
    """
    source, _, name = target.rpartition(":")
    file = function_file(target)
    module = _import_file(file) if file else _import_module(source)
    function = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"trainer.function: {source} has no function {name}")
    return function  # type: ignore[no-any-return]


def _import_file(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"trainer.function: there is no file {path} (seen from {Path.cwd()})")
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
