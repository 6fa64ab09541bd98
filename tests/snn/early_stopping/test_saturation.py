import numpy as np
import pytest

from snnhpo_mpi.config import SaturationSettings
from snnhpo_mpi.hyperparameters.firing import most_spikes
from snnhpo_mpi.snn.early_stopping.saturation import saturated_samples, saturated_shares, saturation_monitors

SATURATION = [SaturationSettings(layer="output", limit=0.9, share=0.5, beta=0.1)]


def test_a_neuron_saturates_at_its_refractory_limit() -> None:
    assert [most_spikes(100, refrac, 1.0) for refrac in (0, 1, 9, 200)] == [99, 50, 10, 1]
    fired = np.array([[10, 9, 3, 0], [10, 8, 0, 0], [0, 0, 0, 0]])
    assert saturated_shares(SATURATION[0], fired, 10).tolist() == [0.5, 0.25, 0.0]
    assert saturated_samples(SATURATION, {"output": fired}, {"output": 10})["output"].tolist() == [True, False, False]


def test_saturated_samples_stop_the_training_and_others_do_not() -> None:
    for is_saturated in (True, False):
        monitors = saturation_monitors(SATURATION, 1000)
        monitors.start_epoch()
        monitors.observe({"output": np.full(32, is_saturated)}, 32)
        assert monitors.should_stop is is_saturated
        assert monitors.constraints == pytest.approx((0.9,) if is_saturated else (-0.1,))


def test_the_warm_up_of_the_training_does_not_count() -> None:
    settings = SATURATION[0].model_copy(update={"warm_up": 32})
    monitors = saturation_monitors([settings], 1000)
    monitors.observe({"output": np.full(32, True)}, 32)
    assert not monitors.should_stop
    monitors.observe({"output": np.full(32, True)}, 32)
    assert monitors.should_stop
