"""What this rank finds on its host: device, threads, scratch folder, time left, provenance. Never imports torch.

The environment is handed in as a mapping, so that every launcher can be imitated in a test.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
import re
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from snnhpo_mpi.errors import ConfigError

log = logging.getLogger(__name__)
# Who says which rank of its node this is, and how many ranks the node has.
LOCAL_RANK = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMIX_LOCAL_RANK", "SLURM_LOCALID")
LOCAL_SIZE = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "PMIX_LOCAL_SIZE")
LEAST_ADDRESS_SPACE = 400 << 20  # bytes; with less, linear algebra waits for memory for ever
_NO_MEMORY = ("failed to map", "cannot map", "cannot allocate memory", "cannot create thread", "can't start new thread")
EXIT_FILE = "SNNHPO_EXIT_FILE"
# PyTorch's convolutions on a CPU keep up to 1,024 shapes each: an evaluator would grow with every new network.
CONVOLUTIONS_KEPT = {"LRU_CACHE_CAPACITY": "32", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}
PACKAGES = ("snnhpo_mpi", "torch", "botorch", "gpytorch", "bindsnet", "lava-dl", "tonic", "mpi4py", "h5py", "numpy")


@dataclass(frozen=True, slots=True)
class Device:
    """Where an evaluator computes.

    Attributes:
        name: what torch calls it: ``cpu`` or ``cuda:0``.
        threads: CPU threads of the evaluator.
        environment: variables to set in the evaluator before torch is imported.
        label: for logs and records, for example ``GPU 3, cpu x 8`` or ``cpu x 4``.
    """

    name: str
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    label: str = "cpu"


def local_rank(environment: Mapping[str, str]) -> int | None:
    """Rank among those of this node, None if no launcher says."""
    return _first_int(environment, LOCAL_RANK)


def local_size(environment: Mapping[str, str]) -> int | None:
    """Number of ranks on this node, None if no launcher says."""
    size = _first_int(environment, LOCAL_SIZE)
    if size is None and (tasks := environment.get("SLURM_STEP_TASKS_PER_NODE")):
        node = _first_int(environment, ("SLURM_NODEID",)) or 0
        counts = [
            int(count)
            for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks)  # 5,4(x2): 5, 4 and 4 tasks
            for _ in range(int(times or 1))
        ]
        size = counts[node] if node < len(counts) else None
    return size


def _first_int(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return None


def choose_device(
    *,
    slot: int,
    gpus: str | int,
    trials_per_gpu: int,
    threads: str | int,
    visible: tuple[str, ...],
    n_cores: int,
    n_granted: int = 0,
) -> Device:
    """The device of the worker in one slot of its node.

    Args:
        slot: number of this worker among the workers of its node, from 0.
        gpus: ``auto`` or how many GPUs of the node to use.
        trials_per_gpu: workers that share a GPU.
        threads: ``auto`` or CPU threads of the evaluator.
        visible: GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them (indices, UUIDs, MIG names).
        n_cores: this rank's share of the cores.
        n_granted: GPUs that Slurm says the job has on this node.

    Raises:
        ConfigError: there should be a GPU, and none is visible.
    """
    n_threads = n_cores if threads == "auto" else int(threads)
    usable = visible if gpus == "auto" else visible[: int(gpus)]
    environment = {"OMP_NUM_THREADS": str(n_threads), "MKL_NUM_THREADS": str(n_threads)} | CONVOLUTIONS_KEPT
    if not usable:
        if gpus != 0 and (n_granted or gpus != "auto"):
            wanted = f"workers.gpus is {gpus}" if gpus != "auto" else f"Slurm granted this node {n_granted} GPUs"
            raise ConfigError(f"{wanted}, but no GPU is visible here; workers.gpus: 0 trains on the CPU")
        return Device("cpu", n_threads, environment | {"CUDA_VISIBLE_DEVICES": ""}, f"cpu x {n_threads}")
    # A launcher that narrowed the view to one GPU has chosen already; otherwise neighbours share in turn.
    gpu = usable[(slot // trials_per_gpu) % len(usable)]
    label = f"GPU {gpu}" if gpu.isdigit() else gpu
    return Device("cuda:0", n_threads, environment | {"CUDA_VISIBLE_DEVICES": gpu}, f"{label}, cpu x {n_threads}")


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """GPUs of this process as CUDA_VISIBLE_DEVICES would name them, found without CUDA."""
    narrowed = environment.get("CUDA_VISIBLE_DEVICES")
    if narrowed is not None:
        names = [name.strip() for name in narrowed.split(",")]
        return tuple(name for name in names if name and name != "-1" and name != "NoDevFiles")
    return tuple(str(index) for index in range(len(list(Path("/dev").glob("nvidia[0-9]*")))))


def granted_gpus(environment: Mapping[str, str]) -> int:
    """GPUs that Slurm gave the job on this node; 0 outside Slurm."""
    return _first_int(environment, ("SLURM_GPUS_ON_NODE",)) or 0


def cores_of_rank(environment: Mapping[str, str], n_sharing: int, n_usable: int | None = None) -> int:
    """This rank's share of the cores.

    Args:
        environment: of the process.
        n_sharing: ranks of this node that compute at the same time.
        n_usable: cores that this process may run on, by default those of its affinity.
    """
    n_usable = usable_cores() if n_usable is None else n_usable
    bound = environment.get("SLURM_CPUS_PER_TASK", "")
    if "SLURM_STEP_NUM_TASKS" in environment and bound.isdigit() and n_usable <= int(bound):
        return n_usable  # srun has given this rank cores of its own
    return max(1, n_usable // max(1, n_sharing))


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def slurm_seconds_left(environment: Mapping[str, str]) -> float | None:
    """Seconds until Slurm ends this job, None outside Slurm or when nobody can tell."""
    if (end := environment.get("SLURM_JOB_END_TIME", "")).isdigit():
        return float(end) - time.time()
    job = environment.get("SLURM_JOB_ID")
    if not job:
        return None
    try:  # Slurm before 23.02 sets no end time
        answer = subprocess.run(
            ["squeue", "-h", "-j", job, "-o", "%e"], capture_output=True, text=True, timeout=20, check=True
        )
        return datetime.fromisoformat(answer.stdout.strip()).timestamp() - time.time()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # no squeue on the node, or a job without limit


def job_clock(wall_time_s: float | None, environment: Mapping[str, str]) -> Callable[[], float | None]:
    """A clock of the time left, from now: by the wall time given and by Slurm's own, whichever is less."""
    limits = [limit for limit in (wall_time_s, slurm_seconds_left(environment)) if limit is not None]
    began = time.monotonic()
    return lambda: min(limits) - (time.monotonic() - began) if limits else None


def short_of_address_space(error: BaseException | None = None) -> str | None:
    """What to say where the address space (``ulimit -v``) is too small, for an error or for any work; else None.

    Libraries answer with errors of their own where it ends: an import that "failed to map" a file, for example.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    is_fault = isinstance(error, MemoryError) or (
        isinstance(error, ImportError | OSError) and any(words in str(error).lower() for words in _NO_MEMORY)
    )
    if not is_fault and (error is not None or limit >= LEAST_ADDRESS_SPACE):
        return None
    cause = "" if error is None else f" ({type(error).__name__}: {error})"
    return (
        f"the address space of this process is limited to {limit / 2**20:,.0f} MB (ulimit -v), which is too little"
        f"{cause}; a search of spiking networks needs 10,000 MB or more, as torch alone maps several thousand: "
        "ulimit -v unlimited"
    )


def leave_exit_code(code: int | None, environment: Mapping[str, str]) -> None:
    """Write how the search ended where a batch script looks for it (SNNHPO_EXIT_FILE), before MPI is left.

    What a launcher exits with may be the code of a rank that was killed, or of one that hung while leaving.

    Args:
        code: None while it is running: what then ends rank 0 leaves a study that can be resumed.
        environment: of the process.
    """
    if path := environment.get(EXIT_FILE):
        try:
            Path(path).write_text("running\n" if code is None else f"{code}\n", encoding="ascii")
        except OSError as error:
            log.warning("%s: %s: the batch script will go by the launcher's exit code", path, error)


def provenance() -> dict[str, str]:
    """What was run where: versions, git commit, host, command line; flat text."""
    versions = {f"version_{name}": _version(name) for name in PACKAGES}
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "command": " ".join(sys.argv),
        "slurm_job": os.environ.get("SLURM_JOB_ID", ""),
        "git_commit": _git_commit(),
    }
    return versions | facts


def versions() -> dict[str, str]:
    """Of all that a search computes with, and of the MPI library; where something is not there, that is said."""
    commit = _git_commit()
    found = {name: _version(name) or "not installed" for name in PACKAGES}
    found["snnhpo_mpi"] += f" (commit {commit})" if commit else ""
    return {"snnhpo_mpi": found.pop("snnhpo_mpi"), "Python": platform.python_version(), **found, "MPI": _mpi_library()}


def _mpi_library() -> str:
    """Name and version of the MPI library that mpi4py loads; asked in another process, which a broken one may end."""
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "mpi4py", "--mpi-lib-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "not found"
    first_line = answer.stdout.strip().partition("\n")[0]
    return " ".join(first_line.partition(",")[0].replace("Version:", "").split()) or "not found"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _git_commit() -> str:
    """Commit of the program's own checkout, with ``+`` when it has uncommitted changes; empty outside one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
