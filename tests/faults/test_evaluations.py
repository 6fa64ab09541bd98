"""Evaluations that go wrong in every way: state, reason and traceback in the record, and the search goes on."""

import random

import evaluations
import pytest

pytestmark = pytest.mark.mpi
STALL_S = 10.0  # from a failure to the same rank's next trial, building the trainer included


def test_every_bad_evaluation_has_its_reason_and_the_search_goes_on(study):
    cost = evaluations.bad_evaluations(study, None, 3, random.Random(17))
    assert cost.lost == 0 and cost.stall_s < STALL_S
