"""A search that gains nothing starts again elsewhere, knows the constraints, and judges by scores of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from snnhpo_mpi.config import FloatParameter
from snnhpo_mpi.optim.gp.refit import Models
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.settings import changed
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State, Trial

PLANE = Space({name: FloatParameter(type="float", low=-2.0, high=2.0) for name in ("x", "y")})
N_FRESH, N_INITIAL, N_FRUITLESS = 4, 5, 6
SETTINGS = changed(
    [
        "region.failure_tolerance_min=3",
        f"region.fresh_min={N_FRESH}",
        f"region.fruitless_min={N_FRUITLESS}",
        "refit.n_every=6",
        "refit.growth=1.5",
    ]
)
Evaluate = Callable[[Trial], float]


def flat(trial: Trial) -> float:
    """Nothing is an improvement, but for the first."""
    return 0.5


def outcome(trial: Trial, score: float) -> Outcome:
    """Feasible in the half of the plane where x < 0.5; elsewhere the network is silent and has no score."""
    c = float(trial.params["x"]) - 0.5
    if c > 0.0:
        return Outcome(trial.number, State.STOPPED, {}, (c,))
    return Outcome(trial.number, State.COMPLETED, {"accuracy": score}, (c,))


def search() -> ScboSearch:
    return ScboSearch(PLANE, 1, seed=3, n_initial=N_INITIAL, settings=SETTINGS)


def tell_until(optimizer: ScboSearch, score: Evaluate, done: Callable[[], bool]) -> list[Outcome]:
    """Ask and tell one trial after the other until something holds, at most 200."""
    told: list[Outcome] = []
    while not done():
        assert len(told) < 200
        trial = optimizer.ask().trial
        told.append(outcome(trial, score(trial)))
        optimizer.tell(told[-1])
    return told


def restarted(optimizer: ScboSearch) -> bool:
    return optimizer._restart is not None


def test_many_failures_in_a_row_lead_to_a_restart_of_the_first_length() -> None:
    optimizer = search()
    tell_until(optimizer, flat, lambda: restarted(optimizer))
    assert optimizer._restart is not None
    assert optimizer._main.region.fruitless == N_FRUITLESS
    assert optimizer._restart.region.length == SETTINGS.region.length_init > optimizer._main.region.length
    diagnostics = optimizer.ask().diagnostics
    assert (diagnostics["restarts"], diagnostics["length"]) == (1.0, SETTINGS.region.length_init)


def test_a_restart_sees_all_constraints_and_its_own_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = search()
    n_before = len(tell_until(optimizer, flat, lambda: restarted(optimizer)))
    assert optimizer._restart is not None and optimizer._restart.scores is not None
    seen: dict[str, Told] = {}

    def remembered(models: Models, name: str) -> Callable[..., list[object]]:
        posteriors = models.posteriors

        def remembering(told: Told, pending: np.ndarray, hurried: bool) -> list[object]:
            seen[name] = told
            return posteriors(told, pending, hurried)

        return remembering

    monkeypatch.setattr(optimizer._models, "posteriors", remembered(optimizer._models, "all"))
    scores = optimizer._restart.scores
    monkeypatch.setattr(scores, "posteriors", remembered(scores, "own"))
    for _ in range(N_FRESH + 2):
        trial = optimizer.ask().trial
        optimizer.tell(outcome(trial, 0.4))
    assert len(seen["all"]) == n_before + N_FRESH + 1
    own = seen["own"]
    assert len(own) == N_FRESH + 1 and set(own.y[own.scored]) == {0.4}


def test_a_restart_begins_where_trials_are_likely_to_be_feasible() -> None:
    optimizer = search()
    tell_until(optimizer, flat, lambda: restarted(optimizer))
    fresh = [outcome(optimizer.ask().trial, 0.0) for _ in range(N_FRESH)]
    assert all(one.feasible for one in fresh)


def test_a_restart_that_beats_the_incumbent_becomes_the_search() -> None:
    optimizer = search()
    tell_until(optimizer, flat, lambda: restarted(optimizer))
    number = optimizer._restart.number if optimizer._restart else None
    tell_until(optimizer, lambda trial: 0.6, lambda: not restarted(optimizer))
    assert optimizer._main.number == number == 1
    assert optimizer._main.region.fruitless == 0
    row = optimizer._observations.told.incumbent()
    assert row is not None and optimizer._observations.told.y[row] == 0.6


def test_a_restart_that_gains_nothing_gives_up_and_the_search_goes_on_with_its_region() -> None:
    optimizer = search()
    tell_until(optimizer, flat, lambda: restarted(optimizer))
    length = optimizer._main.region.length
    tell_until(optimizer, lambda trial: 0.1, lambda: not restarted(optimizer))
    assert (optimizer._main.number, optimizer._main.region.length) == (0, length)
    again = tell_until(optimizer, flat, lambda: restarted(optimizer))
    assert len(again) == N_FRUITLESS // 2 and optimizer._main.region.length == length / 2.0
    assert optimizer._restart is not None and optimizer._restart.number == 2


def test_a_better_trial_of_the_main_search_that_comes_late_counts_there() -> None:
    optimizer = search()
    late: list[Trial] = []

    def asked_in_between() -> bool:
        if optimizer._main.region.fruitless == N_FRUITLESS - 1 and not late:
            late.append(optimizer.ask().trial)
        return restarted(optimizer)

    tell_until(optimizer, flat, asked_in_between)
    assert float(late[0].params["x"]) < 0.5
    optimizer.tell(outcome(late[0], 0.9))
    assert restarted(optimizer) and optimizer._main.region.fruitless == 0


def test_without_constraints_and_with_every_trial_failed_a_restart_goes_on() -> None:
    optimizer = ScboSearch(PLANE, 0, seed=3, n_initial=N_INITIAL, settings=SETTINGS)
    for i in range(60):
        trial = optimizer.ask().trial
        failed = i > 20
        state = State.FAILED if failed else State.COMPLETED
        optimizer.tell(Outcome(trial.number, state, {} if failed else {"accuracy": 0.5}, ()))
    assert optimizer.ask().diagnostics["restarts"] >= 1.0  # type: ignore[operator]


def test_a_search_rebuilt_amid_restarts_proposes_the_same_bits() -> None:
    original, rebuilt, out = search(), search(), []
    rng = np.random.default_rng(0)
    for i in range(100):
        out.append(original.ask().trial)
        rebuilt.adopt(out[-1])
        if len(out) > 3:  # answers come out of order
            trial = out.pop(i % len(out))
            x, y = float(trial.params["x"]), float(trial.params["y"])
            told = outcome(trial, -math.hypot(x + 1.0, y - 1.0) + 0.05 * rng.standard_normal())
            original.tell(told)
            rebuilt.tell(told)
    assert original._n_attempts > 1
    assert [original.ask().trial for _ in range(3)] == [rebuilt.ask().trial for _ in range(3)]
