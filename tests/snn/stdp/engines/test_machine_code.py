import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, torch
logging.basicConfig(format="%(message)s")
from snnhpo_mpi.snn.stdp.engines.machine_code import compiled
from {module} import twice
code = compiled(twice, 4)
print(code(4), sum(code.stats.cache_hits.values()), sum(code.stats.cache_misses.values()))
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "doubling.py"
    path.write_text("def twice(x):\n    return 2 * x\n")
    return path


def run(module: Path, cache: Path) -> tuple[list[str], str]:
    """Result, hits and misses of a fresh process; what it said."""
    environment = os.environ | {
        "SNNHPO_CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join([str(module.parent), *sys.path]),
    }
    program = PROGRAM.format(module=module.stem)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split(), done.stderr


def code_files(cache: Path) -> list[Path]:
    return sorted(cache.glob("code-*/**/*.nb?"))


def test_the_second_process_finds_the_code_of_the_first_in_a_private_folder(module: Path, cache: Path) -> None:
    assert run(module, cache) == (["8", "0", "1"], "")
    (private,) = cache.iterdir()
    assert (private.name, private.stat().st_mode & 0o777) == (f"code-{os.getuid()}", 0o700)
    assert len(code_files(cache)) == 2  # index and code
    assert run(module, cache) == (["8", "1", "0"], "")


def test_another_source_does_not_meet_old_code(module: Path, cache: Path) -> None:
    run(module, cache)
    module.write_text("def twice(x):\n    return x + x + 0\n")
    assert run(module, cache) == (["8", "0", "1"], "")


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_code_is_told_removed_and_made_anew(module: Path, cache: Path, suffix: str) -> None:
    run(module, cache)
    (damaged,) = (path for path in code_files(cache) if path.suffix == suffix)
    damaged.write_bytes(damaged.read_bytes()[:40])
    result, said = run(module, cache)
    assert result[0] == "8"
    assert "compiled in memory" in said and "Traceback" not in said
    assert run(module, cache) == (["8", "0", "1"], "")
    assert run(module, cache) == (["8", "1", "0"], "")


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_what_is_not_a_private_folder_is_not_read(module: Path, cache: Path, kind: str) -> None:
    cache.mkdir()
    place = cache / f"code-{os.getuid()}"
    if kind == "open to others":
        place.mkdir()
        place.chmod(0o770)
    elif kind == "a link":
        elsewhere = cache.with_name("elsewhere")
        elsewhere.mkdir(mode=0o700)
        place.symlink_to(elsewhere)
    else:
        place.write_text("")
    result, said = run(module, cache)
    assert result[0] == "8"
    assert "compiled in memory" in said and str(place) in said
    assert not code_files(cache)


def test_where_nothing_can_be_written_it_is_compiled_in_memory(module: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result, said = run(module, tmp_path / "file" / "cache")
    assert result[0] == "8"
    assert "compiled in memory, by each process again" in said


def test_the_users_own_functions_keep_their_cache(module: Path, cache: Path, tmp_path: Path) -> None:
    import numba

    from snnhpo_mpi.snn.stdp.engines.machine_code import compiled

    before = numba.config.CACHE_DIR
    sys.path.insert(0, str(module.parent))
    try:
        from doubling import twice
    finally:
        sys.path.pop(0)
    assert compiled(twice, 3)(3) == 6
    assert before == numba.config.CACHE_DIR
    assert len(code_files(cache)) == 2
