"""Networks of the user's own for the ``slayer`` trainer; the one that is trained stands in the README."""

import re
import sys
from pathlib import Path

import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.check import describe
from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.parts import build_optimizer, build_trainer
from snnhpo_mpi.trial import State, Trial

pytestmark = pytest.mark.slayer
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("### An own architecture")[2]
PYTHON, YAML = (re.search(f"```{kind}\n(.*?)```", SECTION, re.DOTALL)[1] for kind in ("python", "yaml"))  # type: ignore[index]
SMALL = ["trainer.dataset.train=20", "trainer.dataset.held_out=10", "trainer.encoding.steps=8", "fixed.epochs=1"]
FORWARD = "return spikes.flatten(3).sum(3) * self.w, {'output': spikes.flatten(1).sum(1)}"
OWN = f"""
import torch

class Own(torch.nn.Module):
    HYPERPARAMETERS = {{"gain": 1.0}}
    LAYERS = ("output",)

    def __init__(self, input_shape, n_classes, params, monitored):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(n_classes))

    def forward(self, spikes):
        {FORWARD}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a user, with what the README shows; modules are forgotten afterwards."""
    (tmp_path / "mynet.py").write_text(PYTHON)
    (tmp_path / "mine.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("mynet", "own"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def example(*overrides: str) -> StudyConfig:
    return load_config(Path("mine.yaml"), [*SMALL, *overrides])


def test_the_readme_s_architecture_is_searched_end_to_end(folder: Path) -> None:
    config = example("stopping.0.beta=0.95")
    optimizer, trainer = build_optimizer(config), build_trainer(config, "cpu", lambda progress: None)
    for _ in range(2):
        trial = optimizer.ask().trial
        outcome = trainer.evaluate(trial)
        assert outcome.state is State.COMPLETED
        assert set(outcome.curves) >= {"silent_rate_hidden", "spikes_hidden"}
        assert len(outcome.constraints) == 1
        optimizer.tell(outcome)
    one, again = (trainer.evaluate(Trial(0, trial.params, 5)) for _ in range(2))
    assert (one.objective, one.constraints) == (again.objective, again.constraints)


def test_its_silence_stops_it(folder: Path) -> None:
    config = example("space.threshold.high=2000")
    trial = build_optimizer(config).ask().trial
    silent = Trial(0, {**trial.params, "threshold": 1000.0}, 1)
    assert build_trainer(config, "cpu", lambda progress: None).evaluate(silent).state is State.STOPPED


def test_check_imports_it_only_when_told_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mynet.py").write_text(PYTHON + "\n(__import__('pathlib').Path('imported')).touch()\n")
    assert cli.main(["check", "mine.yaml"]) == 0
    assert "for mynet:TwoDense (not imported: --import does)" in capsys.readouterr().out
    assert not (folder / "imported").exists()
    assert cli.main(["check", "mine.yaml", "--import"]) == 0
    assert (folder / "imported").exists()


def test_the_trainer_s_own_hyperparameters_are_checked_without_importing_it(folder: Path) -> None:
    for wrong, message in (
        ("fixed.epochs=0", "fixed.epochs: at least 1 is allowed"),
        ("space.learning_rate.low=-1", "low"),
        (
            "stopping=[{layer: hidden, alpha: 1, beta: 0.1}, {layer: hidden, alpha: 2, beta: 0.1}]",
            "has a monitor already",
        ),
    ):
        with pytest.raises(ConfigError, match=message):
            example(wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("trainer.network=mynet:Absent", "mynet:Absent cannot be imported: AttributeError"),
        ("trainer.network=absent:Net", "absent:Net cannot be imported: ModuleNotFoundError: No module named 'absent'"),
        ("trainer.network=math:sqrt", "math:sqrt must be a class, and a torch.nn.Module"),
        ("trainer.network=torch.nn:ReLU", "torch.nn:ReLU needs HYPERPARAMETERS"),
        ("fixed.tau=1", "fixed.tau is not one of its hyperparameters; allowed: batch_size, decoder, epochs, hidden,"),
        ("stopping.0.layer=c1", "stopping.0.layer: 'c1' is not monitored; allowed: hidden, output"),
    ],
)
def test_what_it_does_not_have_is_a_mistake_of_the_configuration(folder: Path, wrong: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list(describe(example(wrong), import_function=True))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import torch", "import torch, sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
        ('LAYERS = ("output",)', "", "needs LAYERS, a tuple of names"),
        ("torch.ones(n_classes)", "torch.ones(params['width'])", "own:Own with .*gain=0.5.* raised KeyError: 'width'"),
        (FORWARD, "return spikes @ self.w, {}", "own:Own with .* raised RuntimeError"),
        (FORWARD, "return spikes.flatten(3).sum(3) * self.w", "found a Tensor of 2 x 8 x 10"),
        (FORWARD, "return spikes.flatten(2) * self.w[0], {}", "B x T x K = 2 x 8 x 10, found a Tensor of 2 x 8 x 784"),
        (FORWARD, FORWARD.replace("* self.w", "* (self.w > 2)"), "the output has no gradient"),
        (FORWARD, FORWARD.replace("'output'", "'out'"), "the monitored layer 'output' is not counted"),
        (FORWARD, FORWARD.replace("flatten(1).sum(1)", "sum()"), "'output' must be B = 2 numbers, found .* one number"),
    ],
)  # fmt: skip
def test_a_class_that_breaks_the_contract_is_told(folder: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    (folder / "own.py").write_text(OWN.replace(old, new))
    config = load_config(
        Path("mine.yaml"),
        [
            *SMALL,
            "trainer.network=own:Own",
            "stopping.0.layer=output",
            "space={gain: {type: float, low: 0.5, high: 1}}",
        ],
    )
    with pytest.raises(ConfigError, match=message):
        list(describe(config, import_function=True))
    with pytest.raises(ConfigError, match=message):
        build_trainer(config, "cpu", lambda progress: None)
