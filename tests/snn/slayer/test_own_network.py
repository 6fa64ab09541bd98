"""Networks of the user's own for the ``slayer`` trainer; the one that is trained stands in docs/own-network.md."""

import re
import sys
from pathlib import Path

import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.config import StudyConfig, load_config
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.study.build import build_optimizer, build_trainer
from snnhpo_mpi.trial import State, Trial

pytestmark = pytest.mark.slayer
PAGE = (Path(__file__).parents[3] / "docs" / "own-network.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Your own network")[2]
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
    """The working folder of a user, with what the page shows; modules are forgotten afterwards."""
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


def test_the_documented_network_is_searched_end_to_end(folder: Path) -> None:
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
        build_trainer(example(wrong), "cpu", lambda progress: None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import torch", "import torch, sys; sys.exit(3)", "cannot be imported: SystemExit: 3"),
        ('LAYERS = ("output",)', "", "needs LAYERS, a tuple of names"),
        ("torch.ones(n_classes)", "torch.ones(params['width'])", "gain=0.5.* KeyError: 'width' .own.py, line 10"),
        (FORWARD, "return spikes @ self.w, {}", "own:Own with .* raised RuntimeError"),
        (FORWARD, "return spikes.flatten(3).sum(3) * self.w", "found a Tensor of 3 x 8 x 10"),
        (FORWARD, "return spikes.flatten(2) * self.w[0], {}", "B x T x K = 3 x 8 x 10, found a Tensor of 3 x 8 x 784"),
        (FORWARD, FORWARD.replace("* self.w", "* (self.w > 2)"), "the output has no gradient"),
        (FORWARD, FORWARD.replace("'output'", "'out'"), "the monitored layer 'output' is not counted"),
        (FORWARD, FORWARD.replace("flatten(1).sum(1)", "sum()"), "'output' must be B = 3 numbers, found .* one number"),
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
        build_trainer(config, "cpu", lambda progress: None)


def own(folder: Path, old: str, new: str, *overrides: str) -> StudyConfig:
    """A study of ``Own`` with another line."""
    assert old in OWN
    (folder / "own.py").write_text(OWN.replace(old, new))
    settings = ["trainer.network=own:Own", "stopping.0.layer=output", "space={gain: {type: float, low: 0.5, high: 1}}"]
    return load_config(Path("mine.yaml"), [*SMALL, *settings, *overrides])


COUNT = "spikes.flatten(1).sum(1)"
OUTPUT = "spikes.flatten(3).sum(3) * self.w"


def counting(text: str) -> str:
    return FORWARD.replace(COUNT, text)


def putting_out(text: str) -> str:
    return FORWARD.replace(OUTPUT, text)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (counting("(spikes.flatten(1).sum(1) * self.w[0])"), "the counts of 'output' carry a gradient: detach"),
        (counting(f"{COUNT} * float('nan')"), "in train mode, with 3 samples, the counts .* finite .* found nan"),
        (counting(f"{COUNT} / 0.0"), "the counts of 'output' must be finite and not negative"),
        (counting(f"-1 - {COUNT}"), "the counts of 'output' must be finite and not negative, found -1,"),
        (counting("torch.zeros(3)"), "in train mode, with 2 samples, the counts of 'output' must be B = 2 numbers"),
        (counting(f"{COUNT}[:, None]"), "must be B = 3 numbers, found a Tensor of 3 x 1"),
        (counting("3.0"), "must be B = 3 numbers, found a float"),
        (counting(f"({COUNT} if self.training else {COUNT} / 0)"), "in eval mode, with 3 samples, the counts"),
        (FORWARD.replace("return ", "return 3 if not self.training else "), "in eval mode, .* found a int"),
        (putting_out(f"({OUTPUT})[:, : 8 if self.training else 7]"), "in eval mode, .* B x T x K = 3 x 8 x 10, found"),
        (putting_out(f"({OUTPUT}) + (0 if self.training else float('nan'))"), "in eval mode, .* output is not finite"),
        (putting_out(f"(({OUTPUT}) / 0.0)"), "in train mode, .* the output is not finite"),
        (putting_out(f"({OUTPUT}) * torch.rand(())"), "in eval mode the same spikes gave another output"),
        (putting_out(f"({OUTPUT}).squeeze()"), "in eval mode, with 1 sample, the output .* = 1 x 8 x 10"),
        (putting_out("torch.ones(*spikes.shape[:2], 10, requires_grad=True)"), "no parameter gets a gradient"),
    ],
)  # fmt: skip
def test_a_network_that_would_fail_or_lie_in_every_trial_is_refused(folder: Path, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"own:Own.*{message}"):
        build_trainer(own(folder, FORWARD, new), "cpu", lambda progress: None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("torch.nn.Parameter(torch.ones(n_classes))", "torch.ones(n_classes)", "has no parameters that could learn"),
        ('{"gain": 1.0}', "{3: 1.0}", "own:Own needs names in HYPERPARAMETERS, found 3"),
        ('("output",)', "(1, 2)", "own:Own needs names in LAYERS, found 1"),
        ('{"gain": 1.0}', '{"gain": 1.0, "epochs": 9}', "has epochs in HYPERPARAMETERS, .* value as fixed.epochs"),
        (FORWARD, f"raise ValueError('odd')\n        {FORWARD}", r"ValueError: odd \(own.py, line 13: raise V"),
        ("import torch", "import torch\nx = = 3", r"imported: SyntaxError: invalid syntax \(own.py, line 3: x = = 3\)"),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_what_it_should_is_refused(folder: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_trainer(own(folder, old, new), "cpu", lambda progress: None)


def test_a_batch_of_one_is_tried_in_training_only_where_there_may_be_one(folder: Path) -> None:
    normalised = FORWARD.replace("return ", "assert len(spikes) > 1 or not self.training; return ")
    with pytest.raises(ConfigError, match="AssertionError"):
        build_trainer(own(folder, FORWARD, normalised, "fixed.batch_size=19"), "cpu", lambda progress: None)
    with pytest.raises(ConfigError, match="AssertionError"):
        searched = "space.batch_size={type: int, low: 18, high: 20}"
        build_trainer(own(folder, FORWARD, normalised, searched), "cpu", lambda progress: None)
    build_trainer(own(folder, FORWARD, normalised, "fixed.batch_size=18"), "cpu", lambda progress: None)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (counting(f"{COUNT} * (float('nan') if len(spikes) > 9 else 1)"), "the counts of 'output' must be finite"),
        (putting_out(f"({OUTPUT}) * (1 if self.training or len(spikes) < 9 else float('nan'))"), "not finite in eval"),
        (putting_out(f"({OUTPUT})[: 9 if not self.training else 99]"), "10 samples of 8 steps is 9 x 8 x 10 in eval"),
    ],
)
def test_what_goes_wrong_later_fails_the_trial(folder: Path, new: str, message: str) -> None:
    trainer = build_trainer(own(folder, FORWARD, new), "cpu", lambda progress: None)
    with pytest.raises((ValueError, FloatingPointError), match=message):
        trainer.evaluate(Trial(0, {"gain": 1.0}, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("import torch", "import torch, os; os._exit(0)", "own:Own ended its process .exit code 0. while"),
        (FORWARD, "__import__('os').kill(__import__('os').getpid(), 9)", "own:Own ended its process .signal 9."),
        (FORWARD, "raise SystemExit(0)", "raised SystemExit: 0 .own.py, line 13"),
        (counting("torch.zeros(3)"), None, "must be B = 2 numbers"),
    ],
)  # fmt: skip
def test_check_survives_whatever_a_network_does(
    folder: Path, old: str, new: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own(folder, *((old, new) if new else (FORWARD, old)))
    settings = ["trainer.network=own:Own", "stopping.0.layer=output", "space={gain: {type: float, low: 0.5, high: 1}}"]
    arguments = [part for setting in (*SMALL, *settings) for part in ("--set", setting)]
    assert cli.main(["check", "mine.yaml", "--import", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_what_a_network_prints_is_no_part_of_the_check(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mynet.py").write_text(f"print('chatter')\n{PYTHON}")
    assert cli.main(["check", "mine.yaml", "--import"]) == 0
    assert "chatter" not in capfd.readouterr().out
