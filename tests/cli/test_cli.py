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

from snnhpo_mpi import cli
from snnhpo_mpi.host import provenance
from snnhpo_mpi.trial import State

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("command", cli.COMMANDS)
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
        "objectives": 0, "workers": 0, "record": 0, "fixed": 0, "saturation": 0, "chance": 0, "finalists": 0,
        "pruning": 0
    })  # fmt: skip


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
    monkeypatch.setattr(provenance, "PACKAGES", ("snnhpo_mpi", "no_such_package"))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    versions = provenance.versions()
    assert versions["no_such_package"] == "not installed" and versions["MPI"] == "not found"


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
                                                      (300_000, "check toy.yaml {stdp}")])  # fmt: skip
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
