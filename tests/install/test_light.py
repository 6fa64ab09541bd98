"""A built wheel in an empty environment: what a search on one's own function needs, and what is said of the rest.

``make test-light`` runs it. It downloads torch; ``SNNHPO_TORCH`` is another requirement for it than that of
``pyproject.toml``, such as ``torch==2.13.0+cpu``.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.install, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
STUDY = """\
study: {name: light, seed: 1}
budget: {trials: 4}
optimizer: {name: scbo, initial: 2}
trainer: {name: python, function: "mine.py:evaluate", constraints: [silent]}
space:
  x: {type: float, low: 0, high: 1}
  y: {type: categorical, choices: [a, b]}
"""
FUNCTION = """\
def evaluate(params, seed, device):
    return {"objective": 1 - (params["x"] - 0.3) ** 2, "constraints": {"silent": params["x"] - 0.9}}
"""
SPIKING = """\
study: {name: spiking, seed: 1}
budget: {trials: 1}
trainer:
  name: NAME
  dataset: {name: digits5000, train: 100, held_out: 50}
  encoding: {steps: 10, max_rate_hz: 128}
space:
  KEY: {type: float, low: 0.001, high: 0.01}
"""


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The installed command, called in a folder of the user's."""
    folder = tmp_path_factory.mktemp("light")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*command: object, **others: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return subprocess.run(words, cwd=folder, env=environment, text=True, capture_output=True, check=False)

    def must(*command: object) -> None:
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr

    python = folder / "venv" / "bin" / "python"
    must(sys.executable, "-m", "venv", folder / "venv")
    must(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    must(python, "-m", "pip", "install", "--quiet", wheel, *os.environ.get("SNNHPO_TORCH", "").split())
    (folder / "mine.py").write_text(FUNCTION)
    (folder / "light.yaml").write_text(STUDY)
    for name, key in (("stdp", "nu_pre"), ("slayer", "learning_rate")):
        (folder / f"{name}.yaml").write_text(SPIKING.replace("NAME", name).replace("KEY", key))

    def snnhpo(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(python.parent / "snnhpo", *arguments)

    return snnhpo


def test_a_search_on_ones_own_function_runs_resumes_and_is_read(program: Program) -> None:
    assert (done := program("check", "light.yaml", "--import")).returncode == 0, done.stderr
    done = program("run", "light.yaml", "--workers", "2")
    assert done.returncode == 0 and "complete: 4 trials" in done.stdout, done.stdout + done.stderr
    done = program("run", "light.yaml", "--workers", "2", "--resume", "--trials", "6")
    assert done.returncode == 0 and "complete: 6 trials" in done.stdout, done.stdout + done.stderr
    for command in ("status", "best"):
        done = program(command, "results/light")
        assert done.returncode == 0 and not done.stderr, done.stderr
    assert program("--version").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("report", "results/light"), "[figures]"),
        (("compare", "results/light", "results/light"), "[figures]"),
        (("export", "results/light", "--format", "csv"), "[export]"),
        (("export", "results/light", "--format", "optuna"), "[optuna]"),
        (("run", "light.yaml", "--results", "r", "--workers", "1", "--set", "optimizer.engine=library"), "[library]"),
        (("run", "light.yaml", "--results", "r", "--workers", "1", "--set", "optimizer.name=optuna_tpe"), "[optuna]"),
        (("run", "light.yaml", "--results", "r", "--workers", "1", "--tensorboard"), "[tensorboard]"),
        (("check", "stdp.yaml"), "[stdp]"),
        (("check", "slayer.yaml"), "[data]"),
        (("check", "slayer.yaml", "--set", "trainer.engine=library"), "lava-dl==0.6.0"),
        (("data", "fetch", "nmnist", "--path", "."), "[events]"),
        (("bench", "optimizer", "--problem", "ackley10", "--method", "pycma", "--budget", "4"), "[bench]"),
    ],
    ids=lambda one: "-".join(one[:4]) if isinstance(one, tuple) else None,
)
def test_what_needs_an_extra_says_which_and_how_to_install_it(
    program: Program, arguments: tuple[str, ...], what: str
) -> None:
    done = program(*arguments)
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert "which is not installed: pip install" in said and what in said, said
