"""What a launcher (``mpiexec``, ``srun``) says in the environment about the ranks it started: one table. Pure.

A new launcher is a row of ``LAUNCHERS``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from snnhpo_mpi.errors import ConfigError

LAUNCHER_REMEDY = (
    "Use the mpiexec of the MPI that mpi4py loads (python -m mpi4py --mpi-library), or the srun option that fits it: "
    "--mpi=pmi2 for MPICH, --mpi=pmix for Open MPI (srun --mpi=list shows which exist)"
)


@dataclass(frozen=True, slots=True)
class Launcher:
    """The environment variables by which one launcher describes a rank.

    Attributes:
        name: for messages.
        rank: number of this rank.
        size: number of ranks; empty if the launcher does not say.
        local_rank: number of this rank among those of its node.
        local_size: number of ranks on this node; empty if the launcher does not say.
        prefixes: of all its variables, by which an MPI library takes a process for one of its ranks.
    """

    name: str
    rank: str
    size: str
    local_rank: str
    local_size: str
    prefixes: tuple[str, ...]


# An inner launcher comes before the Slurm around it, whose variables are set in all of a job's processes.
OPEN_MPI = Launcher(
    "Open MPI",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    ("OMPI_", "PRTE_"),
)
HYDRA = Launcher(
    "Hydra (MPICH, Intel MPI)",
    "PMI_RANK",
    "PMI_SIZE",
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
    ("PMI_", "HYDRA_", "HYDI_", "MPI_LOCAL", "MPIR_", "I_MPI_"),
)
PMIX = Launcher("PMIx", "PMIX_RANK", "", "PMIX_LOCAL_RANK", "PMIX_LOCAL_SIZE", ("PMIX_",))
LAUNCHERS = (OPEN_MPI, HYDRA, PMIX)
# srun may start ranks without any PMI. SLURM_STEP_NUM_TASKS is set in tasks of srun only.
SRUN = Launcher("srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "", ())


@dataclass(frozen=True, slots=True)
class Announced:
    """The rank and the number of ranks that a launcher announces."""

    rank: int
    size: int


def announced(environment: Mapping[str, str]) -> Announced | None:
    """What the launcher announces, None without one."""
    rank = first_int(environment, (one.rank for one in LAUNCHERS))
    size = first_int(environment, (one.size for one in LAUNCHERS))
    if rank is None and size is None and SRUN.size not in environment:
        return None
    if size is None:
        size = first_int(environment, (SRUN.size, "SLURM_NTASKS"))
    if rank is None:
        rank = first_int(environment, (SRUN.rank,))
    return Announced(rank or 0, size or 1)


def check_launch(rank: int, size: int, environment: Mapping[str, str]) -> None:
    """Compare what MPI says with what the launcher announced.

    Raises:
        ConfigError: every process believes to be rank 0 of 1.
    """
    launched = announced(environment)
    if launched is None or size > 1 or (launched.size == 1 and launched.rank == 0):
        return
    raise ConfigError(
        f"the launcher started {launched.size} ranks, but this MPI library knows of one only: launcher and library do "
        f"not belong together. {LAUNCHER_REMEDY}"
    )


def local_rank(environment: Mapping[str, str]) -> int | None:
    """Rank among those of this node, None if no launcher says."""
    return first_int(environment, (one.local_rank for one in (*LAUNCHERS, SRUN)))


def local_size(environment: Mapping[str, str]) -> int | None:
    """Number of ranks on this node, None if no launcher says."""
    size = first_int(environment, (one.local_size for one in LAUNCHERS))
    if size is None and (tasks := environment.get("SLURM_STEP_TASKS_PER_NODE")):
        node = first_int(environment, ("SLURM_NODEID",)) or 0
        counts = [
            int(count)
            for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", tasks)  # 5,4(x2): 5, 4 and 4 tasks
            for _ in range(int(times or 1))
        ]
        size = counts[node] if node < len(counts) else None
    return size


def without_mpi(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which no MPI takes a process for one of its ranks."""
    prefixes = tuple(prefix for one in LAUNCHERS for prefix in one.prefixes)
    return {name: value for name, value in environment.items() if not name.startswith(prefixes)}


def first_int(environment: Mapping[str, str], names: Iterable[str]) -> int | None:
    """The first of the variables that holds a number, None if none does."""
    for name in names:
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return None
