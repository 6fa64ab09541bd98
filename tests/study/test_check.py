from pathlib import Path

import pytest

from snnhpo_mpi import cli


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
