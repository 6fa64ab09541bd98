"""The builder with a stand-in for the compiler, which would take minutes."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.slayer.lava_kernels import build, cache

pytestmark = pytest.mark.slayer
NVCC = """#!/bin/bash
case "$*" in
  *--dryrun*) echo "#\\$ TOP={home}" >&2; exit 1 ;;
  --list-gpu-arch) printf 'compute_75\\ncompute_80\\ncompute_90\\ncompute_100\\n' ;;
esac
"""
# Instead of torch's ``load``: what it was asked for, and a library.
PROGRAM = """
import os, sys
from pathlib import Path
name, source, folder, links = sys.argv[1:]
assert Path(links, "libcudart.so").exists()
if os.environ.get("FAILS"): sys.exit("x.cu(3): error: no such thing\\nninja: build stopped")
Path(folder, name + ".so").write_text(os.environ["TORCH_CUDA_ARCH_LIST"] + " " + Path(source).name)
"""


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CUDA toolkit, whose compiler is found by a script that stands elsewhere."""
    home = tmp_path / "cuda"
    (home / "bin").mkdir(parents=True)
    (home / "lib64").mkdir()
    (home / "lib64" / "libcudart.so.13").touch()
    (home / "bin" / "nvcc").write_text(NVCC.format(home=home))
    (home / "bin" / "nvcc").chmod(0o755)
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "nvcc").write_text(f'#!/bin/sh\nexec {home}/bin/nvcc "$@"\n')
    (shim / "nvcc").chmod(0o755)
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{shim}:{os.environ['PATH']}")
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "kernels"))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "jit"))
    monkeypatch.setattr(build, "_PROGRAM", PROGRAM)
    return home


def test_the_toolkit_is_where_its_compiler_says(toolkit: Path) -> None:
    assert build.cuda_home() == toolkit


def test_a_machine_without_compiler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="which has no bin/nvcc: load your cluster's CUDA"):
        build.cuda_home()


def test_every_kernel_is_built_for_every_architecture_and_found_again(toolkit: Path) -> None:
    libraries = build.build([80, 90])
    assert [library.read_text() for library in libraries] == [
        "8.0 leaky_integrator.cu", "8.0 adaptive_threshold.cu", "8.0 shift.cu",
        "9.0 leaky_integrator.cu", "9.0 adaptive_threshold.cu", "9.0 shift.cu",
    ]  # fmt: skip
    assert cache.find(cache.NEEDED[1], 90) == libraries[4]
    assert {path.name[0] for path in cache.root().iterdir()}.isdisjoint(".")  # nothing half done
    assert sorted(path.name for path in libraries[0].parent.iterdir()) == ["build.log", "snnhpo_leaky_integrator.so"]


def test_what_is_there_is_built_again_only_by_force(toolkit: Path) -> None:
    first, *_ = build.build([90])
    first.write_text("kept")
    build.build([90])
    assert first.read_text() == "kept"
    build.build([90], force=True)
    assert first.read_text() == "9.0 leaky_integrator.cu"


def test_a_failed_compilation_says_why_and_leaves_nothing(toolkit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(ConfigError, match=r"for sm_90 failed:\nx\.cu\(3\): error: no such thing$"):
        build.build([90])
    assert list(cache.root().iterdir()) == []


def test_an_architecture_that_the_compiler_does_not_know_is_told(toolkit: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not know sm_70; it knows 75, 80, 90, 100\. CUDA 13 left out"):
        build.build([90, 70])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_gpu_the_architecture_must_be_named(toolkit: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"there is no GPU here: name that of the compute nodes, such as --arch 80 90"
    ):
        build.build([])


def test_leftovers_of_dead_builds_are_removed_and_those_of_live_ones_stay(toolkit: Path, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    root, jit = cache.root(), tmp_path / "jit" / "py311_cu130"
    names = {
        "dead": f".begun-{socket.gethostname()}-{dead.pid}-leaky_integrator-90",
        "live": f".begun-{socket.gethostname()}-{os.getpid()}-leaky_integrator-90",
        "elsewhere": ".begun-another-host-1-leaky_integrator-90",
    }
    for name in names.values():
        (root / name).mkdir(parents=True)
    for name in ("dynamics", "shift"):
        (jit / name).mkdir(parents=True)
        (jit / name / "lock").touch()
    hours_ago = time.time() - 7200
    os.utime(jit / "dynamics" / "lock", (hours_ago, hours_ago))
    removed = list(build.remove_stale(root, tmp_path / "jit"))
    assert removed == [root / names["dead"], jit / "dynamics" / "lock"]
    assert (root / names["live"]).exists()
    assert (root / names["elsewhere"]).exists()
    assert (jit / "shift" / "lock").exists()
    os.utime(root / names["elsewhere"], (hours_ago, hours_ago))
    assert list(build.remove_stale(root, tmp_path / "jit")) == [root / names["elsewhere"]]
