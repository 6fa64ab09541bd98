import os
from pathlib import Path

import pytest

from snnhpo_mpi.worker import log_file


def test_a_log_that_has_outgrown_its_limit_keeps_its_end_and_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "rank_001.log"
    with log_file.open_log(path) as log:
        log.write(b"old\n" * 100)
        log.flush()
        assert not log_file.shorten(path, 400)
        log.write(b"new\n" * 10)
        log.flush()
        assert log_file.shorten(path, 400)
        log.write(b"newest\n")
    lines = path.read_bytes().split(b"\n")
    assert b"was cut" in lines[0]
    assert lines[1:-1] == [b"old"] * 40 + [b"new"] * 10 + [b"newest"]


def test_a_log_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with log_file.open_log(tmp_path / "file" / "rank_001.log") as log:
        log.write(b"into the void")
        assert os.fstat(log.fileno()).st_size == 0
    assert "no log in" in caplog.text
    assert log_file.size(tmp_path / "file" / "rank_001.log") == log_file.size(None) == 0
    assert not log_file.shorten(None)
