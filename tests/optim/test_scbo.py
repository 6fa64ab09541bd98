"""The optimizer as a black box: deterministic, never raising, better than Sobol points."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.interfaces import Box
from snnhpo_mpi.optim.mixed_climb import climb_mixed
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.settings import DEFAULTS, changed
from snnhpo_mpi.optim.sobol import SobolSearch
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, State, Trial, trial_seed

MIXED = Space(
    {
        "rate": FloatParameter(type="float", low=1e-4, high=1.0, scale="log"),
        "size": IntParameter(type="int", low=1, high=50),
        "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram")),
    }
)
PLANE = Space({name: FloatParameter(type="float", low=-2.0, high=2.0) for name in ("x", "y")})


NEVER_RESTARTS = "region.fruitless_min=1000"


def disc(trial: Trial) -> Outcome:
    """Maximise -|(x, y) - (1, 1)| inside a disc of radius 0.5 around the origin; the best is 0.5 - sqrt(2)."""
    x, y = float(trial.params["x"]), float(trial.params["y"])
    return Outcome(trial.number, State.COMPLETED, {"accuracy": -math.hypot(x - 1, y - 1)}, (math.hypot(x, y) - 0.5,))


def mixed(trial: Trial) -> Outcome:
    """Feasible where the rate is small; better with size, and with one decoder."""
    size, rate = float(trial.params["size"]), float(trial.params["rate"])
    state = State.COMPLETED if rate < 0.1 else State.STOPPED
    return Outcome(
        trial.number, state, {"accuracy": size / 50 + 0.5 * (trial.params["decoder"] == "vote")}, (rate - 0.1,)
    )


def run(optimizer: ScboSearch | SobolSearch, evaluate: Callable[[Trial], Outcome], n: int) -> list[Outcome]:
    outcomes = []
    for _ in range(n):
        outcomes.append(evaluate(optimizer.ask().trial))
        optimizer.tell(outcomes[-1])
    return outcomes


def best(outcomes: list[Outcome]) -> float:
    return max((float(o.objective or 0.0) for o in outcomes if o.feasible), default=-math.inf)


def test_it_comes_closer_to_a_constrained_optimum_than_sobol_points() -> None:
    ours = best(run(ScboSearch(PLANE, 1, seed=0, n_initial=6), disc, 30))
    assert ours > best(run(SobolSearch(PLANE, seed=0), disc, 30))
    assert ours == pytest.approx(0.5 - math.sqrt(2.0), abs=0.02)


def test_it_finds_the_best_choice_and_int_of_a_mixed_space() -> None:
    assert best(run(ScboSearch(MIXED, 1, seed=1, n_initial=6), mixed, 30)) == pytest.approx(1.5)


def test_an_optimizer_rebuilt_from_the_record_proposes_the_same_bits() -> None:
    original = ScboSearch(MIXED, 1, seed=2, n_initial=5)
    events: list[Trial | Outcome] = []
    out: list[Trial] = []
    for i in range(60):
        out.append(original.ask().trial)
        events.append(out[-1])
        if i % 3:  # answers come out of order, and fewer than the questions
            outcome = mixed(out.pop(i % len(out)))
            original.tell(outcome)
            events.append(outcome)
    rebuilt = ScboSearch(MIXED, 1, seed=2, n_initial=5)
    for event in events:
        if isinstance(event, Trial):
            rebuilt.adopt(event)
        else:
            rebuilt.tell(event)
    assert [original.ask().trial for _ in range(3)] == [rebuilt.ask().trial for _ in range(3)]


def test_another_seed_gives_another_search() -> None:
    searches = [run(ScboSearch(PLANE, 1, seed, n_initial=3), disc, 6) for seed in (1, 2)]
    assert searches[0] != searches[1]


def test_numbers_follow_the_largest_adopted_and_seeds_follow_the_number() -> None:
    optimizer = ScboSearch(PLANE, 1, seed=7, n_initial=2)
    optimizer.adopt(Trial(41, {"x": 0.0, "y": 0.0}, trial_seed(7, 41)))
    trial = optimizer.ask().trial
    assert (trial.number, trial.seed) == (42, trial_seed(7, 42))


def test_asking_with_everything_pending_neither_repeats_nor_needs_an_answer() -> None:
    optimizer = ScboSearch(MIXED, 1, seed=3, n_initial=5)
    run(optimizer, mixed, 10)
    asked = [optimizer.ask().trial for _ in range(20)]
    assert len({tuple(trial.params.items()) for trial in asked}) == 20


def test_a_withdrawn_trial_leaves_no_trace() -> None:
    one, other = ScboSearch(MIXED, 1, seed=5, n_initial=4), ScboSearch(MIXED, 1, seed=5, n_initial=4)
    run(one, mixed, 12)
    run(other, mixed, 12)
    pending = one.ask().trial, one.ask().trial
    for trial in reversed(pending):
        one.withdraw(trial)
    assert (one.ask().trial, one.ask().trial) == (other.ask().trial, other.ask().trial)


class Ledge:
    """The sum of the first two columns, less a steep penalty where it is larger than 0.5."""

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = Z[:, 0] + Z[:, 1]
        excess = np.maximum(total - 0.5, 0.0)
        gradient = np.zeros_like(Z)
        gradient[:, :2] = (1.0 - 2e4 * excess)[:, None]
        return total - 1e4 * excess**2, gradient


def test_where_the_rounding_of_an_int_spoils_a_climb_the_floats_make_it_good() -> None:
    starts = MIXED.snap(np.random.default_rng(0).random((12, MIXED.dim)) * 0.25)
    box = Box(MIXED, np.zeros(MIXED.dim), np.ones(MIXED.dim))
    found = climb_mixed([Ledge()], starts, box, 60, DEFAULTS.local_search)
    assert (found == MIXED.snap(found)).all()
    assert found[:, :2].sum(axis=1) == pytest.approx(0.5, abs=1e-3)  # a cell of the int is 0.02 wide


def test_a_hurried_proposal_is_new() -> None:
    optimizer = ScboSearch(MIXED, 1, seed=5, n_initial=4)
    asked = [optimizer.ask(hurried=True).trial.params for _ in range(4)]
    for number in range(4):
        optimizer.tell(mixed(Trial(number, asked[number], 1)))
    for _ in range(20):
        proposal = optimizer.ask(hurried=True)
        assert proposal.trial.params not in asked
        assert proposal.diagnostics["hurried"] == 1.0
        asked.append(proposal.trial.params)
        optimizer.tell(mixed(proposal.trial))


def test_hurried_proposals_share_posteriors_and_say_what_these_have_not_seen() -> None:
    optimizer = ScboSearch(MIXED, 1, 5, 4, changed(["candidates.hurried_asks=3", NEVER_RESTARTS]))
    run(optimizer, mixed, 8)
    behind = []
    for _ in range(7):
        proposal = optimizer.ask(hurried=True)
        behind.append(proposal.diagnostics["behind"])
        assert proposal.n_told == 8 + len(behind) - 1 - behind[-1]
        optimizer.tell(mixed(proposal.trial))
    assert behind == [1, 2, 0, 1, 2, 0, 1]  # the first two share those of the last ask of the run
    latest = optimizer.ask()
    assert latest.diagnostics["behind"] == 0 and latest.n_told == 15


def test_only_the_nearest_of_very_many_pending_trials_are_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    optimizer = ScboSearch(PLANE, 1, 0, 4, changed(["candidates.most_pending=3"]))
    posteriors = optimizer._models.posteriors
    monkeypatch.setattr(optimizer._models, "posteriors", lambda t, p, h: seen.append(len(p)) or posteriors(t, p, h))
    run(optimizer, disc, 6)
    for _ in range(6):
        optimizer.ask()
    assert seen[-6:] == [0, 1, 2, 3, 3, 3]


def test_a_small_space_is_exhausted_before_anything_is_asked_again() -> None:
    small = Space({"size": IntParameter(type="int", low=1, high=6)})
    outcomes: list[object] = []
    optimizer = ScboSearch(small, 0, seed=0, n_initial=2)
    for _ in range(9):
        trial = optimizer.ask().trial
        outcomes.append(trial.params["size"])
        optimizer.tell(Outcome(trial.number, State.COMPLETED, {"accuracy": float(trial.params["size"])}))
    assert sorted(outcomes[:6], key=str) == [1, 2, 3, 4, 5, 6]


def test_a_region_in_which_trials_fail_is_left() -> None:
    def half_fails(trial: Trial) -> Outcome:
        if float(trial.params["x"]) > 0:
            return Outcome(trial.number, State.FAILED, error="out of memory")
        return Outcome(trial.number, State.COMPLETED, {"accuracy": -abs(float(trial.params["x"]) + 1)}, (-1.0,))

    outcomes = run(ScboSearch(PLANE, 1, seed=0, n_initial=10), half_fails, 40)
    assert sum(o.state is State.FAILED for o in outcomes[10:]) < 6
    assert best(outcomes) > -0.1


def test_the_diagnostics_tell_of_the_ask() -> None:
    optimizer = ScboSearch(MIXED, 1, seed=2, n_initial=3)
    run(optimizer, mixed, 7)
    diagnostics = optimizer.ask().diagnostics
    assert diagnostics["length"] == 0.8
    assert len(diagnostics["lengthscales"]) == MIXED.dim  # type: ignore[arg-type]
    assert diagnostics["ask_seconds"] >= diagnostics["fit_seconds"] > 0  # type: ignore[operator]


numbers = st.one_of(st.floats(), st.sampled_from([0.0, 1e10, -1e-10, 0.5, math.nan, math.inf]), st.none())
answers = st.tuples(st.sampled_from(State), numbers, st.lists(st.floats(), max_size=3))


@settings(max_examples=25, deadline=None)
@given(st.lists(answers, min_size=1, max_size=25), st.integers(0, 2), st.integers(1, 10))
def test_no_answer_makes_it_raise_or_leave_the_bounds(
    told: list[tuple[State, float | None, list[float]]], m: int, n_initial: int
) -> None:
    optimizer = ScboSearch(MIXED, m, seed=0, n_initial=n_initial)
    for state, objective, constraints in told:
        trial = optimizer.ask().trial
        MIXED.encode(trial.params)
        assert 1e-4 <= float(trial.params["rate"]) <= 1.0 and 1 <= float(trial.params["size"]) <= 50
        optimizer.tell(
            Outcome(trial.number, state, {} if objective is None else {"accuracy": objective}, tuple(constraints))
        )


@pytest.mark.parametrize(
    "value", [lambda i: 0.0, lambda i: 10.0 ** (i % 21 - 10), lambda i: -1e300 if i % 2 else 1e300]
)
def test_constants_and_many_orders_of_magnitude_are_modelled(
    value: Callable[[int], float], caplog: pytest.LogCaptureFixture
) -> None:
    def evaluate(trial: Trial) -> Outcome:
        return Outcome(trial.number, State.COMPLETED, {"accuracy": value(trial.number)}, (value(trial.number + 1),))

    with caplog.at_level(logging.WARNING, "snnhpo_mpi.optim"):
        run(ScboSearch(MIXED, 1, seed=0, n_initial=4), evaluate, 25)
    assert not caplog.records  # no fallback was needed


def test_stopped_trials_of_a_search_without_constraints_leave_nothing_to_model() -> None:
    outcomes = run(
        ScboSearch(PLANE, 0, seed=0, n_initial=1),
        lambda trial: Outcome(trial.number, State.STOPPED, {"accuracy": 0.1}),
        4,
    )
    assert len({outcome.number for outcome in outcomes}) == 4


def test_a_thousand_duplicates_are_survived() -> None:
    optimizer = ScboSearch(PLANE, 1, seed=0, n_initial=1)
    for number in range(1000):
        optimizer.adopt(Trial(number, {"x": 0.5, "y": 0.5}, 0))
        optimizer.tell(Outcome(number, State.COMPLETED, {"accuracy": 1.0}, (-1.0,)))
    assert optimizer.ask().trial.params != {"x": 0.5, "y": 0.5}
