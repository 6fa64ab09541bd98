"""Optuna's samplers behind the same ask and tell as ours, to compare with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna

from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Proposal, Trial, trial_seed


class OptunaSearch:
    """Optuna's multivariate TPE or Gaussian process, both with its handling of constraints and of pending trials."""

    def __init__(self, name: str, space: Space, seed: int, n_initial: int, pending: int) -> None:
        """Nothing told yet; ``name`` is ``optuna_tpe`` or ``optuna_gp``."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = _sampler(name, seed, n_initial, pending)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._space, self._seed, self._n_told = space, seed, 0
        self._out: dict[int, Any] = {}

    def adopt(self, trial: Trial) -> None:
        """Not needed by the benchmark."""
        raise NotImplementedError

    def ask(self) -> Proposal:
        """Each column that exists, in [0, 1], is a float of the study; a categorical is a categorical."""
        trial = self._study.ask()
        self._out[trial.number] = trial
        space = self._space
        x = space.absent.copy()
        for name in sorted(
            space.names, key=lambda name: len(space.needs.get(name, ()))
        ):  # what others need comes first
            columns = space.columns[name]
            width = columns.stop - columns.start
            if not space.exists(name, x[None])[0]:
                continue
            if width > 1:
                x[columns] = np.eye(width)[trial.suggest_categorical(name, list(range(width)))]
            else:
                x[columns] = trial.suggest_float(name, 0.0, 1.0)
        return Proposal(Trial(trial.number, space.decode(x), trial_seed(self._seed, trial.number)), self._n_told)

    def tell(self, outcome: Outcome) -> None:
        """Constraints, and the objective whatever the state."""
        self._n_told += 1
        trial = self._out.pop(outcome.number)
        for i, value in enumerate(outcome.constraints):
            trial.set_constraint(str(i), value)
        if outcome.objective is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            self._study.tell(trial, outcome.objective)


def _sampler(name: str, seed: int, n_initial: int, pending: int) -> Any:
    if name == "optuna_gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=n_initial)
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=n_initial, multivariate=True, constant_liar=pending > 1
    )
