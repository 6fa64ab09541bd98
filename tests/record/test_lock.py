from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record.lock import FILE_NAME, Lock, is_live, read_holder


def change(folder: Path, **facts: Any) -> None:
    path = folder / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def no_sleep(_: float) -> None:
    return


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_run_is_refused_and_told_who_holds_the_study(tmp_path: Path) -> None:
    Lock(tmp_path)
    with pytest.raises(RecordError, match=rf"in use: process {os.getpid()} on "):
        Lock(tmp_path)


def test_a_released_lock_can_be_taken_and_leaves_nothing(tmp_path: Path) -> None:
    Lock(tmp_path).release()
    lock = Lock(tmp_path)
    assert lock.notice is None
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_is_taken_over_with_a_notice(tmp_path: Path) -> None:
    Lock(tmp_path)
    pid = dead_pid()
    change(tmp_path, pid=pid)
    assert not is_live(tmp_path)
    lock = Lock(tmp_path, sleep=no_sleep)
    assert lock.notice is not None and f"process {pid}" in lock.notice
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME]


def test_a_process_id_that_came_again_is_not_the_holder(tmp_path: Path) -> None:
    Lock(tmp_path)
    change(tmp_path, process_started=1)
    assert Lock(tmp_path, sleep=no_sleep).notice is not None


def test_a_lock_of_another_node_is_respected_while_its_heart_beats(tmp_path: Path) -> None:
    Lock(tmp_path)
    change(tmp_path, host="elsewhere", pid=dead_pid())

    def beat(_: float) -> None:
        change(tmp_path, heartbeat=1)

    with pytest.raises(RecordError, match="on elsewhere"):
        Lock(tmp_path, sleep=beat)


def test_a_lock_of_another_node_whose_heart_stands_still_is_taken_over(tmp_path: Path) -> None:
    Lock(tmp_path)
    change(tmp_path, host="elsewhere", at=time.time() + 1e6)  # its clock is far ahead: no matter
    assert is_live(tmp_path)
    naps: list[float] = []
    lock = Lock(tmp_path, sleep=naps.append)
    assert lock.notice is not None and "elsewhere" in lock.notice
    assert 59 <= sum(naps) <= 61


def test_an_old_lock_of_another_node_is_watched_for_two_heartbeats_only(tmp_path: Path) -> None:
    Lock(tmp_path)
    change(tmp_path, host="elsewhere", at=0.0)
    os.utime(tmp_path / FILE_NAME, (0, 0))
    assert not is_live(tmp_path)
    naps: list[float] = []
    Lock(tmp_path, sleep=naps.append)
    assert sum(naps) <= 11


def test_a_run_that_lost_its_lock_writes_no_more(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    change(tmp_path, lock_id="somebody else", pid=4)
    with pytest.raises(RecordError, match=r"process 4 .* has taken over"):
        first.renew(every_s=0)
    first.release()
    assert (tmp_path / FILE_NAME).exists()  # it was not ours any more


def test_the_heartbeat_counts_up(tmp_path: Path) -> None:
    lock = Lock(tmp_path)
    lock.renew(every_s=0)
    lock.renew(every_s=0)
    lock.renew(every_s=1e9)  # not due
    holder = read_holder(tmp_path)
    assert holder is not None and holder.heartbeat == 2 and holder.is_running_here()


def test_of_two_that_want_to_take_over_one_does(tmp_path: Path) -> None:
    Lock(tmp_path)
    change(tmp_path, pid=dead_pid())
    holder = read_holder(tmp_path)
    assert holder is not None
    (tmp_path / f"{FILE_NAME}.{holder.lock_id}.claim").touch()
    with pytest.raises(RecordError, match="another process is taking"):
        Lock(tmp_path, sleep=no_sleep)


def test_a_folder_that_cannot_be_written_is_an_error_of_the_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot write"):
        Lock(tmp_path / "missing")


def test_a_run_whose_folder_was_deleted_ends_with_that_reason(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    lock = Lock(folder)
    shutil.rmtree(folder)
    with pytest.raises(RecordError, match="study is gone: somebody deleted or moved it"):
        lock.renew(every_s=0)
    assert lock.lost
    lock.release()
