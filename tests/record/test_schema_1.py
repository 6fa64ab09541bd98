"""A study that the first edition wrote: choices of like text, a failed and a stopped trial, then killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from snnhpo_mpi.config import load
from snnhpo_mpi.record import read
from snnhpo_mpi.study.request import Request, Task
from snnhpo_mpi.study.run import run_search
from snnhpo_mpi.trial import Asked, Ended, Event

KEPT = Path(__file__).parent / "schema_1"
MODES = [1, "1", "1", "vote", 2.5, "1", "", 1, "", "1", 1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    folder.mkdir()
    for name in ("journal.jsonl", "study.h5"):
        shutil.copy(KEPT / name, folder)
    return folder


def exact(event: Event) -> object:
    """An event with the types of its values, since 1 == 1.0."""
    return (event, repr(sorted(event.trial.params.items()))) if isinstance(event, Asked) else event


@pytest.mark.parametrize("lost", ["nothing", "study.h5", "journal.jsonl", "its first line"])
def test_it_opens_with_every_choice_in_its_own_type(folder: Path, lost: str) -> None:
    if lost == "its first line":
        (folder / "study.h5").unlink()
        path = folder / "journal.jsonl"
        path.write_bytes(path.read_bytes().replace(b"study", b"stuby", 1))
    elif lost != "nothing":
        (folder / lost).unlink()
    data = read(folder)
    n = 9 if lost == "journal.jsonl" else 11
    assert [repr(one) for one in data.params["mode"]] == [repr(one) for one in MODES[:n]]
    assert data.choices["mode"] == ("", "vote", 1, "1", 2.5)
    assert data.state.tolist() == [*["completed"] * 7, "failed", "stopped", "completed", "running"][:n]
    assert (data.name, data.constraint_names) == ("old", ("too_long",))
    assert data.objective_names == ("accuracy",) and not {"n_told", "objective"} & {*data.optimizer, *data.metrics}
    assert data.n_scored.tolist() == [-1] * n
    assert data.metrics["spikes"][0] == pytest.approx(50.15, abs=0.01)
    assert "the norm is too large" in data.errors()[7]
    whole = list(read(KEPT).events())
    found = list(data.events())
    assert list(map(exact, found)) == list(map(exact, whole[: len(found)]))


def test_a_snapshot_of_schema_2_from_before_objectives_had_names_is_read_alike(folder: Path) -> None:
    with h5py.File(folder / "study.h5", "r+") as file:
        file.attrs["schema"] = 2
    assert list(map(exact, read(folder).events())) == list(map(exact, read(KEPT).events()))
    assert np.array_equal(read(folder).objective, read(KEPT).objective, equal_nan=True)
    assert np.isfinite(read(folder).objective[0])


@pytest.mark.parametrize("lost", ["nothing", "study.h5", "journal.jsonl"])
def test_it_is_resumed_to_its_end(folder: Path, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if lost != "nothing":
        (folder / lost).unlink()
    before = list(read(folder).events())
    monkeypatch.chdir(KEPT)
    said: list[str] = []
    assert run_search(Request(lambda: Task(*load(Path("old.yaml"))), folder.parent, resume=True), said.append) == 0
    (folder / "journal.jsonl").unlink()  # the snapshot, by now of the present schema, says all of it
    data = read(folder)
    with h5py.File(folder / "study.h5") as file:
        assert "n_told" not in file.get("optimizer", ()) and file["events/kind"][0] == b"session"
        np.testing.assert_array_equal(file["trials/objective"][:], file["trials/objectives/accuracy"][:])
    asked = [event for event in data.events() if isinstance(event, Asked)]
    assert asked[0].n_told == 0 and all("n_told" not in event.optimizer for event in asked)
    assert list(map(exact, data.events()))[: len(before)] == list(map(exact, before))
    assert data.n_trials == 12 and data.ended.all()
    assert [repr(one) for one in data.params["mode"]][:9] == [repr(one) for one in MODES[:9]]
    for event in data.events():
        if isinstance(event, Ended) and event.outcome.state == "completed" and event.outcome.number != 9:
            params = data.trial(event.outcome.number).params
            text_scored = 0.1 * len(repr(params["mode"]))  # what the evaluation was sent, it tells in its objective
            expected = 1 / (1 + abs(float(params["norm"]) - 200) / 100) + text_scored
            assert event.outcome.objective == pytest.approx(expected)
