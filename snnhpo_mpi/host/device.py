"""Where a rank computes: its GPU and its share of the cores, found without torch or CUDA.

The environment is handed in as a mapping, so that every launcher can be imitated in a test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.launchers import SRUN
from snnhpo_mpi.host.schedulers import SLURM

# PyTorch's convolutions on a CPU keep up to 1,024 shapes each: an evaluator would grow with every new network.
CONVOLUTIONS_KEPT = {"LRU_CACHE_CAPACITY": "32", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}


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
        n_granted: GPUs that the batch system says the job has on this node.

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


def cores_of_rank(environment: Mapping[str, str], n_sharing: int, n_usable: int | None = None) -> int:
    """This rank's share of the cores.

    Args:
        environment: of the process.
        n_sharing: ranks of this node that compute at the same time.
        n_usable: cores that this process may run on, by default those of its affinity.
    """
    n_usable = usable_cores() if n_usable is None else n_usable
    bound = environment.get(SLURM.cores, "")
    if SRUN.size in environment and bound.isdigit() and n_usable <= int(bound):
        return n_usable  # srun has given this rank cores of its own
    return max(1, n_usable // max(1, n_sharing))


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))
