"""Optuna's samplers: told as the library expects, asked the same after a resume."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable
from typing import Any

import optuna
import pytest

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.optim.optuna_search import OptunaSearch
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Params, State, Trial

SPACE = Space(
    {
        "rate": FloatParameter(type="float", low=1e-4, high=1.0, scale="log"),
        "momentum": FloatParameter(type="float", low=0.01, high=0.99, scale="reverse_log"),
        "size": IntParameter(type="int", low=1, high=50),
        "depth": IntParameter(type="int", low=2, high=9, scale="reverse_log"),
        "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", 2)),
    }
)
NAMES = ("optuna_tpe", "optuna_gp")


def evaluate(trial: Trial) -> Outcome:
    """Feasible where the rate is at most 0.01; better with size, best with one decoder."""
    rate, size = float(trial.params["rate"]), float(trial.params["size"])
    state = State.STOPPED if rate > 0.01 else State.COMPLETED
    score = size / 50 + 0.5 * (trial.params["decoder"] == "vote")
    return Outcome(trial.number, state, {"accuracy": score}, (math.log10(rate) + 2.0,))


def asked(search: OptunaSearch, n: int, pending: int = 1) -> list[Trial]:
    """Trials asked with so many out, the oldest told first."""
    trials: list[Trial] = []
    for number in range(n):
        trials.append(search.ask().trial)
        if number >= pending - 1:
            search.tell(evaluate(trials[number - pending + 1]), 1.0)
    return trials


def frozen(search: OptunaSearch, state: Any) -> list[Any]:
    return search._study.get_trials(states=(state,))


@pytest.mark.parametrize(("name", "n"), [("optuna_tpe", 40), ("optuna_gp", 9)])
def test_a_resumed_search_asks_what_the_uncut_one_asks_with_trials_out_and_taken_back(name: str, n: int) -> None:
    uncut = OptunaSearch(name, SPACE, 1, seed=3, n_initial=4)
    trials = asked(uncut, n, pending=4)
    uncut.withdraw(uncut.ask().trial)
    resumed = OptunaSearch(name, SPACE, 1, seed=3, n_initial=4)
    for number, trial in enumerate(trials):
        resumed.adopt(trial)
        if number >= 3:
            resumed.tell(evaluate(trials[number - 3]))
    assert resumed.ask() == uncut.ask()
    assert len({tuple(trial.params.values()) for trial in trials}) == n
    for trial in trials:
        assert SPACE.unfit(trial.params) is None and trial.params == SPACE.typed(trial.params)


def test_tpe_learns_where_trials_are_feasible_and_good() -> None:
    trials = asked(OptunaSearch("optuna_tpe", SPACE, 1, seed=1, n_initial=10), 45)
    first, last = trials[:10], trials[-20:]

    def mean(some: list[Trial], value: Callable[[Params], float]) -> float:
        return sum(value(trial.params) for trial in some) / len(some)

    assert mean(last, lambda params: float(params["rate"]) <= 0.01) > mean(
        first, lambda params: float(params["rate"]) <= 0.01
    )
    assert mean(last, lambda params: float(params["size"])) > 1.3 * mean(first, lambda params: float(params["size"]))


def test_each_end_is_told_as_optuna_has_it() -> None:
    search = OptunaSearch("optuna_tpe", SPACE, 2, seed=1, n_initial=5)
    trials = [search.ask().trial for _ in range(9)]
    assert len(frozen(search, optuna.trial.TrialState.RUNNING)) == 9
    ends = [
        Outcome(0, State.STOPPED, {}, (0.5, -1.0)),  # before any score
        Outcome(1, State.COMPLETED, {"accuracy": 0.25}, (-0.1, 0.2)),
        Outcome(2, State.COMPLETED, {"accuracy": 0.75}, (-0.1, -0.2)),
        Outcome(3, State.STOPPED, {"accuracy": 0.5}, (0.3, -1.0)),
        Outcome(4, State.STOPPED, {"accuracy": math.nan}, (0.3, -1.0)),
        Outcome(5, State.PRUNED, {"accuracy": 0.6}, (-0.3, -1.0), {"stopped_at": 320.0}),
        Outcome(6, State.FAILED),
        Outcome(7, State.COMPLETED, {"accuracy": math.inf}, (-0.3, -1.0)),
    ]
    for end in ends:
        search.tell(end)
    search.tell(ends[0])  # a second time: nothing is learnt
    complete = frozen(search, optuna.trial.TrialState.COMPLETE)
    assert [trial.value for trial in complete] == [0.0, 0.25, 0.75, 0.5, 0.25]
    assert [list(trial.constraints.values()) for trial in complete[:3]] == [[0.5, -1.0], [-0.1, 0.2], [-0.1, -0.2]]
    assert complete[2].params["rate"] == trials[2].params["rate"]
    (pruned,) = frozen(search, optuna.trial.TrialState.PRUNED)
    assert pruned.intermediate_values == {320: 0.6} and list(pruned.constraints.values()) == [-0.3, -1.0]
    assert len(frozen(search, optuna.trial.TrialState.RUNNING)) == 1
    assert search.ask().n_told == 9


def test_what_is_dense_near_its_upper_end_is_so_for_optuna() -> None:
    trials = asked(OptunaSearch("optuna_tpe", SPACE, 0, seed=1, n_initial=200), 200)
    values = sorted(float(trial.params["momentum"]) for trial in trials)
    assert 0.85 < values[100] < 0.95  # the middle of the scale is 1 - sqrt(0.01 * 0.99)
    assert {trial.params["depth"] for trial in trials} == set(range(2, 10))


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_that_fails_costs_a_random_trial_and_a_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: Any) -> Any:
        raise ValueError("no factor")

    search = OptunaSearch(name, SPACE, 1, seed=1, n_initial=2)
    asked(search, 3)
    kind = optuna.samplers.GPSampler if name == "optuna_gp" else optuna.samplers.TPESampler
    monkeypatch.setattr(kind, "sample_relative", broken)
    with caplog.at_level(logging.WARNING, "snnhpo_mpi.optim"):
        assert SPACE.unfit(search.ask().trial.params) is None
    assert "trial 3: random after ValueError: no factor" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_without_the_library_it_is_said_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install = r"pip install 'snnhpo_mpi\[optuna\]'"
    monkeypatch.setattr(optuna, "__version__", "4.8.0")
    with pytest.raises(
        ConfigError, match=rf"^optimizer\.name: {name} needs .* version 5 or newer, found 4\.8\.0: {install}"
    ):
        OptunaSearch(name, SPACE, 1, 1, 5)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ConfigError, match=rf"^optimizer\.name: {name} needs the package optuna.*not installed: {install}"
    ):
        OptunaSearch(name, SPACE, 1, 1, 5)
