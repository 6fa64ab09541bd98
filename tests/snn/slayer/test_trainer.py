import math

import pytest
import torch

from snnhpo_mpi.config import SaturationSettings, StudyConfig
from snnhpo_mpi.config.settings import PruningSettings
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.trial import Interim, State, Trial

pytestmark = pytest.mark.slayer
SMALL = {"c1_filters": 2, "c1_k": 9, "c2_filters": 3, "c2_k": 5, "batch_size": 8, "learning_rate": 0.01}
LIVELY = SMALL | {"threshold": 0.5, "current_decay": 0.9, "epochs": 1}


def config(fixed=LIVELY, stopping=({"layer": "output", "alpha": 1, "beta": 0.9},)) -> StudyConfig:
    dataset = {"name": "digits5000", "train": 20, "held_out": 10}
    return StudyConfig.model_validate(
        {
            "study": {"name": "small", "seed": 3},
            "budget": {"trials": 1},
            "trainer": {"name": "slayer", "dataset": dataset, "encoding": {"steps": 12, "max_rate_hz": 512}},
            "stopping": stopping,
            "fixed": fixed,
            "space": {"tau_grad": {"type": "float", "low": 0.1, "high": 1}},
        }
    )


def trainer(settings: StudyConfig | None = None):
    from snnhpo_mpi.study.build import build_trainer

    return build_trainer(settings or config(), "cpu", lambda progress: None)


def evaluate(settings: StudyConfig | None = None, seed: int = 4, **params):
    return trainer(settings).evaluate(Trial(number=7, params={"tau_grad": 0.1} | params, seed=seed))


def what_was_learnt(outcome):
    return outcome.objective, outcome.constraints, outcome.curves


def test_a_network_trained_to_the_end_is_scored_on_held_out_data():
    outcome = evaluate(epochs=2)
    assert (outcome.number, outcome.state) == (7, State.COMPLETED)
    assert outcome.objective == outcome.metrics["accuracy"] and (outcome.objective * 10) % 1 == 0
    assert outcome.metrics["n_samples"] == outcome.metrics["n_samples_planned"] == 40
    assert len(outcome.curves["train_accuracy"]) == 2
    assert len(outcome.curves["silent_rate_output"]) == 6  # batches of 8, 8 and 4 in each of two epochs
    assert len(outcome.curves["spikes_output"]) == 10


def test_an_output_that_fires_whenever_it_can_is_saturated_although_spikes_reach_it_late():
    eager = {"threshold": 0.02, "threshold_step": 0.0, "current_decay": 1.0, "voltage_decay": 1.0, "dropout": 0.0}
    eager |= {"refractory_decay": 1.0, "learning_rate": 1e-6}
    watching = config(LIVELY | eager, ()).model_copy(
        update={"saturation": (SaturationSettings(layer="output", share=0.1, limit=0.9),)}
    )
    outcome = evaluate(watching)  # of 12 steps, the output can fire in the last 7
    assert outcome.state is State.STOPPED
    assert outcome.constraints == (pytest.approx(0.9),)


def test_a_silent_network_is_stopped_early_and_not_scored():
    outcome = evaluate(config(stopping=({"layer": "output", "alpha": 1, "beta": 0.1},)), threshold=1e6)
    assert outcome.state is State.STOPPED
    assert outcome.metrics["stopped_at"] < 20
    assert "accuracy" not in outcome.metrics and outcome.metrics["score_seconds"] == 0.0
    assert outcome.objective == outcome.metrics["train_accuracy"] == outcome.curves["train_accuracy"][-1]
    assert outcome.constraints == (pytest.approx(0.9),)


def test_a_trial_that_cannot_win_is_stopped_by_its_running_accuracy(monkeypatch):
    from snnhpo_mpi.study.build import build_trainer

    monkeypatch.setattr("snnhpo_mpi.snn.interim.FIRST", 10)
    heard = []

    def report(news):
        heard.extend([news] if isinstance(news, Interim) else [])

    study = config().model_copy(update={"pruning": PruningSettings(rule="asha")})
    made = build_trainer(study, "cpu", report, pruned_at=lambda number: 20 if len(heard) == 2 else None)
    outcome = made.evaluate(Trial(7, {"tau_grad": 0.1, "epochs": 3}, 4))
    assert [one.position for one in heard] == [16, 20]
    assert (outcome.state, outcome.metrics["stopped_at"]) == (State.PRUNED, 20)
    assert (outcome.objective, outcome.n_scored) == (heard[1].score, 4)


def test_equal_seeds_give_equal_outcomes_even_in_one_process_after_another_trial():
    one = trainer()
    trials = [Trial(0, {"tau_grad": 0.1, "dropout": 0.3}, seed) for seed in (5, 6, 5)]
    first, other, again = (what_was_learnt(one.evaluate(trial)) for trial in trials)
    assert first == again
    assert first != other


def test_searched_values_come_before_fixed_ones_and_these_before_the_library_s():
    assert defaults("slayer", "csnn")["epochs"] != 3
    assert evaluate(config(fixed=LIVELY | {"epochs": 3})).metrics["n_samples"] == 60
    assert evaluate(config(fixed=LIVELY | {"epochs": 3}), epochs=1).metrics["n_samples"] == 20


def test_training_that_diverges_raises():
    # A threshold under the library's resolution of 1/64 becomes 0, and the surrogate gradient 0/0.
    with pytest.raises(FloatingPointError, match="norm of its gradient nan"):
        evaluate(threshold=1e-3)


def learner(**changes):
    from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
    from snnhpo_mpi.snn.slayer.csnn import Csnn

    params = defaults("slayer", "csnn") | LIVELY | {"c1_k": 3, "c2_k": 2, "dropout": 0.01} | changes
    torch.manual_seed(0)
    return Backpropagation(Csnn((1, 8, 8), 2, params), params)


@pytest.mark.parametrize("decoder", ["rate", "max"])
def test_two_halves_of_an_image_are_told_apart_after_a_few_steps(decoder):
    from snnhpo_mpi.snn.slayer.learner import read_classes

    spikes = torch.zeros(2, 12, 1, 8, 8)
    spikes[0, :, :, :4], spikes[1, :, :, 4:] = 1, 1
    classes = torch.tensor([0, 1])
    one = learner(decoder=decoder)
    for _ in range(40):
        one.train(spikes, classes)
    assert read_classes(one.network, spikes).tolist() == [0, 1]


def test_scoring_has_no_dropout_and_changes_nothing():
    from snnhpo_mpi.snn.slayer.learner import read_classes

    one = learner(dropout=0.9)
    spikes = torch.ones(6, 12, 1, 8, 8)
    weights = [parameter.clone() for parameter in one.network.parameters()]
    assert torch.equal(read_classes(one.network, spikes), read_classes(one.network, spikes))
    assert all(torch.equal(old, new) for old, new in zip(weights, one.network.parameters(), strict=True))


def test_rate_loss_is_the_squared_distance_to_the_wanted_rates():
    from snnhpo_mpi.snn.slayer.loss import loss_of

    silent = torch.zeros(2, 3, 10)
    assert loss_of("rate")(silent, torch.tensor([0, 2])).item() == pytest.approx(2 * (0.2**2 + 2 * 0.03**2))


def test_max_loss_is_finite_when_the_right_neuron_is_silent():
    from snnhpo_mpi.snn.slayer.loss import loss_of

    spikes = torch.zeros(1, 3, 10)
    assert loss_of("max")(spikes, torch.tensor([0])).item() == pytest.approx(math.log(3))
    spikes[0, 1] = 1.0
    assert loss_of("max")(spikes, torch.tensor([0])).item() == pytest.approx(math.log(math.e + 2))


@pytest.mark.parametrize(("kind", "largest"), [("library", 1152**-0.5), ("scaled", 1 / 32)])
def test_the_network_of_a_trial_has_the_weights_that_the_configuration_asks_for(kind, largest, monkeypatch):
    from snnhpo_mpi.snn.slayer import learner

    drawn = []

    def spied(*arguments):
        network = build(*arguments)
        drawn.append(float(network.blocks["c2"].weight.detach().abs().max()))
        return network

    build = learner.build_network
    monkeypatch.setattr(learner, "build_network", spied)
    wide = LIVELY | {"c1_filters": 128, "c1_k": 3, "c2_filters": 2, "c2_k": 3}  # c2 has 1,152 inputs
    asked = config(fixed=wide)
    evaluate(asked.model_copy(update={"trainer": asked.trainer.model_copy(update={"initial_weights": kind})}))
    assert drawn == [pytest.approx(largest, rel=0.01)]
