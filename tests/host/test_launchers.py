import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.launchers import Announced, announced, check_launch, local_rank, local_size

OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "2"}
MPICH = {"PMI_RANK": "1", "PMI_SIZE": "3"}
BATCH_SCRIPT = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "16"}
SRUN = BATCH_SCRIPT | {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "16", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (BATCH_SCRIPT, None),
        (OPEN_MPI, Announced(2, 4)),
        (MPICH, Announced(1, 3)),
        (SRUN, Announced(5, 16)),
        (SRUN | {"PMIX_RANK": "5"}, Announced(5, 16)),
        # mpiexec inside an allocation: its proxies are tasks of srun, one a node
        (SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"} | MPICH, Announced(1, 3)),
        ({"PMI_RANK": "nonsense"}, None),
    ],
)
def test_the_launcher_is_read_from_the_environment(environment, expected):
    assert announced(environment) == expected


@pytest.mark.parametrize("environment", [OPEN_MPI, MPICH, SRUN])
def test_every_rank_being_rank_0_of_1_is_told(environment):
    with pytest.raises(ConfigError, match="do not belong together"):
        check_launch(0, 1, environment)


@pytest.mark.parametrize(
    ("rank", "size", "environment"),
    [(2, 4, OPEN_MPI), (0, 1, {}), (0, 1, BATCH_SCRIPT), (0, 1, {"PMI_RANK": "0", "PMI_SIZE": "1"})],
)
def test_a_launch_that_fits_passes(rank, size, environment):
    check_launch(rank, size, environment)


@pytest.mark.parametrize(
    ("environment", "rank", "size"),
    [
        ({}, None, None),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, 2, 4),
        ({"MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "3"}, 1, 3),
        ({"SLURM_LOCALID": "3", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, 3, 4),
        ({"SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "4,3", "SLURM_NODEID": "0"}, 0, 4),
        ({"SLURM_LOCALID": "2", "SLURM_STEP_TASKS_PER_NODE": "9,8(x3)", "SLURM_NODEID": "3"}, 2, 8),
        ({"SLURM_LOCALID": "2", "SLURM_STEP_TASKS_PER_NODE": "9,8(x3)", "SLURM_NODEID": "4"}, 2, None),
    ],
)
def test_launchers_say_the_local_rank(environment: dict[str, str], rank: int | None, size: int | None) -> None:
    assert local_rank(environment) == rank
    assert local_size(environment) == size
