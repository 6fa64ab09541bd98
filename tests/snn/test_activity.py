from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhpo_mpi.config import IntParameter, MonitorSettings, StdpSettings, load_config
from snnhpo_mpi.snn.activity import Activity, Monitor, log_evidence

CONFIGS = Path(__file__).parents[2] / "configs"


def monitor(rule: str = "sequential", n: int = 1000, **changes: object) -> Monitor:
    fields: dict[str, object] = {"layer": "output", "alpha": 5, "beta": 0.1, "rule": rule} | changes
    return Monitor(MonitorSettings.model_validate(fields), n)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_dead_network_of_any_experiment_is_stopped_within_200_samples(path: Path) -> None:
    config = load_config(path)
    batch = config.space.get("batch_size")
    if isinstance(config.trainer, StdpSettings):
        n = config.trainer.batch_size
    else:
        assert isinstance(batch, IntParameter)
        n = batch.high
    activity = Activity(config.stopping, config.trainer.dataset.train, n_classes=1)  # type: ignore[union-attr]
    activity.start_epoch()
    n_seen = 0
    while not activity.should_stop:
        silent = {monitor.layer: np.zeros(n, dtype=np.int64) for monitor in config.stopping}
        activity.observe(silent, np.zeros(n, dtype=np.int64))
        n_seen += n
        assert n_seen <= 200


def test_silent_rate_of_a_four_sample_epoch() -> None:
    counts = monitor()
    counts.observe(np.array([0, 4, 5, 6]))  # fewer than alpha = 5 spikes: two samples
    assert (counts.seen, counts.silent, counts.rate) == (4, 2, 0.5)
    assert counts.constraint == pytest.approx(0.4)


def test_published_rule_stops_at_a_check_once_silent_exceeds_beta_of_the_whole_epoch() -> None:
    counts = monitor("published", n=100, check_every=20)
    trace = []
    for _ in range(4):
        counts.observe(np.zeros(5, dtype=np.int64))
        trace.append(counts.should_stop)
    assert trace == [False, False, False, True]  # 15 > 10 silent were there before, but 20 is the first check
    assert counts.constraint == pytest.approx(20 / 100 - 0.1)


def test_published_rule_tolerates_exactly_beta() -> None:
    counts = monitor("published", n=100, check_every=10)
    counts.observe(np.zeros(10, dtype=np.int64))
    counts.observe(np.full(90, 9))
    assert not counts.should_stop
    assert counts.constraint == pytest.approx(0.0)


def test_published_rule_checks_forty_times_an_epoch_by_default() -> None:
    counts = monitor("published", n=48_000, beta=0.0)
    counts.observe(np.zeros(1199, dtype=np.int64))
    assert not counts.should_stop
    counts.observe(np.zeros(1, dtype=np.int64))
    assert counts.should_stop


@pytest.mark.parametrize(("beta", "n_samples"), [(0.05, 2), (0.1, 3), (0.3, 6)])
def test_sequential_rule_stops_a_dead_network_after_a_few_samples(beta: float, n_samples: int) -> None:
    counts = monitor(beta=beta)
    trace = []
    for _ in range(n_samples):
        counts.observe(np.zeros(1, dtype=np.int64))
        trace.append(counts.should_stop)
    assert trace == [False] * (n_samples - 1) + [True]
    assert counts.constraint == pytest.approx(1 - beta)


def test_the_warm_up_of_the_training_does_not_count() -> None:
    counts = monitor(warm_up=5)
    counts.observe(np.zeros(4, dtype=np.int64))
    counts.observe(np.array([0, 9, 9]))  # the first of these is the fifth
    assert (counts.seen, counts.silent) == (2, 0)
    counts.start_epoch()
    counts.observe(np.zeros(3, dtype=np.int64))  # a later epoch has none
    assert counts.should_stop


def test_evidence_by_hand() -> None:
    # One silent sample: E[p | p > beta] / beta = (1 + beta) / (2 beta).
    assert np.exp(log_evidence(1, 1, 0.1)) == pytest.approx(1.1 / 0.2)
    # One active sample: E[1 - p | p > beta] / (1 - beta) = 1/2.
    assert np.exp(log_evidence(0, 1, 0.1)) == pytest.approx(0.5)


@pytest.mark.parametrize("beta", [0.05, 0.1, 0.3])
def test_sequential_rule_rarely_stops_a_network_at_the_limit(beta: float) -> None:
    rng = np.random.default_rng(1)
    n_stopped = 0
    for _ in range(1000):
        counts = monitor(beta=beta)
        for batch in np.where(rng.random((30, 32)) < beta, 0, 9):  # looked at 30 times
            counts.observe(batch)
        n_stopped += counts.should_stop
    assert n_stopped <= 10  # the guarantee is 1 %, over all looks together


def test_sequential_rule_finds_a_borderline_network_before_the_epoch_ends() -> None:
    rng = np.random.default_rng(2)
    counts = monitor(beta=0.1, n=2000)
    for batch in np.where(rng.random((60, 32)) < 0.2, 0, 9):
        counts.observe(batch)
    assert counts.should_stop


@given(st.lists(st.lists(st.integers(0, 10), min_size=1, max_size=8), min_size=1, max_size=20), st.integers(1, 9))
def test_batching_changes_counts_of_neither_rule(batches: list[list[int]], alpha: int) -> None:
    for rule in ("published", "sequential"):
        batched, single = (monitor(rule, alpha=alpha) for _ in range(2))
        for batch in batches:
            batched.observe(np.array(batch))
            for count in batch:
                single.observe(np.array([count]))
        assert (batched.seen, batched.silent) == (single.seen, single.silent)
        assert batched.constraint == single.constraint


def test_monitors_are_ored_and_give_a_constraint_each() -> None:
    settings = [
        MonitorSettings(layer="excitatory", alpha=5, beta=0.1),
        MonitorSettings(layer="inhibitory", alpha=1, beta=0.3),
    ]
    activity = Activity(settings, 100, n_classes=2)
    activity.start_epoch()
    counts = {"excitatory": np.array([8, 8, 8, 8, 8, 8, 8, 8]), "inhibitory": np.array([0, 0, 0, 0, 0, 0, 0, 0])}
    activity.observe(counts, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert activity.should_stop
    assert activity.constraints == pytest.approx((-0.1, 0.7))
    assert activity.silent_rates == {"excitatory": 0.0, "inhibitory": 1.0}


def test_curves_hold_rates_per_batch_and_spikes_per_class_of_the_last_epoch() -> None:
    activity = Activity([MonitorSettings(layer="output", alpha=1, beta=0.9)], 4, n_classes=3)
    for counts, labels in (([9, 9], [0, 2]), ([0, 4], [0, 2])):
        activity.start_epoch()
        activity.observe({"output": np.array(counts)}, np.array(labels))
    assert activity.curves() == {"silent_rate_output": (0.0, 0.5), "spikes_output": (0.0, 0.0, 4.0)}


def test_curves_of_single_samples_stay_short_and_end_where_training_stopped() -> None:
    activity = Activity([MonitorSettings(layer="output", alpha=1, beta=0.1)], 1000, n_classes=1)
    activity.start_epoch()
    for _ in range(505):
        activity.observe({"output": np.array([1])}, np.array([0]))
    assert activity.curves()["silent_rate_output"] == (0.0,) * 50
    while not activity.should_stop:
        activity.observe({"output": np.array([0])}, np.array([0]))
    assert activity.curves()["silent_rate_output"][-1] == activity.silent_rates["output"] > 0.1


def test_an_epoch_is_looked_at_often_and_just_when_a_published_check_is_due() -> None:
    def looks(rule: str, n: int, every: int, batch_size: int, **changes: object) -> list[int]:
        fields: dict[str, object] = {"layer": "output", "alpha": 5, "beta": 0.1, "rule": rule} | changes
        return Activity([MonitorSettings.model_validate(fields)], n, 1).looks(n, every, batch_size)

    assert looks("sequential", 70, 32, 1) == [32, 32, 6]
    assert looks("published", 70, 32, 1, check_every=10) == [10, 10, 10, 2, 8, 10, 10, 4, 6]
    assert looks("published", 70, 32, 8, check_every=10) == [16, 8, 8, 8, 16, 8, 6]  # whole batches
    assert looks("sequential", 5, 32, 1) == [5]
