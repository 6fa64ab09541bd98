"""A network of the user's own from its search to a file for a chip: run, retrain --save, export."""

from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.analysis.repeats import repeats
from snnhpo_mpi.record import read
from snnhpo_mpi.snn.load_network import load_network

DATA = """\
import numpy as np


def load():
    rng = np.random.default_rng(1)
    labels = np.arange(240) % 2
    images = 0.2 * rng.random((240, 4, 4))
    images[labels == 0, :2] += 0.8
    images[labels == 1, 2:] += 0.8
    return images, labels
"""
NETWORK = """\
import snntorch
import torch


def neurons():
    return snntorch.Leaky(beta=0.9, reset_mechanism="zero", init_hidden=True)


class Net(torch.nn.Module):
    def __init__(self, hidden=16):
        super().__init__()
        self.fc1, self.lif1 = torch.nn.Linear(16, hidden), neurons()
        self.fc2, self.lif2 = torch.nn.Linear(hidden, 2), neurons()

    def forward(self, x):
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))
"""
STUDY = """\
study: {name: own, seed: 1}
budget: {trials: 1}
optimizer: {name: random}
trainer:
  name: torch
  network: "mynet.py:Net"
  layout: step
  loss: count_cross_entropy
  dataset: {name: python, function: "mydata.py:load", train: 120, held_out: 60}
  encoding: {name: direct, steps: 4}
stopping: [{layer: auto, alpha: 1, beta: 0.9}]
fixed: {epochs: 3, batch_size: 8}
space:
  learning_rate: {type: float, low: 5e-3, high: 0.02, scale: log}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNNHPO_CACHE", str(tmp_path / "cache"))
    for name, text in (("own.yaml", STUDY), ("mydata.py", DATA), ("mynet.py", NETWORK)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_best_of_a_search_is_trained_again_kept_and_exported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("snntorch", reason="snntorch is not installed")
    nir = pytest.importorskip("nir", reason="nir is not installed")
    assert cli.main(["run", "own.yaml", "--workers", "1"]) == 0
    assert cli.main(["retrain", "results/own", "--repeats", "2", "--epochs", "5", "--save"]) == 0
    again = Path("results/own/retrain")
    record = read(again)
    (found,) = repeats(record)
    assert len(found.values) == 2 and min(found.values) > 0.8
    assert all(len(record.curves(row)["train_accuracy"]) == 5 for row in range(2))
    saved = sorted((again / "networks").iterdir())
    assert [path.name for path in saved] == ["trial_000.pt", "trial_001.pt"]
    of_one = load_network(saved[0])
    assert of_one.params["learning_rate"] == record.trial(0).params["learning_rate"]
    assert of_one.classify(np.zeros((3, 1, 4, 4), np.uint8)).shape == (3,)
    capsys.readouterr()
    assert cli.main(["export", str(again), "--format", "nir"]) == 0
    assert "spikes on 20 test samples are those of the network" in capsys.readouterr().out
    assert "lif1" in nir.read(again / "export" / "trial_001.nir").nodes
