"""Somebody changes the files of a study while a run writes them: nothing that was recorded is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import fake_study
import pytest

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import StudyRecord, read
from snnhpo_mpi.record import snapshot as snapshot_module
from snnhpo_mpi.record.journal import scan
from snnhpo_mpi.record.saver import Saver

EVENTS = list(fake_study.events(12))
N_BEFORE = 20


@pytest.fixture(autouse=True)
def _quick_saver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are made here and now: a process for each would take minutes."""
    monkeypatch.setattr(Saver, "start", Saver.save)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def moved_into_place(path: Path, content: bytes) -> None:
    beside = path.with_name("sedXYZ")
    beside.write_bytes(content)
    beside.replace(path)


def edited(path: Path) -> None:
    """As ``sed -i '9d'`` does it."""
    lines = lines_of(path)
    moved_into_place(path, b"".join(lines[:8] + lines[9:]))


def bit_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(content)


def garbage_added(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"note to myself\n")


def another_study(path: Path) -> bytes:
    other = path.parents[1] / "other"
    return (fake_study.written(other, 9) / "journal.jsonl").read_bytes()


TOUCHES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "edited by sed": edited,
    "a copy put back by mv": lambda path: moved_into_place(path, b"".join(lines_of(path)[:11])),
    "a copy put back by cp": lambda path: path.write_bytes(b"".join(lines_of(path)[:11])),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "its middle zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a bit flipped": bit_flipped,
    "garbage added": garbage_added,
    "another study's by mv": lambda path: moved_into_place(path, another_study(path)),
    "another study's by cp": lambda path: path.write_bytes(another_study(path)),
    "an equal copy": lambda path: moved_into_place(path, path.read_bytes()),
    "a folder in its place": lambda path: (path.unlink(), path.mkdir()),
}


CASES = [(touch, "behind", then) for touch in TOUCHES for then in ("goes on", "ends")]
CASES += [(touch, snapshot, "ends") for touch in ("emptied", "deleted") for snapshot in ("none yet", "up to date")]


@pytest.mark.parametrize(("touch", "snapshot", "then"), CASES)
def test_a_journal_that_somebody_touched_is_put_back(tmp_path: Path, touch: str, snapshot: str, then: str) -> None:
    folder = tmp_path / "s"
    record = fake_study.create(folder)
    if snapshot == "none yet":
        (folder / "study.h5").unlink()
    record.append(*EVENTS[:N_BEFORE])
    if snapshot != "none yet":
        saved(record)
    if snapshot == "behind":
        record.append(*EVENTS[N_BEFORE : N_BEFORE + 5])
    n = N_BEFORE + 5 * (snapshot == "behind")
    path = folder / "journal.jsonl"
    if touch == "a folder in its place":
        TOUCHES[touch](path)
        with pytest.raises(RecordError, match="cannot be put back"):
            record.append()
        path.rmdir()  # as soon as there is room for it, it is there again
    else:
        TOUCHES[touch](path)
    if then == "goes on":
        record.append(*EVENTS[n:])
        n = len(EVENTS)
    record.close("complete")
    assert list(read(folder).events()) == EVENTS[:n]
    assert read(folder).notices == ()
    assert [line.n for line in scan(path)] == list(range(n + 3))
    for name in ("study.h5", "journal.jsonl"):
        aside = (folder / name).rename(tmp_path / "aside")
        assert list(read(folder).events()) == EVENTS[:n]
        aside.rename(folder / name)


def saved(record: StudyRecord) -> None:
    record._saver._pause_s = -1.0
    record.maintain()
    record.maintain()
    assert not record._journal._recent


@pytest.mark.parametrize("touch", ["another study's by mv", "garbage added", "another study's by cp"])
def test_what_was_put_in_its_place_is_kept(tmp_path: Path, touch: str, caplog: pytest.LogCaptureFixture) -> None:
    record = fake_study.create(tmp_path / "s")
    record.append(*EVENTS[:N_BEFORE])
    path = tmp_path / "s" / "journal.jsonl"
    TOUCHES[touch](path)
    foreign = path.read_bytes()
    record.append(*EVENTS[N_BEFORE:])
    record.close("complete")
    assert (tmp_path / "s" / "journal-aside-1.jsonl").read_bytes() == foreign
    assert "journal-aside-1.jsonl" in caplog.text and "are put back" in caplog.text


def test_a_snapshot_is_never_made_of_a_journal_that_was_touched(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    record.append(*EVENTS[:N_BEFORE])
    saved(record)
    record.append(*EVENTS[N_BEFORE:])
    before = (tmp_path / "s" / "study.h5").read_bytes()
    edited(tmp_path / "s" / "journal.jsonl")
    record._saver.start(record._journal.n_bytes)  # as if it was touched just after the writer's look
    assert (tmp_path / "s" / "study.h5").read_bytes() == before
    record.close("complete")
    assert list(read(tmp_path / "s").events()) == EVENTS


def test_another_snapshot_put_in_its_place_is_kept_and_renewed(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    record.append(*EVENTS)
    other = fake_study.written(tmp_path / "other", 9) / "study.h5"
    shutil.copy(other, tmp_path / "s" / "study.h5")
    record.close("complete")
    assert (tmp_path / "s" / "study-aside-1.h5").read_bytes() == other.read_bytes()
    assert snapshot_module.load(tmp_path / "s" / "study.h5")[0].n_trials == 12


def test_what_cannot_be_put_back_ends_the_run_with_what_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    record = fake_study.create(folder)
    record.append(*EVENTS)
    saved(record)
    snapshot = (folder / "study.h5").read_bytes()
    os.truncate(folder / "journal.jsonl", 400)
    (folder / "study.h5").unlink()
    with pytest.raises(RecordError, match=r"400 bytes in the place of .* its line 2 is in no other file"):
        record.append()
    with pytest.raises(RecordError, match="is lost"):
        record.close("complete")
    assert (folder / "journal.jsonl").stat().st_size == 400
    assert not (folder / "lock.json").exists()
    (folder / "study.h5").write_bytes(snapshot)
    assert list(read(folder).events()) == EVENTS


def test_a_folder_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    record.append(*EVENTS)
    (tmp_path / "s").rename(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="somebody deleted or moved it"):
        record.append()
    record.close("error")
    assert list(read(tmp_path / "elsewhere").events()) == EVENTS
