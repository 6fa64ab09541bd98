import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.config import load_config
from snnhpo_mpi.study.check import _cost

Program = Callable[..., subprocess.CompletedProcess[str]]


def test_check_says_what_a_configuration_means(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(toy)
    assert cli.main(["check", "toy.yaml", "--set", "budget.wall_time=2h"]) == 0
    said = capsys.readouterr().out
    assert "3 hyperparameters, 4 columns" in said
    assert "0.001 .. 1 (float, log)" in said
    assert "12 trials or 2 h" in said
    assert "not imported" in said
    assert "a trial at most 6 h" in said
    assert not (toy / "results").exists()


@pytest.mark.parametrize(
    ("epochs", "mean"),
    [
        ("{type: categorical, choices: [1, 10, 19]}", 10),
        ("{type: int, low: 1, high: 2}", 1.5),
        ("{type: int, low: 1, high: 40}", 20.5),
        ("{type: int, low: 1, high: 100, scale: log}", 18.8),  # not 50.5: low values are drawn more often
    ],
)
def test_the_cost_counts_the_epochs_of_an_average_trial(
    epochs: str, mean: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", "configs/quickstart.yaml", "--set", f"space.epochs={epochs}"]) == 0
    samples = float(capsys.readouterr().out.partition("presents ")[2].split()[0].replace(",", ""))
    assert samples == pytest.approx(mean * 2000 + 1000, rel=0.01)


@pytest.mark.parametrize(
    ("n_trials", "batch_size", "span"),
    [
        (20, 1, "1 min of one worker at 2,000"),
        (1400, 1, "1.17 h of one worker"),
        (10, 1, "30 s of one worker"),
        (1, 32, "1 min of one worker at 100"),
    ],
)
def test_the_cost_is_said_in_a_unit_that_fits_it(n_trials: float, batch_size: int, span: str) -> None:
    config = load_config(Path("configs/quickstart.yaml"), [f"trainer.batch_size={batch_size}"])
    config = config.model_copy(update={"budget": config.budget.model_copy(update={"trials": n_trials})})
    fixed = config.model_copy(update={"space": {k: v for k, v in config.space.items() if k != "epochs"}})
    trainer = config.trainer
    few = trainer.model_copy(update={"dataset": trainer.dataset.model_copy(update={"train": 5500, "held_out": 500})})
    assert span in _cost(fixed.model_copy(update={"trainer": few, "fixed": {"epochs": 1}}))


def test_check_trial_says_what_a_trial_gave_and_records_nothing(snnhpo: Program, toy: Path) -> None:
    done = snnhpo("check", "toy.yaml", "--trial")
    assert done.returncode == 0, done.stderr
    assert "completed in " in done.stdout
    assert "constraint   cliff = -0." in done.stdout and "metric       seed_seen = " in done.stdout
    assert not (toy / "results").exists()


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ("layers = {}\ndef evaluate(params, seed, device):\n    return layers['hidden']\n",
         ("the trial failed: KeyError: 'hidden'", 'toy.py", line 3, in evaluate')),
        ("def evaluate(params, seed, device):\n    return {'objective': 1.0}\n",
         ("1 constraint is configured (cliff), evaluate returned none",)),
        ("import os\ndef evaluate(params, seed, device):\n    os._exit(0)\n", ("exited with code 0",)),
        ("import no_such_package\n", ("importing toy.py:evaluate failed", "no_such_package", "toy.py, line 1")),
        ("async def evaluate(params, seed, device):\n    return {}\n", ("is an async function",)),
    ],
)  # fmt: skip
def test_check_trial_that_fails_has_the_reason_and_the_users_line(
    snnhpo: Program, toy: Path, source: str, messages: tuple[str, ...]
) -> None:
    (toy / "toy.py").write_text(source)
    done = snnhpo("check", "toy.yaml", "--trial")
    assert done.returncode == 2
    assert all(message in done.stderr for message in messages), done.stderr


@pytest.mark.parametrize(
    "source", ["def evaluate(): pass", "async def evaluate(p, s, d): pass", "class evaluate: pass"]
)
def test_check_import_refuses_what_cannot_be_an_evaluation(snnhpo: Program, toy: Path, source: str) -> None:
    (toy / "toy.py").write_text(source)
    done = snnhpo("check", "toy.yaml", "--import")
    assert done.returncode == 2
    assert "it is called as evaluate(params, seed, device)" in done.stderr


@pytest.mark.parametrize(
    ("optimizer", "trials", "said"),
    [
        ("{name: scbo, initial: 6}", 12, "scbo; its models propose from trial 6 on (optimizer.initial)"),
        (
            "{name: scbo}",
            12,
            "scbo; its models propose nothing: optimizer.initial (20) is not below budget.trials (12)",
        ),
        ("{name: sobol}", 12, "sobol"),
    ],
)
def test_who_proposes_the_trials_is_said(
    optimizer: str,
    trials: int,
    said: str,
    toy: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(toy)
    given = [f"--set=optimizer={optimizer}", f"--set=budget.trials={trials}"]
    assert cli.main(["check", "toy.yaml", *given]) == 0
    assert f"\noptimizer    {said}\n" in capsys.readouterr().out


def test_a_tiny_trial_imports_the_function_first(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(toy)
    assert cli.main(["check", "toy.yaml", "--trial"]) == 0
    assert "not imported" not in capsys.readouterr().out
