"""The coefficient of determination, at once and while numbers come in."""

import numpy as np
import pytest

from snnhpo_mpi.snn.r2 import RunningR2, r2


def test_r2_is_the_share_of_the_variance_that_is_explained() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    targets = rng.normal(size=(50, 2)) * (1, 10)
    answers = targets + rng.normal(size=(50, 2))
    assert r2(answers, targets) == pytest.approx(metrics.r2_score(targets, answers))
    assert r2(targets, targets) == 1.0
    assert r2(answers[:, :1], targets[:, 0]) == pytest.approx(metrics.r2_score(targets[:, 0], answers[:, 0]))


def test_r2_is_0_for_the_mean_and_finite_for_targets_that_do_not_vary() -> None:
    assert r2(np.full((4, 1), 2.5), np.array([1.0, 2.0, 3.0, 4.0])) == 0.0
    assert r2(np.ones((3, 1)), np.ones(3)) == 1.0
    assert r2(np.zeros((3, 1)), np.ones(3)) == 0.0


def test_a_running_score_is_that_of_all_samples_and_goes_on_from_a_checkpoint() -> None:
    rng = np.random.default_rng(4)
    targets = rng.normal(size=(60, 3)) * (1, 10, 0) + (1000, 0, 2)
    answers = targets + rng.normal(size=(60, 3)) * (1, 1, 0)
    running = RunningR2()
    assert running.value is None
    for first in range(0, 60, 7):
        other = RunningR2()
        other.load_state_dict(running.state_dict())
        other.observe(answers[first : first + 7], targets[first : first + 7])
        running = other
        assert running.value == pytest.approx(r2(answers[: first + 7], targets[: first + 7]))
    running.restart()
    running.observe(targets[:5], targets[:5])
    assert running.value == 1.0
