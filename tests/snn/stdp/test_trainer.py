import gc
import weakref

import numpy as np
import pytest

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.config.settings import PruningSettings
from snnhpo_mpi.snn.stdp.decode import SpikeTrains
from snnhpo_mpi.trial import Interim, Outcome, Progress, State, Trial

pytestmark = pytest.mark.stdp
MONITORS = (
    {"layer": "excitatory", "alpha": 1, "beta": 0.5},
    {"layer": "inhibitory", "alpha": 1, "beta": 0.3},
)
PARAMS = {"map_size": 20, "norm": 150.0, "strength_inh": 120.0}
TIMES = {"train_seconds", "score_seconds", "peak_memory_mb"}


def config(
    train: int = 80, held_out: int = 40, fixed: dict[str, object] | None = None, batch_size: int = 1
) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "study": {"name": "test", "seed": 1},
            "budget": {"trials": 1},
            "trainer": {
                "name": "stdp",
                "dataset": {"name": "digits5000", "train": train, "held_out": held_out},
                "encoding": {"steps": 50, "max_rate_hz": 128},
                "batch_size": batch_size,
            },
            "stopping": MONITORS,
            "fixed": fixed or {},
            "space": {"norm": {"type": "float", "low": 50, "high": 200}},
        }
    )


@pytest.fixture(scope="module")
def trainer():
    from snnhpo_mpi.study.build import build_trainer

    return build_trainer(config(), "cpu", lambda progress: None)


def told(outcome: Outcome) -> tuple[object, ...]:
    """All of an outcome but its number and what the clock and the memory say."""
    metrics = {name: value for name, value in outcome.metrics.items() if name not in TIMES}
    return outcome.state, outcome.objective, outcome.constraints, metrics, dict(outcome.curves)


def test_a_completed_trial_tells_everything(trainer) -> None:
    outcome = trainer.evaluate(Trial(3, PARAMS | {"epochs": 2}, 11))
    assert (outcome.number, outcome.state) == (3, State.COMPLETED)
    assert outcome.objective == outcome.metrics["accuracy"]
    assert outcome.constraints == pytest.approx((-0.5, -0.3), abs=0.1)
    assert outcome.metrics["n_samples"] == outcome.metrics["n_samples_planned"] == 160
    assert len(outcome.curves["train_accuracy"]) == 2
    assert len(outcome.curves["spikes_excitatory"]) == len(outcome.curves["spikes_inhibitory"]) == 10
    assert len(outcome.curves["silent_rate_excitatory"]) == 6  # three batches an epoch, the last of 16 samples


def test_equal_seeds_give_equal_outcomes_whatever_ran_before(trainer) -> None:
    first = trainer.evaluate(Trial(0, PARAMS, 7))
    other = trainer.evaluate(Trial(1, PARAMS, 8))
    again = trainer.evaluate(Trial(2, PARAMS, 7))
    assert told(first) == told(again)
    assert told(first) != told(other)


def test_a_dead_network_is_stopped_at_once_and_not_scored(trainer) -> None:
    outcome = trainer.evaluate(Trial(0, PARAMS | {"e_thresh": 1000.0}, 7))
    assert outcome.state is State.STOPPED
    assert outcome.metrics["stopped_at"] == outcome.metrics["n_samples"] == 32
    assert outcome.constraints == pytest.approx((0.5, 0.7))
    assert "accuracy" not in outcome.metrics and outcome.metrics["score_seconds"] == 0.0
    assert outcome.objective == outcome.metrics["train_accuracy"]
    assert not outcome.feasible


def test_a_silent_inhibitory_layer_stops_training_too(trainer) -> None:
    outcome = trainer.evaluate(Trial(0, PARAMS | {"i_thresh": 1000.0}, 7))
    assert outcome.state is State.STOPPED
    assert outcome.constraints[0] < 0 < outcome.constraints[1]


def test_searched_values_go_before_fixed_ones_and_these_before_the_librarys() -> None:
    from snnhpo_mpi.study.build import build_trainer

    dead = build_trainer(config(train=32, fixed=PARAMS | {"e_thresh": 1000.0}), "cpu", lambda progress: None)
    assert dead.evaluate(Trial(0, {}, 7)).state is State.STOPPED
    assert dead.evaluate(Trial(0, {"e_thresh": -52.0}, 7)).state is State.COMPLETED


def test_the_librarys_own_engine_gives_the_same_training() -> None:
    from snnhpo_mpi.study.build import build_trainer

    settings = config(batch_size=8)
    library = settings.model_copy(update={"trainer": settings.trainer.model_copy(update={"engine": "library"})})
    outcomes = [build_trainer(one, "cpu", lambda p: None).evaluate(Trial(0, PARAMS, 7)) for one in (settings, library)]
    # Scoring has random numbers of its own; training in batches is equal to the bit.
    assert outcomes[0].constraints == outcomes[1].constraints
    first, second = (dict(outcome.curves) for outcome in outcomes)
    assert first.pop("confusion") != second.pop("confusion")
    assert first == second


def test_learning_reads_digits_far_above_chance() -> None:
    from snnhpo_mpi.study.build import build_trainer

    params = {"map_size": 60, "strength_inh": 250.0, "nu_post": 5e-3}
    outcome = build_trainer(config(400, 200, {"e_tc_decay": 100.0}), "cpu", lambda p: None).evaluate(
        Trial(0, params, 1)
    )
    assert outcome.objective is not None
    assert outcome.objective > 0.25
    assert outcome.metrics["train_accuracy"] > 0.2


def test_the_network_of_the_trial_before_is_freed(trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.snn.stdp import learner

    alive: list[int] = []
    weights: list[weakref.ref[object]] = []

    class Watched(learner.OneByOne):
        def __init__(self, *args: object) -> None:
            alive.append(sum(weight() is not None for weight in weights))
            super().__init__(*args)
            weights.append(weakref.ref(self.w))

    monkeypatch.setattr(learner, "OneByOne", Watched)
    gc.disable()
    try:
        for number in range(3):
            trainer.evaluate(Trial(number, PARAMS | {"e_thresh": 1000.0}, number))
    finally:
        gc.enable()
    assert alive == [0, 0, 0]


def test_a_trial_that_cannot_win_is_stopped_by_what_its_running_decoder_reads() -> None:
    from snnhpo_mpi.study.build import build_trainer

    study = config(600).model_copy(update={"pruning": PruningSettings(rule="gain")})
    heard: list[Interim] = []

    def report(news: Progress | Interim) -> None:
        heard.extend([news] if isinstance(news, Interim) else [])

    def pruned_at(number: int) -> int | None:
        return 512 if heard and heard[-1].position == 512 else None

    outcome = build_trainer(study, "cpu", report, pruned_at=pruned_at).evaluate(Trial(3, PARAMS | {"epochs": 2}, 11))
    assert [one.position for one in heard] == [256, 384, 512]
    assert heard[-1].score is not None and heard[-1].n_scored == 128
    assert set(heard[-1].silent_rate) == set(heard[-1].spikes) == {"excitatory", "inhibitory"}
    assert (outcome.state, outcome.metrics["stopped_at"]) == (State.PRUNED, 512)
    assert (outcome.objectives, outcome.n_scored) == ({"accuracy": heard[-1].score}, 128)


@pytest.mark.gpu
def test_a_gpu_evaluates_like_the_cpu() -> None:
    import torch

    from snnhpo_mpi.study.build import build_trainer

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    trainer = build_trainer(config(), "cuda:0", lambda progress: None)
    outcome = trainer.evaluate(Trial(0, PARAMS, 7))
    assert outcome.state is State.COMPLETED
    assert told(outcome) == told(trainer.evaluate(Trial(1, PARAMS, 7)))
    dead = trainer.evaluate(Trial(2, PARAMS | {"e_thresh": 1000.0}, 7))
    assert (dead.state, dead.constraints) == (State.STOPPED, pytest.approx((0.5, 0.7)))


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.snn import training_log as training
    from snnhpo_mpi.study.build import build_trainer

    monkeypatch.setattr(training, "REPORT_EVERY_S", 0.0)
    heard: list[Progress] = []
    build_trainer(config(train=64), "cpu", heard.append).evaluate(Trial(5, PARAMS | {"epochs": 2}, 7))
    assert [(p.number, p.epoch, p.n_samples, p.n_samples_planned) for p in heard] == [
        (5, 1, 32, 128), (5, 1, 64, 128), (5, 2, 96, 128), (5, 2, 128, 128),
    ]  # fmt: skip
    assert set(heard[0].silent_rate) == {"excitatory", "inhibitory"}


def test_running_readout_predicts_a_batch_from_those_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.snn.stdp import readout as module

    monkeypatch.setattr(module, "REFIT_AFTER_LEAST", 2)
    monkeypatch.setattr(module, "FIT_SAMPLES", 4)
    readout = module.RunningReadout("all", 2, n_kept=4)

    def batch(*neurons: int) -> SpikeTrains:
        return SpikeTrains.of(np.ones(len(neurons), int), np.array(neurons), 4)

    assert readout.observe(batch(0, 1), np.array([0, 1])) is None
    right = readout.observe(batch(0, 0), np.array([0, 1]))
    assert right is not None
    assert right.tolist() == [1, 0]
    readout.observe(batch(2, 3), np.array([0, 1]))
    # The first batch is forgotten: neuron 1 was last heard there, and neuron 0 has fired for both classes alike.
    assert readout.fit(4).predict(batch(1, 2)).tolist() == [-1, 0]


def test_saturation_and_chance_stop_training_and_are_constraints() -> None:
    from snnhpo_mpi.study.build import build_trainer

    settings = config()
    limits = {"saturation": [{"layer": "inhibitory", "share": 0.4, "limit": 0.5}], "chance": {"after_epochs": 1}}
    watching = StudyConfig.model_validate(settings.model_dump() | limits)
    assert watching.constraint_names == (
        "silent_excitatory", "silent_inhibitory", "saturated_inhibitory", "at_chance",
    )  # fmt: skip
    trainer = build_trainer(watching, "cpu", lambda progress: None)
    assert len(trainer.evaluate(Trial(0, PARAMS, 7)).constraints) == 4
    wild = {"i_rest": -30.0, "i_thresh": -40.0, "i_refrac": 3}  # inhibitory neurons fire by themselves
    outcome = trainer.evaluate(Trial(1, PARAMS | wild, 7))
    assert outcome.state is State.STOPPED
    assert outcome.constraints[2] > 0


DIVERGES = {
    "norm": [np.nan, 1e39],
    "e_reset": [np.nan, 1e39, -1e39],
    "i_rest": [np.inf],
    "nu_post": [1e39],
    "theta_plus": [3e38],  # finite itself: two spikes in a batch are not, and one keeps the neuron silent
    "strength_inh": [3e38],
}


@pytest.mark.parametrize("engine", ["fast", "library"])
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in DIVERGES.items() for value in values])
def test_a_training_that_leaves_the_finite_numbers_fails_and_is_not_taken_for_silent(engine, name, value) -> None:
    from snnhpo_mpi.study.build import build_trainer

    settings = config(64, 10, batch_size=8 if name == "theta_plus" else 1)
    settings = settings.model_copy(update={"trainer": settings.trainer.model_copy(update={"engine": engine})})
    trainer = build_trainer(settings, "cpu", lambda progress: None)
    with pytest.raises(FloatingPointError, match=r"training diverged: .*finite"):
        trainer.evaluate(Trial(0, PARAMS | {name: value}, 7))


@pytest.mark.parametrize("name", ["w", "theta", "v"])
@pytest.mark.parametrize("engine", ["compiled", "dense", "library"])
def test_every_engine_tells_what_is_not_finite(engine, name) -> None:
    import torch

    from snnhpo_mpi.hyperparameters.networks import defaults
    from snnhpo_mpi.snn.stdp.diehl_cook import DiehlCook
    from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork
    from snnhpo_mpi.snn.stdp.one_by_one import OneByOne

    params = (
        defaults("stdp", "diehl_cook")
        | {"map_size": 5}
        | ({"strength_inh": 3e38, "e_refrac": 0} if name == "v" else {})
    )
    kind = BindsnetNetwork if engine == "library" else DiehlCook
    network = OneByOne(params, 9, 1.0, seed=0) if engine == "compiled" else kind(params, 9, 1.0, torch.device("cpu"))
    if engine == "dense":
        network._one_by_one = None
    spikes = torch.ones(3, 30, 1, 3, 3, dtype=torch.bool)
    with torch.inference_mode(), np.errstate(over="ignore", invalid="ignore"):
        network.refuse_divergence()
        if name == "v" and engine == "compiled":
            network.engine.respond(spikes.flatten(2).numpy(), learning=False)
        elif name == "v":
            network.score(spikes)
        else:
            getattr(network, name)[1] = np.nan
        words = {"w": "weights", "theta": "adaptive thresholds", "v": "membrane potentials"}
        with pytest.raises(FloatingPointError, match=f"{words[name]} are not finite"):
            network.refuse_divergence()
