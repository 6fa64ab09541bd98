"""Damage of every kind to one or both files: recovered, or refused with what is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import fake_study
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import exists, read
from snnhpo_mpi.record.entries import Header
from snnhpo_mpi.record.journal import Journal, scan
from snnhpo_mpi.trial import Event

N = 12
EVENTS = list(fake_study.events(N))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study in three parts: the snapshot holds the first, then the writer was killed."""
    folder = tmp_path_factory.mktemp("record") / "study"
    record = fake_study.create(folder)
    record.append(*EVENTS[:15])
    record._saver.start(record._journal.n_bytes)
    record._saver.wait()
    record.append(*EVENTS[15:])
    record._lock.release()
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "study"))


def replayed(folder: Path) -> list[Event]:
    return list(read(folder).events())


def resumed(folder: Path) -> list[Event]:
    """What a resumed run makes of it; afterwards either file alone says the same."""
    fake_study.resume(folder).close("complete")
    found = replayed(folder)
    for name in ("study.h5", "journal.jsonl"):
        aside = (folder / name).rename(folder / "aside")
        assert replayed(folder) == found
        aside.rename(folder / name)
    return found


def damage_line(folder: Path, position: int) -> None:
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[position] = lines[position].replace(b'"kind"', b'"kinb"')
    path.write_bytes(b"".join(lines))


def test_an_undamaged_study_needs_no_notice(folder: Path) -> None:
    assert read(folder).notices == ()
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS


def test_without_the_snapshot_it_is_rebuilt_from_the_journal(folder: Path) -> None:
    (folder / "study.h5").unlink()
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS
    assert read(folder).curves(0).keys() == EVENTS_CURVES


def test_without_the_journal_all_that_the_snapshot_holds_is_rebuilt(folder: Path) -> None:
    (folder / "journal.jsonl").unlink()
    assert "journal.jsonl is missing" in read(folder).notices[0]
    assert replayed(folder) == EVENTS[:15]
    assert resumed(folder) == EVENTS[:15]
    assert [line.n for line in scan(folder / "journal.jsonl")] == list(range(len(EVENTS[:15]) + 4))


@pytest.mark.parametrize("size", [0, 1, 100, 3000])
def test_a_truncated_snapshot_is_rebuilt_with_a_notice(folder: Path, size: int) -> None:
    path = folder / "study.h5"
    path.write_bytes(path.read_bytes()[:size])
    assert "damaged" in read(folder).notices[0]
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS


def test_a_torn_last_line_is_cut_with_a_notice(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    assert replayed(folder) == EVENTS[:-1]
    record = fake_study.resume(folder)
    assert any("cut by a crash" in notice for notice in record.notices)
    record.close("complete")
    assert replayed(folder) == EVENTS[:-1]
    assert all(line.n is not None for line in scan(path))


def test_a_damaged_line_that_the_snapshot_holds_is_put_back(folder: Path) -> None:
    damage_line(folder, 5)
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS
    assert all(line.n is not None for line in scan(folder / "journal.jsonl"))


def test_a_damaged_header_is_put_back(folder: Path) -> None:
    damage_line(folder, 0)
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS


@pytest.mark.parametrize("position", [20, -1])
def test_a_damaged_line_behind_the_snapshot_is_a_loss_that_the_user_must_accept(folder: Path, position: int) -> None:
    damage_line(folder, position)
    before = (folder / "journal.jsonl").read_bytes()
    data = read(folder)  # a reader is served with the rest
    assert any("sed -i" in notice for notice in data.notices)
    with pytest.raises(RecordError, match=r"sed -i '(21|34)d'"):
        fake_study.resume(folder)
    assert (folder / "journal.jsonl").read_bytes() == before
    assert not (folder / "lock.json").exists()
    lines = before.splitlines(keepends=True)  # as told: the line is deleted
    del lines[position]
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    fake_study.resume(folder).close("complete")
    assert all(event in EVENTS for event in replayed(folder))
    assert len(replayed(folder)) >= len(EVENTS) - 3


def test_a_damaged_header_is_rebuilt_from_a_session_where_there_is_no_snapshot(folder: Path) -> None:
    (folder / "study.h5").write_bytes(b"not HDF5")
    before = read(folder)
    damage_line(folder, 0)
    data = read(folder)
    assert any("first line" in notice and "nothing is lost" in notice for notice in data.notices)
    assert (data.study_id, data.name, data.constraint_names) == (before.study_id, before.name, before.constraint_names)
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS
    assert [line.n for line in scan(folder / "journal.jsonl")][:3] == [0, 1, 2]


def test_lines_that_stand_twice_are_left_out(folder: Path) -> None:
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, *lines[-3:]]))
    assert any("second time" in notice for notice in read(folder).notices)
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS


def test_a_header_that_was_taken_out_is_rebuilt_too(folder: Path) -> None:
    (folder / "study.h5").unlink()
    path = folder / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS


def test_both_files_damaged_is_an_error_that_says_so(folder: Path) -> None:
    (folder / "study.h5").write_bytes(b"not HDF5")
    damage_line(folder, 0)
    damage_line(folder, 1)
    with pytest.raises(RecordError, match=r"study\.h5 is damaged"):
        read(folder)
    with pytest.raises(RecordError, match="is lost"):
        fake_study.resume(folder)


def test_the_snapshot_of_another_study_is_not_used(folder: Path, tmp_path: Path) -> None:
    other = fake_study.written(tmp_path / "other", 3)
    shutil.copy(other / "study.h5", folder / "study.h5")
    assert "another study" in read(folder).notices[0]
    assert replayed(folder) == EVENTS
    assert resumed(folder) == EVENTS
    kept = read(folder / "study-aside-1.h5")
    assert kept.n_trials == 3 and not kept.notices
    assert list(kept.events()) == list(read(other).events())


def test_a_damaged_snapshot_is_kept_when_a_new_one_is_made(folder: Path) -> None:
    (folder / "study.h5").write_bytes(b"a file of somebody else")
    assert resumed(folder) == EVENTS
    assert (folder / "study-aside-1.h5").read_bytes() == b"a file of somebody else"


def test_a_loss_that_is_accepted_leaves_the_damaged_journal_where_it_can_be_found(folder: Path) -> None:
    damage_line(folder, 20)
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(RecordError, match="--accept-damage"):
        fake_study.resume(folder)
    record = fake_study.resume(folder, accept_damage=True)
    assert any("journal-aside-1.jsonl" in notice for notice in record.notices)
    record.close("complete")
    assert (folder / "journal-aside-1.jsonl").read_bytes() == before
    assert read(folder).notices == ()
    assert all(event in EVENTS for event in replayed(folder))


def test_a_study_is_not_begun_over_the_file_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"my": "own notes"}')
    record = fake_study.create(tmp_path)
    assert any("holds no study; it is kept" in notice for notice in record.notices)
    record.close("complete")
    assert (tmp_path / "journal-aside-1.jsonl").read_text() == '{"my": "own notes"}'


def test_another_schema_is_refused_with_its_number(folder: Path) -> None:
    (folder / "study.h5").unlink()
    path = folder / "journal.jsonl"
    Journal.write_new(path, [Header("id", "fake", (), 0.0, schema=99)]).close()
    with pytest.raises(RecordError, match="schema 99"):
        read(folder)


def test_no_study_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    assert not exists(tmp_path)
    with pytest.raises(RecordError, match="there is no study"):
        read(tmp_path)
    (tmp_path / "journal.jsonl").write_bytes(b'{"n":0,"kind"')  # killed while the first line was written
    assert not exists(tmp_path)
    fake_study.create(tmp_path).close("complete")
    assert read(tmp_path).n_trials == 0


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_journal_cut_anywhere_is_read_up_to_the_last_whole_line(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    text = (pristine / "journal.jsonl").read_bytes()
    size = data.draw(st.integers(0, len(text)))
    (folder / "journal.jsonl").write_bytes(text[:size])
    if text[:size].count(b"\n") == 0:
        assert not exists(folder)
        return
    n_events = max(0, text[:size].count(b"\n") - 2)  # header and session come first
    assert replayed(folder) == EVENTS[:n_events]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_bytes_flipped_anywhere_never_crash_a_reader_nor_change_what_was_recorded(
    pristine: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    for name in ("journal.jsonl", "study.h5"):
        text = bytearray((pristine / name).read_bytes())
        if name == "journal.jsonl" or data.draw(st.booleans()):
            for _ in range(data.draw(st.integers(0, 3))):
                text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        (folder / name).write_bytes(bytes(text))
    try:
        found = read(folder)
    except RecordError:
        return
    whole = read(pristine)
    rows = {int(number): row for row, number in enumerate(whole.number)}
    for row, number in enumerate(found.number):
        assert found.trial(row) == whole.trial(rows[int(number)])


EVENTS_CURVES = {
    "train_accuracy",
    "silent_rate_excitatory",
    "silent_rate_inhibitory",
    "spikes_excitatory",
    "spikes_inhibitory",
}
