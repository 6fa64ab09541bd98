"""Optuna's samplers as optimizers of a search: its multivariate TPE and its Gaussian process.

Both see constraints and what is pending as Optuna has them:

* completed: the objective and the constraints.
* stopped: the same, with its running score, or the worst so far where it has none. Its constraints make it infeasible,
  and of infeasible trials both samplers use little but those; the Gaussian process ignores what Optuna calls pruned.
* pruned: pruned, with its score as an intermediate value. The Gaussian process ignores it.
* failed or lost: failed, which both ignore.

A hyperparameter that does not exist in a trial has one value in Optuna's study, as in the models of ours.

Every ask has a sampler of its own, seeded by the study's seed and the trial's number, and what it proposes is put into
Optuna's study by ``adopt``, as a resume does: so a resumed search asks the same. Only the Gaussian process loses
something, the hyperparameters of the fit before as a start for the next.

Source: Bergstra et al., NeurIPS 2011 (TPE); Akiba et al., KDD 2019 (Optuna); the library itself.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.extras import require
from snnhpo_mpi.optim.observations import admit
from snnhpo_mpi.optim.single_thread import single_threaded
from snnhpo_mpi.optim.sobol import generator
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Params, ParamValue, Proposal, State, Trial, trial_seed

log = logging.getLogger(__name__)
ASK_KEY = 0  # of the generator
VERSION = 5  # of Optuna, from which on a trial has constraints without a callback


def optuna_library(name: str, key: str = "optimizer.name") -> Any:
    """Optuna, for an optimizer of the name.

    Args:
        name: of the optimizer.
        key: of the configuration, or option, that named it.

    Raises:
        ConfigError: it is not installed, or too old.
    """
    require("optuna", f"{key}: {name}")
    import optuna

    if int(optuna.__version__.split(".")[0]) < VERSION:
        raise ConfigError(
            f"{key}: {name} needs the package optuna, version {VERSION} or newer, found {optuna.__version__}: "
            "pip install 'snnhpo_mpi[optuna]'"
        )
    return optuna


class OptunaSearch:
    """Proposes trials by ``optuna_tpe`` or ``optuna_gp``; the first ones are random, as Optuna begins."""

    def __init__(self, name: str, space: Space, n_constraints: int, seed: int, n_initial: int) -> None:
        """Nothing told yet.

        Args:
            name: ``optuna_tpe`` or ``optuna_gp``.
            space: of the searched hyperparameters.
            n_constraints: m, may be 0.
            seed: of the study.
            n_initial: trials told before the sampler's model proposes.

        Raises:
            ConfigError: Optuna is not installed, or too old.
        """
        self._optuna = optuna_library(name)
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self._name, self._space, self._n_constraints = name, space, n_constraints
        self._seed, self._n_initial = seed, n_initial
        self._distributions = {name: self._distribution(name) for name in space.names}
        self._study = self._optuna.create_study(direction="maximize", sampler=self._random(0))
        self._next_number = self._n_told = 0
        self._rows: dict[int, int] = {}  # number of a pending trial -> its number in Optuna's study
        self._worst = math.inf

    def adopt(self, trial: Trial) -> None:
        """Take a trial as pending."""
        self._next_number = max(self._next_number, trial.number + 1)
        self._rows[trial.number] = self._add(self._optuna.trial.TrialState.RUNNING, self._inner(trial.params))

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial, which was never sent."""
        self._next_number = trial.number
        self._close(trial.number)

    def ask(self, hurried: bool = False) -> Proposal:
        """The next trial; a random one where the sampler fails."""
        number = self._next_number
        seed = int(generator(self._seed, number, ASK_KEY).integers(2**32))
        try:
            params = self._suggested(self._sampler(seed))
        except (ArithmeticError, ValueError, RuntimeError) as error:  # of its linear algebra, or PyTorch's
            log.warning("trial %d: random after %s: %s", number, type(error).__name__, error)
            params = self._suggested(self._random(seed))
        trial = Trial(number, params, trial_seed(self._seed, number))
        self.adopt(trial)
        return Proposal(trial, self._n_told)

    def tell(self, outcome: Outcome, seconds: float = math.nan) -> None:
        """Learn from the answer to a pending trial."""
        self._n_told += 1
        if outcome.number not in self._rows:
            return
        inner, states = self._close(outcome.number), self._optuna.trial.TrialState
        objectives, constraints, failed = admit(outcome, self._n_constraints)
        if failed:
            return
        told: dict[str, Any] = {"constraints": {f"c{i}": float(c) for i, c in enumerate(constraints)}}
        score = outcome.objective if outcome.objective is not None and math.isfinite(outcome.objective) else None
        match outcome.state:
            case State.COMPLETED:
                self._worst = min(self._worst, float(objectives[0]))
                self._add(states.COMPLETE, inner, value=float(objectives[0]), **told)
            case State.STOPPED if (constraints > 0).any():
                worst = self._worst if math.isfinite(self._worst) else 0.0
                self._add(states.COMPLETE, inner, value=worst if score is None else score, **told)
            case _:
                shown = {} if score is None else {"intermediate_values": {_step(outcome): score}}
                self._add(states.PRUNED, inner, value=score, **told, **shown)

    def _suggested(self, sampler: Any) -> dict[str, ParamValue]:
        """What a sampler proposes; its own row of the study is closed, as that of ``adopt`` takes its place."""
        self._study.sampler = sampler
        with single_threaded():
            asked = self._study.ask(self._distributions)
        self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
        return self._space.typed({name: self._mirrored(name, asked.params[name]) for name in self._space.names})

    def _sampler(self, seed: int) -> Any:
        samplers = self._optuna.samplers
        if self._name == "optuna_gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=self._n_initial)
        return samplers.TPESampler(seed=seed, n_startup_trials=self._n_initial, multivariate=True, constant_liar=True)

    def _random(self, seed: int) -> Any:
        return self._optuna.samplers.RandomSampler(seed=seed)

    def _add(self, state: Any, inner: Params, **told: Any) -> int:
        """A row of Optuna's study; its number there."""
        trial = self._optuna.trial.create_trial(
            state=state, params=dict(inner), distributions=self._distributions, **told
        )
        self._study.add_trial(trial)
        return len(self._study.get_trials(deepcopy=False)) - 1

    def _close(self, number: int) -> Params:
        """End the row of a pending trial as one that gave nothing; its params as Optuna has them."""
        row = self._rows.pop(number)
        params: Params = self._study.tell(row, state=self._optuna.trial.TrialState.FAIL).params
        return params

    def _inner(self, params: Params) -> dict[str, ParamValue]:
        return {name: self._mirrored(name, value) for name, value in self._space.filled(params).items()}

    def _mirrored(self, name: str, value: ParamValue) -> ParamValue:
        """A value as Optuna has it, and back: a ``reverse_log`` axis is a logarithmic one of low + high - value."""
        parameter = self._space.parameters[name]
        if parameter.type == "categorical" or parameter.scale != "reverse_log":
            return value
        assert not isinstance(value, str)
        return min(max(parameter.low + parameter.high - value, parameter.low), parameter.high)

    def _distribution(self, name: str) -> Any:
        parameter, distributions = self._space.parameters[name], self._optuna.distributions
        if parameter.type == "categorical":
            return distributions.CategoricalDistribution(parameter.choices)
        numbers = distributions.IntDistribution if parameter.type == "int" else distributions.FloatDistribution
        return numbers(parameter.low, parameter.high, log=parameter.scale != "linear")


def _step(outcome: Outcome) -> int:
    """How far a pruned training came; Optuna prefers those that came further."""
    at = outcome.metrics.get("stopped_at", 0.0)
    return int(at) if math.isfinite(at) else 0
