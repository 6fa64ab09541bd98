"""A choice of a search is the same choice, of the same type, wherever it comes out of the record again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from snnhpo_mpi import cli, codec
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.record import Retraining, StudyRecord, read
from snnhpo_mpi.report.export import export
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.retrain import Wish, configure
from snnhpo_mpi.trial import Asked, Ended, Outcome, State, Trial

CHOICES = [
    "",
    " ",
    "vote",
    "vote ",
    "a\0",
    "a\0\0",
    1,
    "1",
    2.0,
    "2.0",
    "null",
    "nan",
    "é",
    "e\u0301",
    "-",
    "x" * 70_000,
]
CONFIG = StudyConfig.model_validate(
    {
        "study": {"name": "s"},
        "budget": {"trials": 99},
        "trainer": {"name": "python", "function": "nowhere.py:evaluate"},
        "space": {"k": {"type": "categorical", "choices": CHOICES}, "m": {"type": "int", "low": 1, "high": 3}},
    }
)


@pytest.fixture(params=["both files", "study.h5 alone", "journal.jsonl alone"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A trial a choice, the later the better; of the last one the end is not known."""
    folder, resolved = tmp_path / "s", CONFIG.model_dump(mode="json")
    record = StudyRecord.create(folder, "", resolved, Space(CONFIG.space), (), {})
    for number, choice in enumerate(CHOICES):
        record.append(Asked(Trial(number, {"k": choice, "m": 2}, 7), 1.0))
        if number < len(CHOICES) - 1:
            record.append(Ended(Outcome(number, State.COMPLETED, {"accuracy": float(number)}), 1, 2.0, 1.0))
    record.close("interrupted")
    if request.param != "both files":
        (folder / {"s": "journal.jsonl", "j": "study.h5"}[request.param[0]]).unlink()
    return folder


def exact(values: Any) -> list[tuple[type, Any]]:
    return [(type(value), value) for value in values]


def test_readers_give_the_choice_that_was_evaluated(folder: Path) -> None:
    data = read(folder)
    assert exact(data.params["k"]) == exact(CHOICES)
    assert exact(data.frame()["params_k"]) == exact(CHOICES)
    assert exact(data.choices["k"]) == exact(CHOICES)
    assert exact(event.trial.params["k"] for event in data.events() if isinstance(event, Asked)) == exact(CHOICES)
    assert exact(trial.params["k"] for trial in data.unfinished()) == exact(CHOICES[-1:])


def test_best_and_retrain_have_the_choice_that_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["best", str(folder), "--json", "--top", "99"]) == 0
    found = json.loads(capsys.readouterr().out)["best"]
    assert exact(one["params"]["k"] for one in found) == exact(CHOICES[-2::-1])
    retraining = configure(Wish(folder, top=99)).retraining
    assert retraining is not None
    for one in (retraining, codec.read(Retraining, codec.write(retraining))):  # as it is recorded
        assert exact(candidate.params["k"] for candidate in one.candidates) == exact(CHOICES[-2::-1])


def test_the_best_is_printed_as_yaml_of_its_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, choice in enumerate(["", 1, "1", 2.0, "null"]):
        record = StudyRecord.create(
            tmp_path / str(number), "", CONFIG.model_dump(mode="json"), Space(CONFIG.space), (), {}
        )
        record.append(Asked(Trial(0, {"k": choice, "m": 2}, 7), 1.0))
        record.append(Ended(Outcome(0, State.COMPLETED, {"accuracy": 0.5}), 1, 2.0, 1.0))
        record.close("complete")
        (tmp_path / str(number) / "journal.jsonl").unlink()
        assert cli.main(["best", str(tmp_path / str(number)), "--yaml"]) == 0
        assert exact([yaml.safe_load(capsys.readouterr().out)["fixed"]["k"]]) == exact([choice])


def test_a_resumed_study_sends_out_the_choice_that_was_asked(folder: Path) -> None:
    resolved = CONFIG.model_dump(mode="json")
    record = StudyRecord.open(folder, "", resolved, Space(CONFIG.space), (), {})
    assert exact(trial.params["k"] for trial in record.read().unfinished()) == exact(CHOICES[-1:])
    record.close("interrupted")
    assert exact(read(folder).params["k"]) == exact(CHOICES)


def test_exports_have_a_category_a_choice(folder: Path, tmp_path: Path) -> None:
    optuna, _ = pytest.importorskip("optuna"), pytest.importorskip("pyarrow")
    data = read(folder)
    csv, parquet, log = export(data, tmp_path / "out", ["csv", "parquet", "optuna"])
    for table in (pd.read_csv(csv), pd.read_parquet(parquet)):
        assert exact(map(json.loads, table["params_k"])) == exact(CHOICES)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(log)))
    trials = optuna.load_study(study_name=None, storage=storage).trials
    assert exact(trial.params["k"] for trial in trials) == exact(CHOICES[:-1])


def test_choices_that_cannot_be_mistaken_are_exported_as_they_are(tmp_path: Path) -> None:
    config = CONFIG.model_dump(mode="json")
    config["space"]["k"]["choices"] = ["all", 3, 0.5]
    config = StudyConfig.model_validate_json(json.dumps(config))
    record = StudyRecord.create(tmp_path / "s", "", config.model_dump(mode="json"), Space(config.space), (), {})
    for number, choice in enumerate(["all", 3, 0.5]):
        record.append(Asked(Trial(number, {"k": choice, "m": 2}, 7), 1.0))
    record.close("complete")
    (csv,) = export(read(tmp_path / "s"), tmp_path, ["csv"])
    assert pd.read_csv(csv)["params_k"].tolist() == ["all", "3", "0.5"]
