"""A study on samples of the user's own: what check says, what a run records, and what a resume refuses."""

from pathlib import Path

import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.record import read

DATA = """\
import numpy as np


def load():
    rng = np.random.default_rng(1)
    labels = np.arange(120) % 2
    images = 0.2 * rng.random((120, 4, 4))
    images[labels == 0, :2] += 0.8
    images[labels == 1, 2:] += 0.8
    return images, labels
"""
NETWORK = """\
import torch


class Spike(torch.autograd.Function):
    @staticmethod
    def forward(context, potential):
        context.save_for_backward(potential)
        return (potential > 0).float()

    @staticmethod
    def backward(context, slope):
        (potential,) = context.saved_tensors
        return slope / (1 + 5 * potential.abs()) ** 2


class Neurons(torch.nn.Module):
    def forward(self, currents):
        potential, spikes = torch.zeros_like(currents[:, 0]), []
        for current in currents.unbind(1):
            potential = 0.9 * potential + current
            spikes.append(Spike.apply(potential - 1))
            potential = potential - spikes[-1].detach()
        return torch.stack(spikes, 1)


class Net(torch.nn.Module):
    def __init__(self, hidden=20):
        super().__init__()
        self.first, self.last = torch.nn.Linear(16, hidden), torch.nn.Linear(hidden, 2)
        self.hidden, self.output = Neurons(), Neurons()

    def forward(self, currents):
        return self.output(self.last(self.hidden(self.first(currents))))
"""
STUDY = """\
study: {name: own, seed: 1}
budget: {trials: 2}
optimizer: {name: random}
trainer:
  name: torch
  network: "mynet.py:Net"
  layout: BTN
  dataset: {name: python, function: "mydata.py:load", train: 80, held_out: 40}
  encoding: {name: direct, steps: 8}
stopping: [{layer: auto, alpha: 1, beta: 0.5}]
fixed: {epochs: 4, batch_size: 8}
space:
  learning_rate: {type: float, low: 5e-3, high: 0.05, scale: log}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SNNHPO_CACHE", str(tmp_path / "cache"))
    for name, text in (("mydata.py", DATA), ("mynet.py", NETWORK), ("own.yaml", STUDY)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_check_runs_the_function_only_if_it_may(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "own.yaml"]) == 0
    assert "data         from mydata.py:load (not read: --import does)" in capsys.readouterr().out
    assert not (folder / "cache").exists()
    assert cli.main(["check", "own.yaml", "--import"]) == 0
    said = capsys.readouterr().out
    assert "mydata.py:load: 80 training and 40 held-out samples, 1 x 4 x 4 " in said
    assert "(C x H x W, the same in each of 8 steps), 2 classes" in said
    assert "samples of mydata.py:load: " in said


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("import os; os._exit(3)", r"mydata.py:load ended its process (exit code 3)"),
        ("return images, labels[:5]", "trainer.dataset.function: mydata.py:load returned 120 samples and 5 labels"),
        ("return images / 0 * 0, labels", "mydata.py:load raised RuntimeWarning"),
    ],
)
def test_check_survives_whatever_the_function_does(
    folder: Path, fault: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import warnings\nwarnings.simplefilter('error')\n" + DATA.replace("return images, labels", fault)
    Path("mydata.py").write_text(text)
    assert cli.main(["check", "own.yaml", "--import"]) == 2
    assert message in capsys.readouterr().err


def test_a_search_learns_from_the_samples_and_a_resume_refuses_others(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert cli.main(["run", "own.yaml", "--workers", "1"]) == 0
    record = read("results/own")
    assert max(record.objective) > 0.9
    kept = record.provenance
    assert kept["data_0"].startswith(str(folder / "mydata.py")) and "samples of mydata.py:load" in kept["data_1"]
    again = ["run", "own.yaml", "--workers", "1", "--resume", "--trials", "3"]
    Path("mydata.py").write_text(DATA.replace("0.2 *", "0.1 *"))
    assert cli.main(again) == 2
    assert "mydata.py: its content is not what this study was begun with" in caplog.text
    assert cli.main([*again, "--accept-config"]) == 0
    assert read("results/own").n_trials == 3


def test_another_function_is_another_study(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert cli.main(["run", "own.yaml", "--workers", "1", "--trials", "1", "--set", "fixed.epochs=1"]) == 0
    Path("other.py").write_text(DATA)
    options = ["--set", "fixed.epochs=1", "--set", "trainer.dataset.function=other.py:load", "--resume"]
    assert cli.main(["run", "own.yaml", "--workers", "1", "--trials", "2", *options]) == 3
    assert "+trainer.dataset.function: other.py:load" in caplog.text


def test_a_missing_file_is_named_without_running_anything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mydata.py").unlink()
    assert cli.main(["check", "own.yaml"]) == 2
    assert "trainer.dataset.function: there is no file mydata.py" in capsys.readouterr().err


NUMBERS = """\
import numpy as np


def load():
    rng = np.random.default_rng(1)
    numbers = rng.random(160)
    return numbers[:, None] * np.linspace(0, 2, 16)[None] + 0.02 * rng.normal(size=(160, 16)), numbers
"""
REGRESSION = NETWORK.replace("torch.nn.Linear(hidden, 2)", "torch.nn.Linear(hidden, 1)").replace(
    "self.output(self.last(self.hidden(self.first(currents))))", "self.last(self.hidden(self.first(currents)))"
)
OPTIONS = [
    f"--set={one}"
    for one in (
        "objectives=[r2]",
        "trainer.loss=mean_square",
        "trainer.dataset.train=100",
        "fixed.epochs=15",
        "stopping=[{layer: hidden, alpha: 1, beta: 0.5}]",
    )
]


def test_a_regression_is_scored_by_r2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mydata.py").write_text(NUMBERS)
    Path("mynet.py").write_text(REGRESSION)
    assert cli.main(["check", "own.yaml", "--import", *OPTIONS]) == 0
    assert "1 number to predict" in capsys.readouterr().out
    assert cli.main(["run", "own.yaml", "--workers", "1", *OPTIONS]) == 0
    record = read("results/own")
    assert record.objective_names == ("r2",)
    assert 0.5 < max(record.objective) < 1
    assert (record.metrics["r2"] == record.objective).all()
    assert (record.n_scored < 0).all()  # the error of a share of n samples is not that of R2
    assert len(record.curves(0)["train_r2"]) == 15
    assert "held-out r2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("body", "options", "message"),
    [
        (
            DATA,
            [*OPTIONS, "--set=trainer.dataset.train=80"],
            "labels that are classes (integers), and the loss of a regression needs numbers (floats)",
        ),
        (NUMBERS, [], "labels that are numbers (floats). Classes are integers; a regression needs trainer: torch"),
        (NUMBERS, OPTIONS[1:], "must be r2, which is how answers to the loss mean_square are scored"),
        (DATA, OPTIONS[:1], "must be accuracy, which is how answers to the loss rate_cross_entropy are scored"),
        (NUMBERS, [*OPTIONS, "--set=pruning.rule=gain"], "must be none: the loss mean_square is one of a regression"),
        (NUMBERS, [*OPTIONS, "--set=chance={after_epochs: 1}"], "is for classes: the loss mean_square is one"),
    ],
)
def test_classes_and_numbers_are_not_taken_for_one_another(
    folder: Path, body: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mydata.py").write_text(body)
    Path("mynet.py").write_text(REGRESSION)
    assert cli.main(["check", "own.yaml", "--import", *options]) == 2
    assert message in capsys.readouterr().err
