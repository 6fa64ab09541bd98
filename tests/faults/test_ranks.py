"""Killed and halted ranks and evaluators: nothing is lost, nothing counted twice, nothing hangs."""

import random

import kills
import pytest

pytestmark = pytest.mark.mpi
STALL_S = 15.0  # an evaluator that starts again, on a slow machine


def test_rank_0_killed_at_any_moment_and_inside_writes_loses_nothing(study, family):
    cost = kills.kill_rank_0(study, family, 2, random.Random(1), trials=30)
    assert (cost.times, cost.lost) == (2, 0)


def test_a_killed_worker_rank_ends_the_job_and_the_study_resumes(study, family):
    assert kills.kill_worker_rank(study, family, 1, random.Random(2)).lost == 0


def test_with_recovery_the_others_go_on_when_a_worker_rank_is_killed(study, family):
    if family.name != "openmpi":
        pytest.skip("only Open MPI keeps the others after a rank was killed")
    cost = kills.kill_worker_rank_with_recovery(study, family, 1, random.Random(3))
    assert cost.lost == 0 and cost.stall_s < STALL_S


def test_killed_evaluators_cost_their_trials_only(study):
    cost = kills.kill_evaluators(study, None, 3, random.Random(4))
    assert cost.lost == 0 and cost.stall_s < STALL_S


def test_the_trial_of_a_halted_evaluator_is_sent_again_and_its_late_result_counts_once(study):
    cost = kills.halt_evaluators(study, None, 1, random.Random(5))
    assert cost.lost == 0 and cost.stall_s < STALL_S
