import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fake_study
import pytest
import yaml

from snnhpo_mpi import cli, host
from snnhpo_mpi.check import _cost
from snnhpo_mpi.config import load_config
from snnhpo_mpi.trial import State

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    "command", ["run", "check", "status", "report", "best", "compare", "export", "retrain", "schema"]
)
def test_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    assert f"snnhpo {command}" in capsys.readouterr().out.partition("example:")[2]


def test_schema_describes_every_section(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"study", "budget", "trainer", "space"} <= set(schema["required"])
    assert set(schema["properties"]) == set(yaml.safe_load(Path("configs/quickstart.yaml").read_text()) | {
        "workers": 0, "record": 0, "fixed": 0, "saturation": 0, "chance": 0
    })  # fmt: skip


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
    assert samples == pytest.approx(mean * 1000 + 500, rel=0.01)


@pytest.mark.parametrize(
    ("n_trials", "span"), [(1, "1 min of one worker"), (70, "1.17 h of one worker"), (0.5, "30 s of one worker")]
)
def test_the_cost_is_said_in_a_unit_that_fits_it(n_trials: float, span: str) -> None:
    config = load_config(Path("configs/quickstart.yaml"))
    config = config.model_copy(update={"budget": config.budget.model_copy(update={"trials": n_trials})})
    fixed = config.model_copy(update={"space": {k: v for k, v in config.space.items() if k != "epochs"}})
    trainer = config.trainer
    few = trainer.model_copy(update={"dataset": trainer.dataset.model_copy(update={"train": 5500, "held_out": 500})})
    assert span in _cost(fixed.model_copy(update={"trainer": few, "fixed": {"epochs": 1}}))


def test_versions_of_everything_that_matters_go_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    versions = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert versions["torch"] == importlib.metadata.version("torch")
    assert versions["Python"] == platform.python_version()
    assert {"snnhpo_mpi", "botorch", "gpytorch", "bindsnet", "lava-dl", "tonic", "mpi4py", "h5py", "MPI"} <= set(
        versions
    )


def test_versions_of_what_is_absent_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PACKAGES", ("snnhpo_mpi", "no_such_package"))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    versions = host.versions()
    assert versions["no_such_package"] == "not installed" and versions["MPI"] == "not found"


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
        ("import no_such_package\n", ("did not start", "no_such_package", 'toy.py", line 1')),
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


@pytest.mark.parametrize("command", ["status", "report", "best"])
def test_a_folder_without_a_study_is_a_record_error(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, str(tmp_path)]) == 3
    assert str(tmp_path) in capsys.readouterr().err


def test_best_is_printed_as_a_block_for_the_next_configuration(snnhpo: Program, toy: Path) -> None:
    assert snnhpo("run", "toy.yaml").returncode == 0
    best = json.loads(snnhpo("status", "results/toy", "--json").stdout)["best"]
    block = yaml.safe_load(snnhpo("best", "results/toy", "--yaml").stdout)
    assert block == {"fixed": best["params"]}
    table = snnhpo("best", "results/toy", "--top", "3").stdout
    assert f"{best['objective']:.4f}" in table


def test_without_a_feasible_trial_best_says_so_and_its_json_is_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = str(fake_study.written(tmp_path / "s", 5, state=State.STOPPED))
    assert cli.main(["best", study]) == 1
    assert capsys.readouterr() == ("", "snnhpo: no feasible trial yet\n")
    assert cli.main(["best", study, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"best": []}


def test_report_ends_with_what_was_found_and_where_it_is(snnhpo: Program, toy: Path) -> None:
    assert snnhpo("run", "toy.yaml").returncode == 0
    done = snnhpo("report", "results/toy", "--format", "html,pdf")
    said = done.stdout
    assert done.stderr == ""  # writers of PDFs tell of every font
    assert "results/toy/study.h5" in said
    page = toy / "results" / "toy" / "report" / "report.html"
    assert str(page.relative_to(toy)) in said
    assert page.stat().st_size > 10_000
    assert "http://" not in page.read_text()[:2000]


def test_an_unknown_format_is_refused_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", "somewhere", "--format", "gif"])
    assert ended.value.code == 2
    assert "html, png, pdf and csv are known" in capsys.readouterr().err


@pytest.mark.parametrize(("kilobytes", "arguments"), [(200_000, "run toy.yaml"), (1_000_000, "run toy.yaml {scbo}"),
                                                      (1_000_000, "check toy.yaml {stdp}")])  # fmt: skip
def test_too_small_an_address_space_is_said_in_one_message(
    toy: Path, environment: dict[str, str], kilobytes: int, arguments: str
) -> None:
    (toy / "stdp.yaml").write_text(Path("configs/quickstart.yaml").read_text())
    arguments = arguments.replace("{scbo}", "--set optimizer.name=scbo").replace("toy.yaml {stdp}", "stdp.yaml")
    command = f"ulimit -v {kilobytes}; exec {sys.executable} -m snnhpo_mpi {arguments}"
    done = subprocess.run(["bash", "-c", command], cwd=toy, env=environment, capture_output=True, text=True, timeout=60,
                          check=False)  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "(ulimit -v), which is too little" in done.stderr and "Traceback" not in done.stderr
