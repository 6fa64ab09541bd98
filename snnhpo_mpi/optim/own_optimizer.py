"""``optimizer: {name: python}``: anybody's own optimizer, a class with ``ask`` and ``tell``.

    class Mine:
        def __init__(self, space, constraints, seed): ...
        def ask(self, number, pending): return {"rate": 0.01, ...}
        def tell(self, trial, outcome, seconds): ...

It is asked for the params of trial ``number`` while the trials of the list ``pending`` are out, and told what each
trial gave. Which trials are out is kept here, so that the class needs nothing for a proposal that is taken back, for
a baseline, or for a resume: it is told of trials that it was not asked for. The same trials follow from a resume where
``ask`` follows from the seed, the number, what is pending and what was told.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from snnhpo_mpi.errors import ConfigError, said
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Params, Proposal, Trial, trial_seed

METHODS = {"ask": ("number", "pending"), "tell": ("trial", "outcome", "seconds")}


class OwnOptimizer:
    """The optimizer of a user, as the program calls one."""

    def __init__(
        self, make: Callable[..., Any], space: Space, constraint_names: Sequence[str], seed: int, where: str
    ) -> None:
        """Make the user's optimizer.

        Args:
            make: its class, or a function that gives one.
            space: of the searched hyperparameters.
            constraint_names: one a constraint, in the order of the outcomes' values.
            seed: of the study.
            where: names it, with the key of the configuration, for messages.

        Raises:
            ConfigError: it cannot be made, or lacks ``ask`` or ``tell``.
        """
        self._space, self._seed, self._where = space, seed, where
        self._n_told = self._next_number = 0
        self._pending: dict[int, Trial] = {}
        name = where.rpartition(":")[2]
        self._check_takes(make, name, ("space", "constraints", "seed"))
        self._own = self._called("making it", make, space, list(constraint_names), seed)
        for method, arguments in METHODS.items():
            if not callable(getattr(self._own, method, None)):
                raise ConfigError(f"{where} has no {method}: write def {method}(self, {', '.join(arguments)})")
            self._check_takes(getattr(self._own, method), f"{name}.{method}", arguments)

    def adopt(self, trial: Trial) -> None:
        """Take a trial as pending; the user's optimizer sees it among those."""
        self._pending[trial.number] = trial
        self._next_number = max(self._next_number, trial.number + 1)

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial, which was never sent: the user's optimizer is asked again."""
        del self._pending[trial.number]
        self._next_number = trial.number

    def ask(self, hurried: bool = False) -> Proposal:
        """The user's next trial.

        Raises:
            ConfigError: it raised something, or what it returned is no point of the space.
        """
        number = self._next_number
        pending = [self._pending[other] for other in sorted(self._pending)]
        params = self._params(number, self._called(f"ask({number}, pending)", self._own.ask, number, pending))
        trial = Trial(number, params, trial_seed(self._seed, number))
        self.adopt(trial)
        return Proposal(trial, self._n_told)

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """Tell the user's optimizer what a pending trial gave.

        Raises:
            ConfigError: it raised something.
        """
        self._n_told += 1
        trial = self._pending.pop(outcome.number, None)
        if trial is not None:
            self._called(f"tell, trial {trial.number}", self._own.tell, trial, outcome, seconds)

    def _params(self, number: int, given: object) -> Params:
        """What ``ask`` returned, in the types of the space.

        Raises:
            ConfigError: it is no point of the space.
        """
        where = f"{self._where}: ask returned for trial {number}"
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"{where} {_shown(given)}; a dict of the values of {', '.join(self._space.names)} is expected"
            )
        params = {name: value.item() if getattr(value, "ndim", None) == 0 else value for name, value in given.items()}
        if odd := [name for name, value in params.items() if not isinstance(value, int | float | str)]:
            raise ConfigError(f"{where} {odd[0]} = {_shown(params[odd[0]])}; a number or text is expected")
        if reason := self._space.unfit(params):
            raise ConfigError(f"{where} what is not in the space: {reason}")
        return self._space.typed(params)

    def _called(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise ConfigError(f"{self._where}: {what} raised {said(error)}") from error

    def _check_takes(self, function: Any, name: str, arguments: Sequence[str]) -> None:
        """Raise where a callable does not take these arguments, as far as that can be said without calling it."""
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):  # a function of C code may not tell
            return
        try:
            signature.bind(*arguments)
        except TypeError as error:
            called = f"{name}({', '.join(arguments)})"
            raise ConfigError(f"{self._where}: {name} takes {signature}: {error}; it is called as {called}") from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
