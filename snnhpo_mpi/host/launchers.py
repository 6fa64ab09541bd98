"""What a launcher (mpiexec, srun) says in the environment about the ranks it started. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from snnhpo_mpi.errors import ConfigError

# Open MPI, MPICH and its family, PMIx; an inner launcher's words count more than those of the Slurm around it.
_RANK = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")
_SIZE = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_SLURM_RANK, _SLURM_SIZE = "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"  # the latter is set in tasks of srun only
LAUNCHER_REMEDY = (
    "Use the mpiexec of the MPI that mpi4py loads (python -m mpi4py --mpi-library), or the srun option that fits it: "
    "--mpi=pmi2 for MPICH, --mpi=pmix for Open MPI (srun --mpi=list shows which exist)"
)


@dataclass(frozen=True, slots=True)
class Announced:
    """The rank and the number of ranks that a launcher announces."""

    rank: int
    size: int


def announced(environment: Mapping[str, str]) -> Announced | None:
    """What the launcher announces, None without one."""
    rank, size = _first_int(environment, _RANK), _first_int(environment, _SIZE)
    if rank is None and size is None and _SLURM_SIZE not in environment:
        return None
    if size is None:  # PMIx itself does not tell, and srun may have started us without any PMI
        size = _first_int(environment, (_SLURM_SIZE, "SLURM_NTASKS"))
    if rank is None:
        rank = _first_int(environment, (_SLURM_RANK,))
    return Announced(rank or 0, size or 1)


def check_launch(rank: int, size: int, environment: Mapping[str, str]) -> None:
    """Compare what MPI says with what the launcher announced.

    Raises:
        ConfigError: every process believes to be rank 0 of 1.
    """
    told = announced(environment)
    if told is None or size > 1 or (told.size == 1 and told.rank == 0):
        return
    raise ConfigError(
        f"the launcher started {told.size} ranks, but this MPI library knows of one only: launcher and library do not "
        f"belong together. {LAUNCHER_REMEDY}"
    )


def _first_int(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    for name in names:
        if environment.get(name, "").isdigit():
            return int(environment[name])
    return None
