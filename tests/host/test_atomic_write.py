import errno
import os
from pathlib import Path

import pytest

from snnhpo_mpi.host.atomic_write import atomic_write


@pytest.mark.parametrize("by_many", [False, True])
def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path, by_many: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path, by_many=by_many) as new:
        new.write_text("n")
        assert path.read_text() == "old" and new.parent == tmp_path
        new.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


class FullDiskError(OSError):
    """No space left."""


@pytest.mark.parametrize("error", [FullDiskError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["writing", "sync", "rename"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise error

    if where != "writing":
        monkeypatch.setattr(os, "fsync" if where == "sync" else "replace", fail)
    with pytest.raises(type(error)), atomic_write(path, durable=True) as new:
        new.write_text("half")
        if where == "writing":
            fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_not_written_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt.new").write_text("left by a kill")
    with atomic_write(tmp_path / "a.txt") as new, new.open("a") as file:
        file.write("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


def path_of(fd: int) -> Path:
    return Path(f"/proc/self/fd/{fd}").readlink()


def test_a_durable_file_and_its_name_are_synced_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    replace = os.replace

    def synced(fd: int) -> None:
        done.append(f"sync {os.path.relpath(path_of(fd), tmp_path)}")

    def replaced(old: Path, new: Path) -> None:
        done.append("rename")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with atomic_write(tmp_path / "a") as new:
        new.touch()
    assert done == ["rename"]
    with atomic_write(tmp_path / "a", durable=True) as new:
        new.touch()
    assert done == ["rename", "sync a.new", "rename", "sync ."]


def test_a_file_system_that_cannot_sync_a_folder_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def refuses(fd: int) -> None:
        if path_of(fd).is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(fd)

    monkeypatch.setattr(os, "fsync", refuses)
    with atomic_write(tmp_path / "a", durable=True) as new:
        new.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
