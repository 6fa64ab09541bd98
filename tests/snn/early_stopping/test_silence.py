from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.config import IntParameter, MonitorSettings, StdpSettings, load_config
from snnhpo_mpi.snn.early_stopping.monitor import Published, Sequential
from snnhpo_mpi.snn.early_stopping.silence import Silence, monitor_of

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_dead_network_of_any_experiment_is_stopped_within_200_samples(path: Path) -> None:
    config = load_config(path)
    batch = config.space.get("batch_size")
    if isinstance(config.trainer, StdpSettings):
        n = config.trainer.batch_size
    else:
        assert isinstance(batch, IntParameter)
        n = batch.high
    silence = Silence(config.stopping, config.trainer.dataset.train, n_classes=1)  # type: ignore[union-attr]
    silence.start_epoch()
    n_seen = 0
    while not silence.should_stop:
        silent = {monitor.layer: np.zeros(n, dtype=np.int64) for monitor in config.stopping}
        silence.observe(silent, np.zeros(n, dtype=np.int64))
        n_seen += n
        assert n_seen <= 200


def test_silent_rate_of_a_four_sample_epoch() -> None:
    silence = Silence([MonitorSettings(layer="output", alpha=5, beta=0.1)], 1000, n_classes=1)
    silence.observe({"output": np.array([0, 4, 5, 6])}, np.zeros(4, np.int64))  # fewer than alpha = 5: two samples
    assert silence.rates == {"output": 0.5}
    assert silence.constraints == pytest.approx((0.4,))


def test_the_published_rule_checks_forty_times_an_epoch_by_default() -> None:
    settings = MonitorSettings(layer="output", alpha=1, beta=0.1, rule="published")
    assert monitor_of(settings, 48_000).rule == Published(0.1, 1200, 48_000)
    assert monitor_of(settings, 10).rule == Published(0.1, 1, 10)
    assert monitor_of(settings.model_copy(update={"check_every": 7}), 48_000).rule == Published(0.1, 7, 48_000)
    assert monitor_of(settings.model_copy(update={"rule": "sequential"}), 48_000).rule == Sequential(0.1)


def test_monitors_are_ored_and_give_a_constraint_each() -> None:
    settings = [
        MonitorSettings(layer="excitatory", alpha=5, beta=0.1),
        MonitorSettings(layer="inhibitory", alpha=1, beta=0.3),
    ]
    silence = Silence(settings, 100, n_classes=2)
    silence.start_epoch()
    counts = {"excitatory": np.array([8, 8, 8, 8, 8, 8, 8, 8]), "inhibitory": np.array([0, 0, 0, 0, 0, 0, 0, 0])}
    silence.observe(counts, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert silence.should_stop
    assert silence.constraints == pytest.approx((-0.1, 0.7))
    assert silence.rates == {"excitatory": 0.0, "inhibitory": 1.0}


def test_curves_hold_rates_per_batch_and_spikes_per_class_of_the_last_epoch() -> None:
    silence = Silence([MonitorSettings(layer="output", alpha=1, beta=0.9)], 4, n_classes=3)
    for counts, labels in (([9, 9], [0, 2]), ([0, 4], [0, 2])):
        silence.start_epoch()
        silence.observe({"output": np.array(counts)}, np.array(labels))
    assert silence.curves() == {"silent_rate_output": (0.0, 0.5), "spikes_output": (0.0, 0.0, 4.0)}


def test_curves_of_single_samples_stay_short_and_end_where_training_stopped() -> None:
    silence = Silence([MonitorSettings(layer="output", alpha=1, beta=0.1)], 1000, n_classes=1)
    silence.start_epoch()
    for _ in range(505):
        silence.observe({"output": np.array([1])}, np.array([0]))
    assert silence.curves()["silent_rate_output"] == (0.0,) * 50
    while not silence.should_stop:
        silence.observe({"output": np.array([0])}, np.array([0]))
    assert silence.curves()["silent_rate_output"][-1] == silence.rates["output"] > 0.1


def test_an_epoch_is_looked_at_often_and_just_when_a_published_check_is_due() -> None:
    def looks(rule: str, n: int, every: int, batch_size: int, **changes: object) -> list[int]:
        fields: dict[str, object] = {"layer": "output", "alpha": 5, "beta": 0.1, "rule": rule} | changes
        return Silence([MonitorSettings.model_validate(fields)], n, 1).looks(n, every, batch_size)

    assert looks("sequential", 70, 32, 1) == [32, 32, 6]
    assert looks("published", 70, 32, 1, check_every=10) == [10, 10, 10, 2, 8, 10, 10, 4, 6]
    assert looks("published", 70, 32, 8, check_every=10) == [16, 8, 8, 8, 16, 8, 6]  # whole batches
    assert looks("sequential", 5, 32, 1) == [5]
