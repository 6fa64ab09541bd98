"""Compiles lava-dl's CUDA kernels with nvcc, on a login node, before any job.

Each library is made by a process of its own in a folder of its own and renamed into the cache when it is whole and can
be imported: whatever is killed leaves nothing that anybody waits for.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.slayer.lava_kernels.cache import NEEDED, Kernel, folder_of, root

log = logging.getLogger(__name__)
_BEGUN = ".begun-"
_STALE_S = 3600.0  # a compilation takes minutes
_JIT_NAMES = ("dynamics", "shift", "conv")  # of lava-dl's own builds
# Built in a process of its own: torch numbers extensions of one name within a process.
_PROGRAM = """
import sys
from torch.utils.cpp_extension import load
name, source, folder, links = sys.argv[1:]
load(name, [source], build_directory=folder, extra_ldflags=["-L" + links], verbose=True)
"""


def build(architectures: Sequence[int], force: bool = False) -> list[Path]:
    """Compile what is not in the cache yet.

    Args:
        architectures: 90 for sm_90; none for those of the GPUs of this machine.
        force: also what is there.

    Returns:
        The libraries, in the order of architectures and kernels.

    Raises:
        ConfigError: no CUDA compiler, an architecture it does not know, or a compilation failed.
    """
    chosen = tuple(architectures) or _present()
    home = cuda_home()
    _check_architectures(home, chosen)
    root().mkdir(parents=True, exist_ok=True)
    for path in remove_stale(root(), _jit_folder()):
        log.warning("removed %s, left by a build that did not end", path)
    wanted = [(kernel, architecture) for architecture in chosen for kernel in NEEDED]
    missing = [one for one in wanted if force or not _library(*one).is_file()]
    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        for compiled in [pool.submit(_compile, kernel, architecture, home) for kernel, architecture in missing]:
            compiled.result()
    return [_library(*one) for one in wanted]


def _library(kernel: Kernel, architecture: int) -> Path:
    return folder_of(kernel, architecture) / f"{kernel.extension}.so"


def _compile(kernel: Kernel, architecture: int, home: Path) -> None:
    """One library, from its source into the cache."""
    final = folder_of(kernel, architecture)
    work = root() / f"{_BEGUN}{socket.gethostname()}-{os.getpid()}-{kernel.name}-{architecture}"
    (work / "links").mkdir(parents=True)
    try:
        _link_cudart(home, work / "links")
        log.info("compiling %s for sm_%d: minutes", kernel.name, architecture)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, kernel.extension, kernel.source, work, work / "links"],
            env=dict(os.environ) | _variables(home, architecture),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (work / "build.log").write_text(done.stdout, encoding="utf-8")
        if done.returncode != 0:
            raise ConfigError(f"compiling {kernel.name} for sm_{architecture} failed:\n{_errors(done.stdout)}")
        shutil.rmtree(work / "links")
        _replace(work, final)
        log.info("%s in %.0f s", final, time.monotonic() - began)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _variables(home: Path, architecture: int) -> dict[str, str]:
    return {
        "CUDA_HOME": str(home),
        "TORCH_CUDA_ARCH_LIST": f"{architecture // 10}.{architecture % 10}",
        "PATH": f"{Path(sys.executable).parent}:{home / 'bin'}:{os.environ.get('PATH', '')}",  # ninja and nvcc
        "MAX_JOBS": "1",
    }


def _replace(work: Path, final: Path) -> None:
    """Put a finished folder in its place; if another build has just done so, either may stay."""
    shutil.rmtree(final, ignore_errors=True)
    try:
        work.rename(final)
    except OSError:
        if not final.exists():
            raise


def _errors(output: str) -> str:
    """The lines that say why, or the last ones."""
    lines = output.strip().splitlines()
    return "\n".join([line for line in lines if re.search(r"\berror\b|Error:", line)][:10] or lines[-10:])


def cuda_home() -> Path:
    """The folder of the CUDA toolkit, as its compiler says it; the command may be a script that stands elsewhere.

    Raises:
        ConfigError: there is no compiler.
    """
    given = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = shutil.which("nvcc", path=f"{given}/bin") if given else shutil.which("nvcc")
    if nvcc is None:
        where = f"CUDA_HOME is {given}, which has no bin/nvcc" if given else "nvcc is not on the PATH"
        raise ConfigError(f"{where}: load your cluster's CUDA (module load cuda/{torch.version.cuda or '...'})")
    said = subprocess.run([nvcc, "--dryrun", "-c", "none.cu"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"^#\$ TOP=(.+)$", said, re.MULTILINE)
    return Path(found[1]).resolve() if found else Path(nvcc).resolve().parents[1]


def _check_architectures(home: Path, architectures: Sequence[int]) -> None:
    answer = subprocess.run([home / "bin" / "nvcc", "--list-gpu-arch"], capture_output=True, text=True, check=False)
    known = sorted(int(number) for number in re.findall(r"compute_(\d+)", answer.stdout))
    if unknown := [architecture for architecture in architectures if known and architecture not in known]:
        raise ConfigError(
            f"the CUDA compiler in {home} does not know sm_{unknown[0]}; it knows {', '.join(map(str, known))}. "
            "CUDA 13 left out everything before 75: a V100 (70) needs CUDA 12 and a torch built for it"
        )


def _present() -> tuple[int, ...]:
    """Architectures of the GPUs here."""
    if not torch.cuda.is_available():
        raise ConfigError("there is no GPU here: name that of the compute nodes, such as --arch 80 90 (A100, H100)")
    found = {torch.cuda.get_device_capability(index) for index in range(torch.cuda.device_count())}
    return tuple(sorted(10 * major + minor for major, minor in found))


def _link_cudart(home: Path, links: Path) -> None:
    """Give the linker a ``libcudart.so``: toolkits have it in different places, packages only with a version."""
    packages = [Path(folder) / "nvidia" for folder in sys.path if (Path(folder) / "nvidia").is_dir()]
    places = [home / "lib64", home / "lib", home / "targets" / "x86_64-linux" / "lib"]
    places += [place for package in packages for place in package.glob("*/lib")]
    for place in places:
        for library in sorted(place.glob("libcudart.so*")):
            (links / "libcudart.so").symlink_to(library.resolve())
            return
    raise ConfigError(f"there is no libcudart.so in {home} nor among the installed packages, and the kernels need it")


def remove_stale(cache: Path, jit: Path) -> Iterator[Path]:
    """Remove what builds that were killed left behind, of ours and of lava-dl's own, and yield it.

    Args:
        cache: ours; folders of builds that began and did not end.
        jit: torch's; a ``lock`` there lets every later use of lava-dl wait for ever.
    """
    for folder in cache.glob(f"{_BEGUN}*"):
        if _is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)
            yield folder
    for name in _JIT_NAMES:
        for lock in jit.glob(f"**/{name}/lock"):
            if time.time() - lock.stat().st_mtime > _STALE_S:
                lock.unlink(missing_ok=True)
                yield lock


def _is_stale(folder: Path) -> bool:
    """Whether the process that began a build has ended; one of another host, after a time."""
    host, pid, *_ = folder.name.removeprefix(_BEGUN).rsplit("-", 3)
    if host == socket.gethostname():
        return not Path(f"/proc/{pid}").exists()
    return time.time() - folder.stat().st_mtime > _STALE_S


def _jit_folder() -> Path:
    """Where torch keeps what lava-dl compiled by itself."""
    given = os.environ.get("TORCH_EXTENSIONS_DIR")
    return Path(given) if given else Path.home() / ".cache" / "torch_extensions"
