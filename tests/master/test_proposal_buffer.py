import pytest

from snnhpo_mpi.master.proposal_buffer import PoolSize


def _pool(ask_s: float, interval_s: float) -> PoolSize:
    pool = PoolSize(shortage=0.01)
    pool.observe_ask(ask_s)
    for at in range(3):
        pool.observe_arrival(at * interval_s)
    return pool


def test_one_proposal_is_held_before_anything_is_known():
    assert PoolSize().target(n_workers=16) == 1


@pytest.mark.parametrize(
    # P(N >= size) <= 0.01 for Poisson N, from tables: mean 0.01 -> 1; 0.1 -> 2; 1 -> 5; 4 -> 10
    ("ask_s", "size"),
    [(0.1, 1), (1.0, 2), (10.0, 5), (40.0, 10)],
)
def test_the_slower_the_asks_the_more_are_held(ask_s, size):
    assert _pool(ask_s, interval_s=10.0).target(n_workers=1000) == size


def test_the_pool_is_never_larger_than_the_number_of_workers():
    assert _pool(40.0, interval_s=10.0).target(n_workers=3) == 3
    assert _pool(1e6, interval_s=10.0).target(n_workers=3) == 3
    assert _pool(1e6, interval_s=0.0).target(n_workers=3) == 3


def test_one_worker_has_one_proposal_held_whatever_the_timing():
    assert _pool(40.0, interval_s=0.1).target(n_workers=1) == 1


def test_asks_are_hurried_when_a_waiting_worker_loses_more_than_a_hundredth_of_a_trial():
    pool = _pool(0.1, interval_s=1.0)  # 20 workers: trials of 20 s, of which a hundredth is two asks
    assert not pool.hurried(n_workers=20, n_waiting=2)
    assert pool.hurried(n_workers=20, n_waiting=3)
    assert not pool.hurried(n_workers=20, n_waiting=0)


def test_asks_are_hurried_when_results_come_faster_than_proposals_can_be_made_at_leisure():
    assert _pool(0.1, interval_s=0.1).hurried(n_workers=20, n_waiting=0)
    pool = _pool(0.1, interval_s=0.1)
    for _ in range(100):
        pool.observe_ask(0.01, hurried=True)
    assert not pool.hurried(n_workers=20, n_waiting=0)  # after so many it is time to try one at leisure
    for _ in range(10):
        pool.observe_ask(0.1)
    assert pool.hurried(n_workers=20, n_waiting=0)


def test_one_proposal_that_took_very_long_does_not_hurry_all_that_follow():
    pool = _pool(0.4, interval_s=50.0)
    pool.observe_ask(600.0)
    assert not pool.hurried(n_workers=16, n_waiting=0)


def test_results_are_looked_for_the_oftener_the_more_come():
    assert _pool(0.1, interval_s=0.1).look_s == 0.0007
    assert _pool(0.1, interval_s=1.0).look_s == pytest.approx(0.001)
    assert _pool(0.1, interval_s=100.0).look_s == PoolSize().look_s == 0.003


def test_a_single_worker_and_one_of_which_nothing_is_known_hurry_nobody():
    assert not _pool(0.1, interval_s=0.1).hurried(n_workers=1, n_waiting=1)
    assert not PoolSize().hurried(n_workers=16, n_waiting=16)
