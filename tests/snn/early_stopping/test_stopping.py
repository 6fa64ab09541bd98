"""All rules of a configuration together."""

import numpy as np
import pytest

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.interfaces import Learnt
from snnhpo_mpi.snn.early_stopping.stopping import EarlyStopping


def stopping(**rules: object) -> EarlyStopping:
    config = StudyConfig.model_validate(
        {
            "study": {"name": "test"},
            "budget": {"trials": 1},
            "trainer": {
                "name": "stdp",
                "dataset": {"name": "digits5000", "train": 1000, "held_out": 10},
                "encoding": {"steps": 50, "max_rate_hz": 128},
            },
            "space": {"norm": {"type": "float", "low": 1, "high": 2}},
            **rules,
        }
    )
    return EarlyStopping(config, 1000, 10)


RULES = {
    "stopping": [{"layer": "excitatory", "alpha": 1, "beta": 0.1}],
    "saturation": [{"layer": "inhibitory", "beta": 0.2}],
    "chance": {"after_epochs": 2},
}


def observe(rules: EarlyStopping, spikes: int = 1, is_saturated: bool = False, is_right: int = 1, n: int = 20) -> None:
    layers = {"excitatory": np.full(n, spikes)}
    learnt = Learnt(layers, np.full(n, is_right), {"inhibitory": np.full(n, is_saturated)})
    rules.observe(learnt, np.zeros(n, np.int64))


@pytest.mark.parametrize(
    ("seen", "constraints"),
    [({"spikes": 0}, (0.9, -0.2, -0.74)), ({"is_saturated": True}, (-0.1, 0.8, -0.74))],
)
def test_any_rule_stops_the_training_and_each_gives_its_constraint(
    seen: dict[str, int], constraints: tuple[float, ...]
) -> None:
    rules = stopping(**RULES)
    rules.start_epoch()
    observe(rules, **seen)
    assert rules.should_stop
    assert rules.constraints == pytest.approx(constraints, abs=0.01)


def test_chance_stops_at_an_epochs_end() -> None:
    rules = stopping(**RULES)
    for epoch in (1, 2):
        rules.start_epoch()
        observe(rules, is_right=0)
        assert not rules.should_stop
        rules.end_epoch()
        assert rules.should_stop is (epoch == 2)


def test_a_curve_says_what_its_layer_did() -> None:
    rules = stopping(**RULES)
    rules.start_epoch()
    observe(rules, spikes=0, n=10)
    observe(rules, is_saturated=True, n=10)
    curves = rules.curves()
    assert curves["silent_rate_excitatory"] == (1.0, 0.5)
    assert curves["saturated_rate_inhibitory"] == (0.0, 0.5)
    assert set(curves) == {"silent_rate_excitatory", "spikes_excitatory", "saturated_rate_inhibitory"}


def test_without_rules_nothing_stops() -> None:
    rules = stopping()
    rules.start_epoch()
    rules.observe(Learnt({}, None, {}), np.zeros(4, np.int64))
    assert (rules.should_stop, rules.constraints, rules.curves()) == (False, (), {})


def test_everything_comes_back_from_a_checkpoint() -> None:
    one, other = stopping(**RULES), stopping(**RULES)
    one.start_epoch()
    observe(one, is_right=0)
    one.end_epoch()
    other.load_state_dict(one.state_dict())
    assert (other.constraints, other.curves()) == (one.constraints, one.curves())
    assert other.state_dict() == one.state_dict()
    other.start_epoch()
    observe(other, is_right=0)
    other.end_epoch()
    assert other.should_stop  # it is the second epoch at chance
