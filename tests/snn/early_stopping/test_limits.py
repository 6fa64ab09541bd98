import numpy as np
import pytest
import torch

from snnhpo_mpi.config import ChanceSettings, SaturationSettings
from snnhpo_mpi.snn.early_stopping.limits import Limits, most_spikes, saturated_shares

SATURATION = [SaturationSettings(layer="output", limit=0.9, share=0.5, beta=0.1)]


def right(n_right: int, n: int) -> np.ndarray:
    return (np.arange(n) < n_right).astype(np.int64)


def test_a_neuron_saturates_at_its_refractory_limit() -> None:
    assert [most_spikes(100, refrac, 1.0) for refrac in (0, 1, 9, 200)] == [99, 50, 10, 1]
    fired = {"output": torch.tensor([[10, 9, 3, 0], [10, 8, 0, 0], [0, 0, 0, 0]])}
    assert saturated_shares(SATURATION, fired, {"output": 10})["output"].tolist() == [0.5, 0.25, 0.0]


def test_saturated_samples_stop_the_training_and_others_do_not() -> None:
    for share, stops in ((0.6, True), (0.4, False)):
        limits = Limits(SATURATION, None, 1000, 10)
        limits.start_epoch()
        limits.observe(None, {"output": np.full(32, share)})
        assert limits.should_stop is stops
        assert limits.constraints == pytest.approx((0.9,) if stops else (-0.1,))


def test_chance_is_judged_at_the_end_of_an_epoch_from_the_given_one_on() -> None:
    limits = Limits((), ChanceSettings(after_epochs=2), 1000, 10)
    for epoch in (1, 2):
        limits.start_epoch()
        limits.observe(right(115, 1000), {})
        assert not limits.should_stop
        limits.end_epoch()
        assert limits.should_stop is (epoch == 2)
    # 0.1 + 2.326 sqrt(0.1 0.9 / 1000) = 0.12207
    assert limits.constraints == pytest.approx((0.12207 - 0.115,), abs=1e-4)


def test_an_accuracy_above_chance_beyond_doubt_goes_on() -> None:
    limits = Limits((), ChanceSettings(after_epochs=1), 1000, 10)
    limits.start_epoch()
    limits.observe(None, {})
    assert limits.constraints == (0.0,)  # nothing was predicted yet
    limits.observe(right(125, 1000), {})
    limits.end_epoch()
    assert not limits.should_stop
    assert limits.constraints[0] < 0


def test_counts_come_back_from_a_checkpoint() -> None:
    one, other = (Limits(SATURATION, ChanceSettings(after_epochs=2), 1000, 10) for _ in range(2))
    one.start_epoch()
    one.observe(right(5, 20), {"output": np.full(20, 0.1)})
    one.end_epoch()
    other.load_state_dict(one.state_dict())
    assert other.constraints == one.constraints
    other.start_epoch()
    other.observe(right(0, 20), {"output": np.full(20, 0.1)})
    other.end_epoch()
    assert other.should_stop
