"""What the models see of each kind of answer, and who is the incumbent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from snnhpo_mpi.optim.observations import Observations, Pending, Told, admit, failure_labels
from snnhpo_mpi.trial import Outcome, State


def told(*answers: tuple[float | None, tuple[float, ...] | None]) -> Told:
    """Answers as (objective, constraints); None for no score, and for failed."""
    Y = np.array([math.nan if y is None else y for y, _ in answers])
    C = np.array([(math.nan, math.nan) if c is None else c for _, c in answers])
    failed = np.array([c is None for _, c in answers])
    return Told(np.zeros((len(answers), 1)), Y[:, None], C, failed, np.ones(len(answers)))


def test_the_incumbent_is_the_best_feasible_and_not_the_best() -> None:
    assert told((0.9, (0.1, -1.0)), (0.5, (0.0, -1.0)), (0.6, (-0.1, -0.1))).incumbent() == 2


def test_without_a_feasible_one_it_is_the_least_violating() -> None:
    assert told((0.9, (0.5, -9.0)), (0.1, (0.2, 0.2)), (None, None)).incumbent() == 1


def test_a_stopped_trial_is_never_feasible() -> None:
    assert not told((None, (-1.0, -1.0))).feasible.any()


def test_when_all_failed_there_is_none() -> None:
    assert told((None, None), (None, None)).incumbent() is None


@pytest.mark.parametrize("state", [State.STOPPED, State.PRUNED])
def test_a_trial_that_ended_early_shows_its_constraints_and_no_objective(state: State) -> None:
    objectives, constraints, failed = admit(Outcome(0, state, {"accuracy": 0.1}, (0.9,)), 1)
    assert np.isnan(objectives).all() and constraints.tolist() == [0.9] and not failed


def test_a_pruned_trial_shows_the_prediction_of_its_score_and_is_never_the_incumbent() -> None:
    observations = Observations(1, 1)
    outcomes = [
        Outcome(0, State.COMPLETED, {"accuracy": 0.5}, (-0.1,)),
        Outcome(1, State.PRUNED, {"accuracy": 0.1}, (-0.1,), predicted=0.9),
        Outcome(2, State.PRUNED, {"accuracy": 0.1}, (-0.1,)),
        Outcome(3, State.PRUNED, {"accuracy": 0.1}, (-0.1,), predicted=math.inf),
    ]
    for outcome in outcomes:
        observations.pending[outcome.number] = Pending(np.zeros(1), 0, 0)
        observations.tell(outcome)
    found = observations.told
    np.testing.assert_array_equal(found.y, [0.5, 0.9, math.nan, math.nan])
    assert found.scored.tolist() == [True, True, False, False]
    assert found.feasible.tolist() == [True, False, False, False] and found.incumbent() == 0
    assert found.failed.tolist() == [False, False, False, True]
    assert found.take(np.array([1, 0])).feasible.tolist() == [False, True]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(0, State.FAILED, error="out of memory"),
        Outcome(0, State.COMPLETED, {"accuracy": math.nan}, (0.0,)),
        Outcome(0, State.COMPLETED, {"accuracy": 0.5}, (math.inf,)),
        Outcome(0, State.COMPLETED, {"accuracy": 0.5}, ()),
        Outcome(0, State.COMPLETED, {"accuracy": 0.5, "synops": 1.0}, (0.0,)),
        Outcome(0, State.COMPLETED, {}, (0.0,)),
    ],
)
def test_no_number_of_a_failure_reaches_a_model(outcome: Outcome) -> None:
    objectives, constraints, failed = admit(outcome, 1)
    assert np.isnan(objectives).all() and np.isnan(constraints).all() and failed


def test_a_failure_is_infeasible_on_a_scale_of_its_own() -> None:
    assert failure_labels(np.array([True, False]), 0.25).tolist() == [0.75, -0.25]


def test_a_lost_trial_is_dropped_and_an_unknown_one_ignored() -> None:
    observations = Observations(1, 0)
    observations.pending[3] = Pending(np.zeros(1), 0, 0)
    assert observations.tell(Outcome(3, State.LOST)) is None
    assert observations.tell(Outcome(7, State.COMPLETED, {"accuracy": 1.0})) is None
    assert not observations.pending and len(observations.told) == 0


def test_each_answer_is_kept_with_all_its_objectives_and_its_cost() -> None:
    observations = Observations(1, 0, n_objectives=2)
    for number in range(20):
        observations.pending[number] = Pending(np.zeros(1), 0, 0)
        objectives = {"accuracy": 0.1 * number, "synops": -float(number)}
        observations.tell(Outcome(number, State.COMPLETED, objectives), 10.0 * number)
    told = observations.told
    assert told.Y.shape == (20, 2) and told.Y[7].tolist() == [0.1 * 7, -7.0]
    assert told.y.tolist() == told.Y[:, 0].tolist() and told.first(3).Y.shape == (3, 2)
    assert told.seconds.tolist() == [10.0 * number for number in range(20)]
    assert told.take(np.array([4])).seconds.tolist() == [40.0]


def test_what_was_told_earlier_does_not_change_later() -> None:
    observations = Observations(1, 0)
    seen = []
    for number in range(40):
        observations.pending[number] = Pending(np.full(1, number / 40), 0, 0)
        observations.tell(Outcome(number, State.COMPLETED, {"accuracy": float(number)}))
        seen.append(observations.told)
    assert all(earlier.y.tolist() == list(range(n + 1)) for n, earlier in enumerate(seen))


def test_equal_violations_are_flat_and_one_lower_or_none_is_a_lead() -> None:
    dead = (None, (0.9, 0.9))
    assert told(dead, dead, dead, (None, None)).flat
    assert not told(dead, dead, dead, (None, (0.9, 0.5))).flat
    one_of_sixty_samples_spiked = (None, (0.9, 0.9 - 1 / 60))
    assert not told(dead, dead, dead, one_of_sixty_samples_spiked).flat
    assert not told((0.5, (-0.1, -0.1)), (0.6, (-0.1, -0.1))).flat


def test_numbers_near_the_end_of_the_range_can_still_be_added() -> None:
    objectives, constraints, failed = admit(Outcome(0, State.COMPLETED, {"accuracy": -1.7e308}, (1.7e308,)), 1)
    assert np.isfinite(objectives - 1e300).all() and np.isfinite(5.0 * constraints).all() and not failed
