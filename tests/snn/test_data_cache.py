"""The cache of a node: made once however many come, whole or not there, and only what was made by oneself."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data.cache import key_of, staged
from snnhpo_mpi.snn.data.part import Source

SOURCES = (Source("/data/digits", 12, "ab", "the published file"),)


def writer(made: list[int]):
    def write(path: Path) -> list[int]:
        made.append(1)
        with path.open("wb") as file:
            np.save(file, np.arange(12, dtype=np.uint8).reshape(3, 4))
        return [2, 1, 0], SOURCES

    return write


def test_samples_are_made_once_and_mapped(cache: Path) -> None:
    made: list[int] = []
    for _ in range(3):
        part = staged("digits", "k", writer(made))
        assert part.x.tolist() == np.arange(12).reshape(3, 4).tolist()
        assert part.y.tolist() == [2, 1, 0] and part.sources == SOURCES
    assert len(made) == 1
    assert sorted(path.name for path in cache.iterdir()) == ["digits_k.json", "digits_k.lock", "digits_k.npy"]
    assert cache.stat().st_mode & 0o077 == 0
    with pytest.raises(ValueError, match="read-only"):  # it is everybody's
        part.x[:] = 0


@pytest.mark.parametrize("damage", ["samples", "facts", "length"])
def test_a_damaged_entry_is_made_anew(cache: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    made: list[int] = []
    staged("digits", "k", writer(made))
    file = cache / ("digits_k.json" if damage == "facts" else "digits_k.npy")
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 1
    file.write_bytes(raw[:-5] if damage != "samples" else raw)
    assert staged("digits", "k", writer(made)).x.sum() == 66
    assert len(made) == 2 and "damaged and made anew" in caplog.text


def test_a_failure_leaves_nothing_behind(cache: Path) -> None:
    def fails(path: Path) -> list[int]:
        with path.open("wb") as file:
            np.save(file, np.zeros(3, np.uint8))
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        staged("digits", "k", fails)
    assert [path.name for path in cache.iterdir()] == ["digits_k.lock"]


def count_and_write(path: Path) -> list[int]:
    with (path.parent / "count.txt").open("a") as file:
        file.write("x")
    return writer([])(path)


def stage(_: int) -> int:
    return int(staged("digits", "k", count_and_write).x.sum())


def test_ranks_that_come_together_wait_for_the_first(cache: Path) -> None:
    with multiprocessing.get_context("fork").Pool(6) as pool:
        assert pool.map(stage, range(12)) == [66] * 12
    assert (cache / "count.txt").read_text() == "x"


def test_the_key_follows_the_files_and_what_is_made_of_them(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    keys = [key_of("x", [file]), key_of("x", [file, file]), key_of("y", [file])]
    file.write_text("22")
    keys.append(key_of("x", [file]))
    os.utime(file, (1, 1))
    keys.append(key_of("x", [file]))
    assert keys[0] == keys[1] and len(set(keys)) == 4


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_what_another_user_put_into_a_public_folder_is_not_read(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    made: list[int] = []
    staged("digits", "k", writer(made))
    cache.parent.chmod(0o777)
    os.chown(cache, 12345, -1)
    assert staged("digits", "k", writer(made)).x.sum() == 66
    assert len(made) == 2 and "belongs to another user; SNNHPO_CACHE names another cache" in caplog.text
    cache.parent.chmod(0o755)  # a group's own place
    assert len(staged("digits", "k", writer(made)).x) == 3 and len(made) == 2


def test_without_a_cache_each_rank_makes_the_samples_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SNNHPO_CACHE", "/dev/null/cache")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    part = staged("digits", "k", writer([]))
    assert part.x.sum() == 66 and part.sources == SOURCES
    assert "each rank of this node reads digits by itself: " in caplog.text
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("tempfile.tempdir", "/dev/null/temporary")
    with pytest.raises(ConfigError, match=r"digits cannot be made ready: .* SNNHPO_CACHE and TMPDIR name"):
        staged("digits", "k", writer([]))


def test_a_process_that_was_killed_while_writing_is_no_obstacle(cache: Path) -> None:
    program = (
        "import os, signal, numpy as np\n"
        "from snnhpo_mpi.snn.data.cache import staged\n"
        "def write(path):\n    path.write_bytes(bytes(5)); os.kill(os.getpid(), signal.SIGKILL)\n"
        "staged('digits', 'k', write)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert staged("digits", "k", writer([])).x.sum() == 66
    assert json.loads((cache / "digits_k.json").read_text())["classes"] == [2, 1, 0]
