import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.scratch import cache_folder, scratch_folder, variables


def test_a_folder_is_there_for_the_time_of_a_rank(tmp_path: Path) -> None:
    with scratch_folder({"TMPDIR": str(tmp_path)}) as folder:
        assert folder.parent == tmp_path
        (folder / "something").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder({"TMPDIR": str(tmp_path)}):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_the_users_choice_comes_before_slurms_and_that_before_the_systems(tmp_path: Path) -> None:
    environment = {}
    for name in ("TMPDIR", "SLURM_TMPDIR", "SNNHPO_SCRATCH"):
        (tmp_path / name).mkdir()
        environment[name] = str(tmp_path / name)
        with scratch_folder(environment) as folder:
            assert folder.parent == tmp_path / name


def test_ranks_of_a_node_have_folders_of_their_own(tmp_path: Path) -> None:
    with scratch_folder({"TMPDIR": str(tmp_path)}) as one, scratch_folder({"TMPDIR": str(tmp_path)}) as other:
        assert one != other
        assert one.exists()  # the second rank has not taken it for a leftover


def test_what_killed_ranks_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    leftover = tmp_path / f"snnhpo-{host}-{dead.pid}-abc"
    others = [tmp_path / f"snnhpo-{host}-{os.getpid()}-abc", tmp_path / f"snnhpo-another-{dead.pid}-abc"]
    others += [tmp_path / "snnhpo-cache-0", tmp_path / f"snnhpo-{host}-notes"]
    for folder in (leftover, *others):
        folder.mkdir()
    with scratch_folder({"TMPDIR": str(tmp_path)}):
        assert not leftover.exists()
    assert all(folder.exists() for folder in others)


def test_a_place_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"no temporary folder can be made: .*SNNHPO_SCRATCH names another"),
        scratch_folder({"TMPDIR": str(tmp_path / "gone")}),
    ):
        pass


def test_data_are_made_ready_beside_in_a_folder_that_stays(tmp_path: Path) -> None:
    shared = tmp_path / f"snnhpo-cache-{os.getuid()}"
    environment = {"SLURM_TMPDIR": str(tmp_path), "TMPDIR": "/tmp"}
    assert cache_folder(environment) == shared
    assert variables(tmp_path / "rank", environment)["SNNHPO_CACHE"] == str(shared)
    chosen = environment | {"SNNHPO_CACHE": "/fast/cache"}
    assert variables(tmp_path / "rank", chosen)["SNNHPO_CACHE"] == "/fast/cache"
    shared.mkdir()
    with scratch_folder(environment):
        pass
    assert shared.exists()


def test_caches_go_there_unless_the_user_has_chosen(tmp_path: Path) -> None:
    given = variables(tmp_path, {"TRITON_CACHE_DIR": "/fast/triton"})
    assert given["TMPDIR"] == str(tmp_path)
    assert given["MPLCONFIGDIR"] == str(tmp_path / "mplconfigdir")
    assert "TRITON_CACHE_DIR" not in given
