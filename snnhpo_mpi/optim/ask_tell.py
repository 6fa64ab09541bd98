"""The optimizer for programs of one's own: ``ask`` for trials, ``tell`` what they gave.

    optimizer = Scbo(Space({"rate": {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}}), ["silent"], seed=1)
    trial = optimizer.ask()
    optimizer.tell(trial, objective=0.93, constraints=[-0.02])

It needs no MPI, file or configuration. Importing this module loads no PyTorch; making a ``Scbo`` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import index
from typing import SupportsFloat

from snnhpo_mpi.optim.settings import DEFAULTS, ScboSettings
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State, Trial

Values = Sequence[SupportsFloat] | Mapping[str, SupportsFloat]


class Scbo:
    """Asynchronous scalable constrained Bayesian optimization.

    The objective is maximised; a trial is feasible where every constraint is <= 0. Any number of trials may be out, and
    they may be told in any order. With the same seed and the same calls it proposes the same trials.
    """

    def __init__(
        self,
        space: Space,
        constraints: Sequence[str] = (),
        *,
        seed: int = 0,
        initial: int = 20,
        settings: ScboSettings = DEFAULTS,
    ) -> None:
        """An optimizer that was told nothing.

        Args:
            space: the hyperparameters.
            constraints: names of the constraints.
            seed: of everything random, at least 0.
            initial: trials spread evenly over the space before the models propose.
            settings: the algorithm's choices.

        Raises:
            ValueError: ``space`` is no ``Space``, the constraints are no list of different names, or ``seed`` or
                ``initial`` is no integer or too small.
        """
        if not isinstance(space, Space):
            raise ValueError(f"space: expected a Space, found {space!r}")
        if isinstance(constraints, str) or not all(isinstance(name, str) for name in constraints):
            raise ValueError(f"constraints: expected a list of names, found {constraints!r}")
        if len(set(constraints)) < len(constraints):
            raise ValueError(f"constraints: a name stands twice in {list(constraints)}")
        seed, n_initial = _integer("seed", seed, 0), _integer("initial", initial, 1)
        from snnhpo_mpi.optim.scbo import ScboSearch

        self._constraints = tuple(constraints)
        self._search = ScboSearch(space, len(self._constraints), seed, n_initial, settings)
        self._asked: dict[int, Trial] = {}
        self._out: set[int] = set()

    def ask(self) -> Trial:
        """The next trial: evaluate ``trial.params``, with ``trial.seed`` for everything random if you like."""
        trial = self._search.ask().trial
        self._asked[trial.number] = trial
        self._out.add(trial.number)
        return trial

    def tell(
        self,
        trial: Trial,
        objective: SupportsFloat | None = None,
        constraints: Values | None = None,
        seconds: SupportsFloat | None = None,
        stopped: bool = False,
        failed: bool = False,
    ) -> None:
        """Say what a trial gave.

        Args:
            trial: as ``ask`` gave it.
            objective: to be maximised; may be left out of a stopped trial.
            constraints: a value of each, feasible iff <= 0: a list in the order of their names, or name -> value.
            seconds: what the evaluation took [s]; the proposals do not depend on it.
            stopped: it was stopped early. Its constraints count; its objective, if any, is that of an unfinished
                training and does not.
            failed: it gave nothing. A region where trials fail is avoided.

        Raises:
            ValueError: the trial was told already or is not of this optimizer, a value is missing, superfluous or not a
                finite number, or there is not one for each constraint. Nothing was learnt then: tell it again.
        """
        self._check_pending(trial)
        if failed:
            if stopped or objective is not None or constraints is not None:
                raise ValueError(f"trial {trial.number}: failed=True takes no objective, constraints or stopped=True")
            outcome = Outcome(trial.number, State.FAILED)
        else:
            if objective is None and not stopped:
                raise ValueError(
                    f"trial {trial.number}: an objective is needed, or stopped=True or failed=True where there is none"
                )
            where = f"trial {trial.number}, objective"
            scores = {} if objective is None else {"objective": _finite(where, objective)}
            state = State.STOPPED if stopped else State.COMPLETED
            outcome = Outcome(trial.number, state, scores, self._values(trial, constraints))
        spent_s = math.nan if seconds is None else _finite(f"trial {trial.number}, seconds", seconds)
        if spent_s < 0:
            raise ValueError(f"trial {trial.number}, seconds: expected at least 0, found {seconds!r}")
        self._search.tell(outcome, spent_s)
        self._out.remove(trial.number)

    def _check_pending(self, trial: Trial) -> None:
        if not isinstance(trial, Trial):
            raise ValueError(f"tell: expected a trial that ask gave, found {trial!r}")
        if self._asked.get(trial.number) != trial:
            raise ValueError(f"trial {trial.number} with these params was not asked of this optimizer")
        if trial.number not in self._out:
            raise ValueError(f"trial {trial.number} was told already")

    def _values(self, trial: Trial, constraints: Values | None) -> tuple[float, ...]:
        """The constraints' values in the order of their names."""
        names, where = self._constraints, f"trial {trial.number}, constraints"
        if constraints is None:
            constraints = ()
        if isinstance(constraints, Mapping):
            if set(constraints) != set(names):
                raise ValueError(f"{where}: expected a value of {_listed(names)}, found {_listed(constraints)}")
            constraints = [constraints[name] for name in names]
        elif isinstance(constraints, str) or not hasattr(constraints, "__getitem__"):
            raise ValueError(f"{where}: expected a list or a mapping of names to values, found {constraints!r}")
        if len(constraints) != len(names):
            raise ValueError(f"{where}: expected {len(names)} ({_listed(names)}), found {len(constraints)}")
        return tuple(_finite(f"{where}, {name}", value) for name, value in zip(names, constraints, strict=True))


def _integer(name: str, value: int, least: int) -> int:
    """An integer as Python's own.

    Raises:
        ValueError: it is something else, or too small.
    """
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, found {value!r}")
    return number


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(map(str, names)) or "none"


def _finite(what: str, value: SupportsFloat) -> float:
    """A number as a float.

    Raises:
        ValueError: it is something else, infinite or not a number.
    """
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{what}: expected a finite number, found {value!r}")
    return number
