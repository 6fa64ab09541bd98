import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import fake_study
import pytest
import yaml

from snnhpo_mpi import cli
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
