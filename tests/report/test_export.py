from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_study
import numpy as np
import pandas as pd
import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report.export import export
from snnhpo_mpi.trial import State


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read(fake_study.written(tmp_path_factory.mktemp("done") / "s", 60))


def test_a_csv_has_a_row_a_trial_with_its_values_and_its_reason(done: StudyData, tmp_path: Path) -> None:
    (path,) = export(done, tmp_path / "out", ["csv"])
    table = pd.read_csv(path, keep_default_na=False, na_values={"objective": [""]})
    assert table["number"].tolist() == done.number.tolist()
    np.testing.assert_allclose(table["objective"], done.objective)
    assert table["params_decoder"].tolist() == [str(value) for value in done.params["decoder"]]
    failed = table["state"] == "failed"
    assert failed.any() and (table["error"] != "").equals(failed)


def test_a_parquet_file_holds_the_same(done: StudyData, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    csv, parquet = export(done, tmp_path, ["csv", "parquet"])
    table = pd.read_parquet(parquet)
    assert table.columns.tolist() == pd.read_csv(csv).columns.tolist()
    np.testing.assert_array_equal(table["constraint_silent_excitatory"], done.constraints[:, 0])
    assert table["params_map_size"].dtype == np.int64


def test_optuna_sees_the_same_study(done: StudyData, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    (path,) = export(done, tmp_path, ["optuna"])
    assert [file.name for file in tmp_path.iterdir()] == ["optuna.log"]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="fake", storage=storage)
    assert study.metric_names == ["held-out accuracy"]
    rows = np.flatnonzero(done.ended)
    assert [trial.params for trial in study.trials] == [done.trial(row).params for row in rows]
    states = {State.COMPLETED: "COMPLETE", State.STOPPED: "PRUNED", State.FAILED: "FAIL"}
    assert [trial.state.name for trial in study.trials] == [states[State(done.state[row])] for row in rows]
    for trial, row in zip(study.trials, rows, strict=True):
        if trial.state.name != "FAIL":
            assert trial.value == done.objective[row]
            # the dashboard reads the list, Optuna itself both this and its own form
            assert trial.system_attrs["constraints"] == done.constraints[row].tolist()
            assert list(trial.constraints.values()) == done.constraints[row].tolist()
            assert trial.user_attrs["constraint silent_inhibitory"] == done.constraints[row, 1]
        if trial.state.name == "COMPLETE":
            assert trial.intermediate_values[1] == done.curves(int(done.number[row]))["train_accuracy"][0]
            assert trial.duration.total_seconds() == pytest.approx(done.seconds[row], abs=0.01)


def test_pruned_and_stopped_are_pruned_in_optuna_with_what_they_had_reached(done: StudyData, tmp_path: Path) -> None:
    row = int(np.flatnonzero(done.state == "stopped")[0])
    state = done.state.copy()
    state[row] = State.PRUNED.value
    number = int(done.number[row])
    reports = {"number": np.array([number, number, -7, number]), "position": np.array([250, 500, 1, 750])}
    reports["score"] = np.array([0.25, 0.5, 0.9, np.nan])
    trial = exported(replace(done, state=state, reports={**done.reports, **reports}), tmp_path)[row]
    assert (trial.state.name, trial.user_attrs["state"]) == ("PRUNED", "pruned")
    assert trial.intermediate_values == {250: 0.25, 500: 0.5}


def exported(study: StudyData, folder: Path) -> Any:
    optuna = pytest.importorskip("optuna")
    (path,) = export(study, folder, ["optuna"])
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name="fake", storage=storage).trials


def test_metrics_replace_no_fact_of_the_trial_in_optuna(done: StudyData, tmp_path: Path) -> None:
    names = ("seed", "rank", "state", "metric seed", "constraint silent_excitatory", "number", "params", "objective")
    metrics = {name: np.full(done.n_trials, 7.0 + i) for i, name in enumerate(names)}
    rows = np.flatnonzero(done.ended)
    for trial, row in zip(exported(replace(done, metrics=metrics), tmp_path), rows, strict=True):
        attributes = trial.user_attrs
        assert (trial.number, attributes["seed"]) == (done.number[row], done.seed[row])
        assert (attributes["rank"], attributes["state"]) == (done.rank[row], done.state[row])
        if not np.isnan(done.constraints[row, 0]):
            assert attributes["constraint silent_excitatory"] == done.constraints[row, 0]
            assert attributes["metric constraint silent_excitatory"] == 11.0
        assert (attributes["metric seed"], attributes["metric metric seed"]) == (7.0, 10.0)
        assert (attributes["metric rank"], attributes["metric state"], attributes["number"]) == (8.0, 9.0, 12.0)
        assert trial.params == done.trial(row).params


def test_metrics_and_hyperparameters_of_any_name_are_columns_of_their_own(done: StudyData, tmp_path: Path) -> None:
    names = ("seed", "objective", "state", "number", "error", "constraint_silent_excitatory", "a/b", "", "Seed")
    metrics = {name: np.full(done.n_trials, 7.0 + i) for i, name in enumerate(names)}
    (path,) = export(replace(done, metrics=metrics), tmp_path, ["csv"])
    table = pd.read_csv(path)
    assert table.columns.is_unique
    assert table["seed"].tolist() == done.seed.tolist() and table["number"].tolist() == done.number.tolist()
    for i, name in enumerate(names):
        assert (table[f"metrics_{name}"] == 7.0 + i).all()


def test_two_constraints_of_one_name_from_an_old_record_both_count_in_optuna(done: StudyData, tmp_path: Path) -> None:
    twice = replace(done, constraint_names=("silent", "silent"))
    for trial, row in zip(exported(twice, tmp_path), np.flatnonzero(done.ended), strict=True):
        if not np.isnan(done.constraints[row, 0]):
            assert trial.system_attrs["constraints"] == done.constraints[row].tolist()
            assert trial.user_attrs["constraint silent"] == done.constraints[row, 0]
            assert trial.user_attrs["constraint constraint silent"] == done.constraints[row, 1]


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 1}, {"n": 8, "state": State.FAILED}, {"n": 9, "live": True}])
def test_every_format_takes_any_study(tmp_path: Path, options: dict[str, Any]) -> None:
    formats = [name for name, package in (("csv", "pandas"), ("parquet", "pyarrow"), ("optuna", "optuna"))
               if importlib.util.find_spec(package)]  # fmt: skip
    data = read(fake_study.written(tmp_path / "s", **options))
    assert len(export(data, tmp_path / "out", formats)) == len(formats)
    assert len(export(data, tmp_path / "out", formats)) == len(formats)  # again, over what is there


def test_a_study_without_its_configuration_can_be_exported(done: StudyData, tmp_path: Path) -> None:
    assert export(replace(done, config={}), tmp_path, ["csv"])[0].stat().st_size > 1000


def test_a_format_without_its_package_says_what_to_install(
    done: StudyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'snnhpo_mpi\[export\]'"):
        export(done, tmp_path / "out", ["parquet"])
    assert not (tmp_path / "out").exists()
