"""``trainer: python``: anybody's own evaluation, called once a trial.

The function is ``function(params: dict, seed: int, device: str)`` and returns
``{"objective": float, "constraints": [float, ...], "metrics": {name: float}}``; all but the objective may be left out.
Constraints may also be given by name: ``{"silent": -0.1}``. A function that takes an argument ``report`` may call
``report(score, position)`` while it runs; when that is true, the trial cannot win and the function returns.
"""

from __future__ import annotations

import inspect
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from snnhpo_mpi.config import PythonSettings, StudyConfig, function_file
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.user_code import named
from snnhpo_mpi.interfaces import PrunedAt, Report
from snnhpo_mpi.trial import ACCURACY, Interim, Outcome, Params, State, Trial
from snnhpo_mpi.worker.numbers import NotANumberError, as_float, metrics_of, shown

Function = Callable[..., Mapping[str, Any]]
RESULT_KEYS = frozenset({"objective", "constraints", "metrics"})


class FunctionTrainer:
    """Evaluates trials with a user's function."""

    def __init__(
        self,
        settings: PythonSettings,
        fixed: Params,
        device: str,
        objective: str = ACCURACY,
        line: tuple[Report, PrunedAt] = (lambda interim: None, lambda number: None),
        prunes: bool = False,
    ) -> None:
        """Import the function.

        Args:
            settings: of the trainer.
            fixed: hyperparameters that are not searched.
            device: where it trains.
            objective: the name that the study has for it.
            line: takes the function's reports, and says whether the trial is to stop.
            prunes: trials are stopped by their reports, so that the function must be able to make some.

        Raises:
            ConfigError: as ``load_function``.
        """
        self._function = load_function(settings.function, prunes)
        self._line = line
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
        reports = FunctionReports(trial.number, *self._line)
        params = self._fixed | dict(trial.params)
        result = called(self._function, params, trial.seed, self._device, reports)
        outcome = outcome_of(trial.number, result, self._constraint_names, self._objective)
        is_pruned = reports.said_stop and outcome.state is State.COMPLETED
        return replace(outcome, state=State.PRUNED) if is_pruned else outcome


def called(
    function: Function, params: dict[str, Any], seed: int, device: str, report: Callable[[float, int], bool]
) -> Mapping[str, Any]:
    """What a function returns; ``report`` is given to one that takes it."""
    return function(params, seed, device, **({"report": report} if takes_report(function) else {}))


class FunctionReports:
    """The argument ``report`` of a function, for one trial.

    Attributes:
        said_stop: whether a call was answered that the trial is to stop.
    """

    def __init__(self, number: int, send: Report, pruned_at: PrunedAt) -> None:
        self._number, self._send, self._pruned_at = number, send, pruned_at
        self._began, self._latest = time.perf_counter(), -1
        self.said_stop = False

    def __call__(self, score: float, position: int) -> bool:
        """Report without waiting for an answer.

        Args:
            score: reached so far, on the scale of the objective.
            position: samples, batches or epochs seen so far: the same unit in all trials.

        Returns:
            Whether the trial cannot win, by the reports that have been judged until now: then the function returns.

        Raises:
            TypeError, ValueError: the score is no number, or the position no whole number larger than the one before.
        """
        value, at = _number("the score of report(score, position)", score), _position(position, self._latest)
        self._latest = at
        self._send(Interim(self._number, at, time.perf_counter() - self._began, value))
        self.said_stop |= self._pruned_at(self._number) is not None
        return self.said_stop


def _position(given: object, latest: int) -> int:
    value = _number("the position of report(score, position)", given)
    if not value.is_integer() or value <= latest:
        after = "0 on" if latest < 0 else f"{latest + 1} on, as they grow"
        raise ValueError(
            f"the position of report(score, position) is a whole number from {after}; found {shown(given)}"
        )
    return int(value)


def trainer_from(config: StudyConfig, device: str, report: Report, pruned_at: PrunedAt) -> FunctionTrainer:
    """The trainer of a ``trainer: python`` study."""
    assert isinstance(config.trainer, PythonSettings)
    prunes = config.pruning.rule != "none"
    return FunctionTrainer(config.trainer, config.fixed, device, config.objectives[0], (report, pruned_at), prunes)


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


def load_function(target: str, prunes: bool = False) -> Function:
    """Import ``package.module:function`` or ``path/to/file.py:function``, both as seen from the working directory.

    Args:
        target: names it.
        prunes: trials are stopped by what it reports.

    Raises:
        ConfigError: it is not there, or cannot be called with (params, seed, device), or would have to report and
            cannot. What the import itself raises is passed on.
    """
    key, name = "trainer.function", target.rpartition(":")[2]
    function = named(target, function_file(target, key), key, "function")
    if reason := unfit(function):
        raise ConfigError(f"trainer.function: {target} {reason}; it is called as {name}(params, seed, device)")
    if prunes and not takes_report(function):
        raise ConfigError(
            f"pruning.rule: {target} has no argument report, by which its trials could be judged: write "
            f"{name}(params, seed, device, report), or set pruning.rule to none"
        )
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
        signature.bind({}, 0, "cpu", **({"report": None} if takes_report(function) else {}))
    except TypeError as error:
        return f"takes {signature}: {error}"
    return None


def takes_report(function: Any) -> bool:
    """Whether a function has an argument ``report``, with a default or without."""
    try:
        return "report" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
