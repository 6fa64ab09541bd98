"""Each example of ``examples/`` as its users run it, with few samples."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.snn.load_network import load_network
from snnhpo_mpi.study.build import build_optimizer, build_trainer
from snnhpo_mpi.trial import Outcome, State, Trial

ROOT = Path(__file__).parents[3]
FEW = ["trainer.dataset.train=48", "trainer.dataset.held_out=20", "stopping.0.beta=0.999", "space.batch_size.high=20"]
NEEDED = {"spikingjelly": "spikingjelly", "snntorch": "snntorch", "norse": "norse", "sinabs": "sinabs", "lava": "lava"}
FIRING = {"plain": "space.threshold.high=0.3", "sinabs": "space.spike_threshold.high=0.3"}  # from the first batch on
NAMES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/net.py"))


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the commands of the examples are given; what libraries warn of when imported is no fault of ours."""
    monkeypatch.chdir(ROOT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def config(name: str, *overrides: str) -> StudyConfig:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{NEEDED[name]} is not installed", exc_type=ImportError)
    return load_config(
        ROOT / "examples" / name / "search.yaml", [*FEW, *([FIRING[name]] if name in FIRING else []), *overrides]
    )


def evaluated(study: StudyConfig, trial: Trial, **places: Path) -> Outcome:
    return build_trainer(study, "cpu", lambda progress: None, **places).evaluate(trial)


def test_there_is_one_for_each_library() -> None:
    assert {*NEEDED, "plain"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_trials_of_an_example_and_its_saved_network(name: str, tmp_path: Path) -> None:
    study = config(name)
    optimizer = build_optimizer(study)
    trainer = build_trainer(study, "cpu", lambda progress: None, networks=tmp_path)
    for _ in range(2):
        trial = optimizer.ask().trial
        outcome = trainer.evaluate(trial)
        assert outcome.state is State.COMPLETED, outcome.error
        assert outcome.metrics["spikes_auto"] > 0 and -0.999 <= outcome.constraints[0] < 0.0011
        optimizer.tell(outcome)
    again = evaluated(study, trial)
    assert (again.objectives, again.constraints, again.curves["train_accuracy"]) == (
        outcome.objectives,
        outcome.constraints,
        outcome.curves["train_accuracy"],
    )
    network = load_network(tmp_path / f"trial_{trial.number:03d}.pt")
    images = np.zeros((3, 1, 28, 28), np.uint8)
    assert network.classify(images).tolist() == network.classify(images).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_training_goes_on_exactly(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = config(name, "fixed.epochs=2", "fixed.optimizer=sgd", "fixed.schedule=cosine")
    trial = build_optimizer(study).ask().trial
    uncut = evaluated(study, trial)

    def cut(self: object, trial: object, parts: object) -> None:
        save(self, trial, parts)
        raise KeyboardInterrupt

    from snnhpo_mpi.snn.checkpoint import Checkpoints

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        evaluated(study, trial, checkpoints=tmp_path)
    monkeypatch.setattr(Checkpoints, "save", save)
    torch.manual_seed(7)
    resumed = evaluated(study, trial, checkpoints=tmp_path)
    assert resumed.metrics["resumed_after_epoch"] == 1
    assert (resumed.objectives, resumed.constraints) == (uncut.objectives, uncut.constraints)
    for curve in ("train_accuracy", "spikes_auto", "silent_rate_auto", "confusion"):
        assert resumed.curves[curve] == uncut.curves[curve], curve


def test_two_trials_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_config(ROOT / "examples" / "function" / "search.yaml")
    optimizer, trainer = build_optimizer(study), build_trainer(study, "cpu", lambda progress: None)
    names = trainer.evaluate.__self__._function.__globals__  # type: ignore[attr-defined]
    monkeypatch.setitem(names, "N_TRAIN", 60)
    monkeypatch.setitem(names, "N_HELD_OUT", 20)
    for _ in range(2):
        outcome = trainer.evaluate(optimizer.ask().trial)
        assert outcome.state is State.COMPLETED and 0 <= outcome.objective <= 1
        optimizer.tell(outcome)
