import numpy as np
import pytest

from snnhpo_mpi.config import ChanceSettings
from snnhpo_mpi.snn.early_stopping.chance import Chance


def wrong(n_right: int, n: int) -> np.ndarray:
    return np.arange(n) >= n_right


def test_it_is_judged_at_the_end_of_an_epoch_from_the_given_one_on() -> None:
    chance = Chance(ChanceSettings(after_epochs=2), 10)
    for epoch in (1, 2):
        chance.start_epoch()
        chance.observe(wrong(115, 1000))
        assert not chance.should_stop
        chance.end_epoch()
        assert chance.should_stop is (epoch == 2)
    # 0.1 + 2.326 sqrt(0.1 0.9 / 1000) = 0.12207
    assert chance.constraints == pytest.approx((0.12207 - 0.115,), abs=1e-4)


def test_an_accuracy_above_chance_beyond_doubt_goes_on() -> None:
    chance = Chance(ChanceSettings(after_epochs=1), 10)
    chance.start_epoch()
    assert chance.constraints == (0.0,)  # nothing was predicted yet
    chance.observe(wrong(125, 1000))
    chance.end_epoch()
    assert not chance.should_stop
    assert chance.constraints[0] < 0


def test_without_settings_nothing_is_judged() -> None:
    chance = Chance(None, 10)
    chance.observe(wrong(0, 1000))
    chance.end_epoch()
    assert not chance.should_stop
    assert chance.constraints == ()
