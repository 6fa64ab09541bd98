"""What runs, repeats and prunes leaves in the record: written, read from each file, and shown by plain h5py."""

from __future__ import annotations

import json
from pathlib import Path

import fake_study
import h5py
import numpy as np
import pytest

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.record.columns import attributes
from snnhpo_mpi.trial import Asked, Ended, Event, Interim, Outcome, Repeat, Repeated, Reported, Started, State

INTERIMS = [
    Interim(0, 250, 3.5, 0.25, 40, {"excitatory": 0.125}, {"excitatory": 20.0}),
    Interim(1, 250, 3.25),  # before its first prediction, and of no monitored layer
    Interim(0, 500, 7.0, 0.5, 80, {"excitatory": 0.0625, "inhibitory": 0.5}, {"excitatory": 24.0, "inhibitory": 1.0}),
]
REPEATS = [Repeat(0, 99, "held_out 2", 0.75, 500), Repeat(0, 100, "a longer name of a split", 0.5)]
EVENTS: list[Event] = [
    Asked(fake_study.trial(0), 1.0, {"length": 0.8}),  # as of a baseline: nobody proposed it
    Started(0, 1, 2.0),
    Asked(fake_study.trial(1), 3.0, {"length": 0.8}, 0),
    Started(1, 2, 4.0),
    *[Reported(interim, 1 + interim.number, 5.0 + i) for i, interim in enumerate(INTERIMS)],
    Ended(Outcome(0, State.COMPLETED, {"accuracy": 0.75}, (-0.1, -0.1), n_scored=500), 1, 9.0, 8.0),
    Asked(fake_study.trial(2), 9.5, {"length": 0.4}, 1),
    Ended(Outcome(1, State.PRUNED, {"accuracy": 0.125}, (-0.1, 0.0), {"my/own %": 7.5}, n_scored=40), 2, 10.0, 6.5),
    *[Repeated(repeat, 1, 11.0 + i, 8.5) for i, repeat in enumerate(REPEATS)],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    record = fake_study.create(tmp_path / "s")
    for event in EVENTS:  # one by one, in two sessions
        if event is EVENTS[5]:
            record.close("interrupted")
            record = fake_study.resume(tmp_path / "s")
        record.append(event)
    record.close("complete")
    return tmp_path / "s"


@pytest.fixture(params=["both files", "journal.jsonl", "study.h5"])
def data(folder: Path, request: pytest.FixtureRequest) -> StudyData:
    for name in {"journal.jsonl", "study.h5"} - {request.param}:
        if request.param != "both files":
            (folder / name).unlink()
    return read(folder)


def test_every_event_is_read_back_from_either_file(data: StudyData) -> None:
    assert list(data.events()) == EVENTS


def test_reports_are_columns_and_repeats_are_values(data: StudyData) -> None:
    assert data.reports["number"].tolist() == [0, 1, 0]
    assert data.reports["position"].tolist() == [250, 250, 500]
    np.testing.assert_array_equal(data.reports["score"], [0.25, np.nan, 0.5])
    assert data.reports["n_scored"].tolist() == [40, -1, 80]
    np.testing.assert_array_equal(data.reports["spikes/inhibitory"], [np.nan, np.nan, 1.0])
    assert data.repeats == tuple(REPEATS)


def test_scores_have_names_and_the_number_of_their_samples(data: StudyData) -> None:
    assert data.objective_names == ("accuracy",)
    np.testing.assert_array_equal(data.objectives["accuracy"], [0.75, 0.125, np.nan])
    np.testing.assert_array_equal(data.objective, data.objectives["accuracy"])
    assert data.n_scored.tolist() == [500, 40, -1]
    assert data.metrics["my/own %"][1] == 7.5
    frame = data.frame()
    assert frame["objective_accuracy"][0] == frame["objective"][0] == 0.75 and frame["n_scored"][1] == 40


def test_a_pruned_trial_has_ended_and_is_neither_completed_nor_feasible(data: StudyData) -> None:
    assert data.state.tolist() == ["completed", "pruned", "asked"]
    assert data.ended.tolist() == [True, True, False]
    assert data.feasible.tolist() == data.completed.tolist() == [True, False, False]
    assert [trial.number for trial in data.unfinished()] == [2]


def test_a_study_without_reports_has_empty_columns(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 3))
    assert data.reports["score"].shape == (0,) and data.repeats == ()


def test_only_what_was_asked_can_be_repeated(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    with pytest.raises(RecordError, match="trial 0 was repeated, but never asked"):
        record.append(Repeated(REPEATS[0], 1, 1.0, 1.0))
    record.close("complete")


def test_the_name_of_the_objective_is_that_of_the_configuration(tmp_path: Path) -> None:
    configuration = fake_study.config(objectives=["f1"])
    record = fake_study.create(tmp_path / "s", configuration)
    ended = Ended(Outcome(0, State.COMPLETED, {"f1": 0.75}, (-0.1, -0.1)), 1, 9.0, 8.0)
    record.append(EVENTS[0], ended)
    record.close("complete")
    for lost in ("nothing", "journal.jsonl"):
        (tmp_path / "s" / lost).unlink(missing_ok=True)
        data = read(tmp_path / "s")
        assert data.objective_names == ("f1",) and data.objective.tolist() == [0.75]
        assert list(data.events())[1] == ended
    with h5py.File(tmp_path / "s" / "study.h5") as file:
        assert file["trials/objective"][:].tolist() == file["trials/objectives/f1"][:].tolist() == [0.75]
    with pytest.raises(RecordError, match=r"(?s)-objectives.0: f1\n\+objectives.0: accuracy.*could not be compared"):
        fake_study.resume(tmp_path / "s", fake_study.config(objectives=["accuracy"]), accept_config=True)


def test_plain_h5py_shows_words_for_kinds_and_one_objective_under_its_short_name(folder: Path) -> None:
    with h5py.File(folder / "study.h5") as file:
        kinds = [kind.decode() for kind in file["events/kind"][:] if kind not in (b"session", b"closed")]
        assert kinds == [type(event).__name__.lower() for event in EVENTS]
        rows = file["events/number"][:][file["events/kind"][:] == b"reported"]
        assert file["reports/number"][:][rows].tolist() == [0, 1, 0]
        assert file["repeats/split"][0].decode() == "held_out 2"
        np.testing.assert_array_equal(file["trials/objective"][:], file["trials/objectives/accuracy"][:])
        assert json.loads(file.attrs["objective_names"]) == ["accuracy"]
        assert file["trials/n_told"][:].tolist() == [-1, 0, 1] and "n_told" not in file["optimizer"]


def test_every_column_says_what_it_holds_and_in_which_unit(folder: Path) -> None:
    columns: dict[str, dict[str, str]] = {}

    def look(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(("curves/", "errors/")):
            columns[name] = dict(item.attrs)

    with h5py.File(folder / "study.h5") as file:
        file.visititems(look)
    assert all(facts["description"] for facts in columns.values())
    unknown = {name for name, facts in columns.items() if "units" not in facts}
    assert unknown == {"trials/objectives/accuracy", "trials/metrics/my%2Fown %25"} | {
        f"trials/params/{name}" for name in fake_study.SPACE.names
    }
    assert columns["trials/seconds"]["units"] == "s" and columns["reports/position"]["units"] == "samples"
    assert columns["trials/asked_at"]["units"].startswith("s since 1970-01-01")


def test_units_and_meanings_are_those_of_the_network() -> None:
    stdp = {"trainer": {"name": "stdp", "network": "diehl_cook"}}
    assert attributes("trials/params/tc_theta_decay", stdp)["units"] == "ms"
    assert attributes("trials/params/map_size", stdp)["description"].startswith("excitatory neurons")
    assert attributes("trials/metrics/train_seconds", stdp)["units"] == "s"
    assert attributes("trials/metrics/spikes_excitatory", stdp)["units"] == "1"
    gone = {"trainer": {"name": "stdp", "network": "of another version"}}
    assert attributes("trials/params/map_size", gone) == {"description": "hyperparameter: map_size"}
    own = {"trainer": {"name": "python", "function": "f.py:f"}}
    assert attributes("trials/metrics/train_seconds", own) == {"description": "metric of the evaluation: train_seconds"}
