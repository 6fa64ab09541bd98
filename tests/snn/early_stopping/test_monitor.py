import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhpo_mpi.snn.early_stopping.monitor import Monitor, Published, Rule, Sequential


def events(k: int, n: int) -> np.ndarray:
    """``n`` samples, to the first ``k`` of which it happened."""
    return np.arange(n) < k


def test_published_rule_stops_at_a_check_once_the_events_exceed_beta_of_the_whole_epoch() -> None:
    monitor = Monitor(Published(0.1, check_every=20, n_epoch_samples=100))
    trace = []
    for _ in range(4):
        monitor.observe(events(5, 5))
        trace.append(monitor.should_stop)
    assert trace == [False, False, False, True]  # 15 > 10 were there before, but 20 is the first check
    assert monitor.constraint == pytest.approx(20 / 100 - 0.1)


def test_published_rule_tolerates_exactly_beta() -> None:
    monitor = Monitor(Published(0.1, check_every=10, n_epoch_samples=100))
    monitor.observe(events(10, 10))
    monitor.observe(events(0, 90))
    assert not monitor.should_stop
    assert monitor.constraint == pytest.approx(0.0)


def test_published_rule_looks_at_checks_alone() -> None:
    monitor = Monitor(Published(0.0, check_every=1200, n_epoch_samples=48_000))
    monitor.observe(events(1199, 1199))
    assert not monitor.should_stop
    monitor.observe(events(1, 1))
    assert monitor.should_stop


@pytest.mark.parametrize(("beta", "n_samples"), [(0.05, 2), (0.1, 3), (0.3, 6)])
def test_sequential_rule_stops_a_dead_network_after_a_few_samples(beta: float, n_samples: int) -> None:
    monitor = Monitor(Sequential(beta))
    trace = []
    for _ in range(n_samples):
        monitor.observe(events(1, 1))
        trace.append(monitor.should_stop)
    assert trace == [False] * (n_samples - 1) + [True]
    assert monitor.constraint == pytest.approx(1 - beta)


def test_the_warm_up_of_the_training_does_not_count() -> None:
    monitor = Monitor(Sequential(0.1), warm_up=5)
    monitor.observe(events(4, 4))
    monitor.observe(events(1, 3))  # the first of these is the fifth
    assert (monitor.n, monitor.k) == (2, 0)
    monitor.start_epoch()
    monitor.observe(events(3, 3))  # a later epoch has none
    assert monitor.should_stop


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.3])
def test_sequential_rule_rarely_stops_a_network_at_the_limit(beta: float) -> None:
    rng = np.random.default_rng(1)
    n_stopped = 0
    for _ in range(1000):
        monitor = Monitor(Sequential(beta))
        for batch in rng.random((30, 32)) < beta:  # looked at 30 times
            monitor.observe(batch)
        n_stopped += monitor.should_stop
    assert n_stopped <= 10  # the guarantee is 1 %, over all looks together


def test_sequential_rule_finds_a_borderline_network_before_the_epoch_ends() -> None:
    rng = np.random.default_rng(2)
    monitor = Monitor(Sequential(0.1))
    for batch in rng.random((60, 32)) < 0.2:
        monitor.observe(batch)
    assert monitor.should_stop


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=1, max_size=20))
def test_batching_changes_counts_of_neither_rule(batches: list[list[bool]]) -> None:
    rules: list[Rule] = [Published(0.1, 25, 1000), Sequential(0.1)]
    for rule in rules:
        batched, single = Monitor(rule), Monitor(rule)
        for batch in batches:
            batched.observe(np.array(batch))
            for event in batch:
                single.observe(np.array([event]))
        assert (batched.n, batched.k) == (single.n, single.k)
        assert batched.constraint == single.constraint
