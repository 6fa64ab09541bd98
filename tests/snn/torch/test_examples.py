"""Each example of ``examples/`` as its users run it, with few samples."""

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from recording_files import write_all

from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.snn.checkpoint import Checkpoints
from snnhpo_mpi.snn.data import load
from snnhpo_mpi.snn.load_network import load_network
from snnhpo_mpi.study.build import build_optimizer, build_trainer
from snnhpo_mpi.trial import State, Trial

ROOT = Path(__file__).parents[3]
FEW = ["trainer.dataset.train=48", "trainer.dataset.held_out=20", "stopping.0.beta=0.999", "space.batch_size.high=20"]
NEEDED = {"spikingjelly": "spikingjelly", "snntorch": "snntorch", "norse": "norse", "sinabs": "sinabs", "lava": "lava"}
NEEDED |= {"events": "snntorch"}
CHANGED = {
    "plain": ["space.threshold.high=0.3"],  # fires from the first batch on
    "sinabs": ["space.spike_threshold.high=0.3"],
    "events": ["trainer.dataset.train=8", "trainer.dataset.held_out=4", "space.threshold.high=0.31"],
}
NAMES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/net.py"))


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Where the commands of the examples are given; what libraries warn of when imported is no fault of ours."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SNNHPO_DATA", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def config(name: str, *overrides: str) -> StudyConfig:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason=f"{NEEDED[name]} is not installed", exc_type=ImportError)
    return load_config(ROOT / "examples" / name / "search.yaml", [*FEW, *CHANGED.get(name, []), *overrides])


def test_there_is_one_for_each_library() -> None:
    assert {*NEEDED, "plain"} == set(NAMES)


def cut_behind_its_first_checkpoint(study: StudyConfig, trial: Trial, folder: Path) -> None:
    """As by the end of a job."""
    save = Checkpoints.save

    def cut(self: Checkpoints, trial: Trial, parts: Any) -> None:
        save(self, trial, parts)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoints, "save", cut)
        build_trainer(study, "cpu", lambda progress: None, checkpoints=folder).evaluate(trial)


@pytest.mark.parametrize("name", NAMES)
def test_two_trials_of_an_example_of_which_a_cut_one_goes_on_exactly(name: str, tmp_path: Path) -> None:
    if name == "events":
        write_all(tmp_path)
    study = config(name, "fixed.epochs=2", "fixed.schedule=cosine")
    optimizer = build_optimizer(study)
    trainer = build_trainer(study, "cpu", lambda progress: None, networks=tmp_path)
    for _ in range(2):
        trial = optimizer.ask().trial
        uncut = trainer.evaluate(trial)
        assert uncut.state is State.COMPLETED, uncut.error
        assert uncut.metrics["spikes_auto"] > 0 and -0.999 <= uncut.constraints[0] < 0.0011
        optimizer.tell(uncut)

    cut_behind_its_first_checkpoint(study, trial, tmp_path)
    torch.manual_seed(7)
    resumed = build_trainer(study, "cpu", lambda progress: None, checkpoints=tmp_path).evaluate(trial)
    assert resumed.metrics["resumed_after_epoch"] == 1
    assert (resumed.objectives, resumed.constraints) == (uncut.objectives, uncut.constraints)
    for curve in ("train_accuracy", "spikes_auto", "silent_rate_auto", "confusion"):
        assert resumed.curves[curve] == uncut.curves[curve], curve

    network = load_network(tmp_path / f"trial_{trial.number:03d}.pt")
    samples = load(study.trainer.dataset, study.study.seed, study.trainer.encoding).held_x[:3]
    assert network.classify(samples).tolist() == network.classify(samples).tolist()


def test_two_trials_of_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_config(ROOT / "examples" / "function" / "search.yaml")
    optimizer, trainer = build_optimizer(study), build_trainer(study, "cpu", lambda progress: None)
    names = trainer.evaluate.__self__._function.__globals__  # type: ignore[attr-defined]
    monkeypatch.setitem(names, "mnist_data", functools.cache(names["mnist_data"]))  # slow to read
    monkeypatch.setitem(names, "N_TRAIN", 60)
    monkeypatch.setitem(names, "N_HELD_OUT", 20)
    for _ in range(2):
        outcome = trainer.evaluate(optimizer.ask().trial)
        assert outcome.state is State.COMPLETED and 0 <= outcome.objective <= 1
        optimizer.tell(outcome)
