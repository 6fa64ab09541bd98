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
    return Told(np.zeros((len(answers), 1)), Y, C, np.array([c is None for _, c in answers]))


def test_the_incumbent_is_the_best_feasible_and_not_the_best() -> None:
    assert told((0.9, (0.1, -1.0)), (0.5, (0.0, -1.0)), (0.6, (-0.1, -0.1))).incumbent() == 2


def test_without_a_feasible_one_it_is_the_least_violating() -> None:
    assert told((0.9, (0.5, -9.0)), (0.1, (0.2, 0.2)), (None, None)).incumbent() == 1


def test_a_stopped_trial_is_never_feasible() -> None:
    assert not told((None, (-1.0, -1.0))).feasible.any()


def test_when_all_failed_there_is_none() -> None:
    assert told((None, None), (None, None)).incumbent() is None


def test_a_stopped_trial_shows_its_constraints_and_no_objective() -> None:
    objective, constraints, failed = admit(Outcome(0, State.STOPPED, 0.1, (0.9,)), 1)
    assert math.isnan(objective) and constraints.tolist() == [0.9] and not failed


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(0, State.FAILED, error="out of memory"),
        Outcome(0, State.COMPLETED, math.nan, (0.0,)),
        Outcome(0, State.COMPLETED, 0.5, (math.inf,)),
        Outcome(0, State.COMPLETED, 0.5, ()),
        Outcome(0, State.COMPLETED, None, (0.0,)),
    ],
)
def test_no_number_of_a_failure_reaches_a_model(outcome: Outcome) -> None:
    objective, constraints, failed = admit(outcome, 1)
    assert math.isnan(objective) and np.isnan(constraints).all() and failed


def test_a_failure_is_infeasible_on_a_scale_of_its_own() -> None:
    assert failure_labels(np.array([True, False]), 0.25).tolist() == [0.75, -0.25]


def test_a_lost_trial_is_dropped_and_an_unknown_one_ignored() -> None:
    observations = Observations(1, 0)
    observations.pending[3] = Pending(np.zeros(1), 0)
    assert observations.tell(Outcome(3, State.LOST)) is None
    assert observations.tell(Outcome(7, State.COMPLETED, 1.0)) is None
    assert not observations.pending and len(observations.told) == 0


def test_what_was_told_earlier_does_not_change_later() -> None:
    observations = Observations(1, 0)
    seen = []
    for number in range(40):
        observations.pending[number] = Pending(np.full(1, number / 40), 0)
        observations.tell(Outcome(number, State.COMPLETED, float(number)))
        seen.append(observations.told)
    assert all(earlier.Y.tolist() == list(range(n + 1)) for n, earlier in enumerate(seen))


def test_equal_violations_are_flat_and_one_lower_or_none_is_a_lead() -> None:
    dead = (None, (0.9, 0.9))
    assert told(dead, dead, dead, (None, None)).flat
    assert not told(dead, dead, dead, (None, (0.9, 0.5))).flat
    one_of_sixty_samples_spiked = (None, (0.9, 0.9 - 1 / 60))
    assert not told(dead, dead, dead, one_of_sixty_samples_spiked).flat
    assert not told((0.5, (-0.1, -0.1)), (0.6, (-0.1, -0.1))).flat


def test_numbers_near_the_end_of_the_range_can_still_be_added() -> None:
    objective, constraints, failed = admit(Outcome(0, State.COMPLETED, -1.7e308, (1.7e308,)), 1)
    assert np.isfinite(objective - 1e300) and np.isfinite(5.0 * constraints).all() and not failed
