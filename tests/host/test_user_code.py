"""Modules of the user's: found, run once, and named where they are missing."""

import os
import sys
from pathlib import Path

import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.user_code import import_file, import_module


def test_a_file_runs_once_until_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "once.py"
    path.write_text("class Net: pass\n")
    first = import_file(path, "trainer.network")
    assert import_file(path, "trainer.loss").Net is first.Net
    path.write_text("class Net: size = 2\n")
    os.utime(path, ns=(1, 1))
    assert import_file(path, "trainer.network").Net.size == 2


def test_files_of_one_name_in_two_folders_are_two_modules(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same.py").write_text(f"WHICH = {name!r}\n")
        os.utime(tmp_path / name / "same.py", ns=(1, 1))
    assert [import_file(tmp_path / name / "same.py", "key").WHICH for name in ("a", "b", "a")] == ["a", "b", "a"]


def test_a_file_that_raises_is_not_taken_for_imported(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            import_file(path, "trainer.loss")
    assert "user_function_broken" not in sys.modules


def test_what_is_missing_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.loss: there is no file .*none\.py \(seen from "):
        import_file(tmp_path / "none.py", "trainer.loss")
    with pytest.raises(ConfigError, match=r"trainer\.loss: there is no module no_such_module \(seen from "):
        import_module("no_such_module", "trainer.loss")
