import subprocess
import sys
import time

import pytest

from snnhpo_mpi import host
from snnhpo_mpi.errors import ConfigError


def choose(slot: int = 0, **changes: object) -> host.Device:
    arguments: dict[str, object] = {
        "gpus": "auto", "trials_per_gpu": 1, "threads": "auto", "visible": ("0", "1"), "n_cores": 2,
    }  # fmt: skip
    return host.choose_device(slot=slot, **(arguments | changes))  # type: ignore[arg-type]


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
    assert host.local_rank(environment) == rank
    assert host.local_size(environment) == size


def test_workers_take_the_visible_gpus_in_turn() -> None:
    assert [choose(slot).environment["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["0", "1", "0", "1"]
    assert choose(1).name == "cuda:0"


def test_trials_per_gpu_puts_neighbours_on_one_gpu() -> None:
    chosen = [choose(slot, trials_per_gpu=2).environment["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert chosen == ["0", "0", "1", "1"]


def test_a_narrowed_view_is_respected_and_names_pass_through() -> None:
    assert choose(3, visible=("MIG-ab12",)).environment["CUDA_VISIBLE_DEVICES"] == "MIG-ab12"
    assert host.visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1f, 3"}) == ("GPU-1f", "3")


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_hidden_gpus_mean_cpu(hidden: str) -> None:
    assert host.visible_gpus({"CUDA_VISIBLE_DEVICES": hidden}) == ()
    device = choose(visible=())
    assert (device.name, device.threads, device.environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", 2, "")


def test_ranks_share_the_cores_unless_srun_bound_them() -> None:
    assert host.cores_of_rank({}, n_sharing=3, n_usable=8) == 2
    assert host.cores_of_rank({}, n_sharing=9, n_usable=8) == 1
    srun = {"SLURM_STEP_NUM_TASKS": "9", "SLURM_CPUS_PER_TASK": "8"}
    assert host.cores_of_rank(srun, n_sharing=9, n_usable=8) == 8
    assert host.cores_of_rank(srun, n_sharing=9, n_usable=72) == 8  # not bound after all


def test_zero_gpus_means_cpu_even_where_there_are_some() -> None:
    assert choose(gpus=0, threads=3).label == "cpu x 3"


def test_a_gpu_that_should_be_there_and_is_not_is_told() -> None:
    for changes in ({"gpus": 2}, {"n_granted": 4}):
        with pytest.raises(ConfigError, match="no GPU is visible here"):
            choose(visible=(), **changes)
    assert choose(visible=(), gpus=0, n_granted=4).name == "cpu"


@pytest.mark.parametrize(
    ("gpu", "label"),
    [("3", "GPU 3, cpu x 2"), ("GPU-1f2e", "GPU-1f2e, cpu x 2"), ("MIG-ab12", "MIG-ab12, cpu x 2")],
)
def test_the_label_says_gpu_and_threads(gpu: str, label: str) -> None:
    assert choose(visible=(gpu,)).label == label


def test_a_workstation_of_8_gpus_gives_each_of_8_workers_its_own() -> None:
    """``mpirun -n 9``: local rank 0 optimises."""
    visible = tuple("01234567")
    gpus = [choose(rank - 1, visible=visible).environment["CUDA_VISIBLE_DEVICES"] for rank in range(1, 9)]
    assert gpus == list(visible)


def test_rank_0_leaves_its_exit_code_where_the_batch_script_looks(tmp_path, caplog) -> None:
    host.leave_exit_code(75, {"SNNHPO_EXIT_FILE": str(tmp_path / "code")})
    assert (tmp_path / "code").read_text() == "75\n"
    host.leave_exit_code(None, {"SNNHPO_EXIT_FILE": str(tmp_path / "code")})
    assert (tmp_path / "code").read_text() == "running\n"
    host.leave_exit_code(75, {})
    host.leave_exit_code(75, {"SNNHPO_EXIT_FILE": str(tmp_path / "gone" / "code")})
    assert "go by the launcher's exit code" in caplog.text


def test_slurm_end_time_gives_the_seconds_left() -> None:
    left = host.slurm_seconds_left({"SLURM_JOB_END_TIME": str(int(time.time()) + 600)})
    assert left is not None
    assert 590 < left <= 600


def test_without_slurm_nobody_knows_the_end() -> None:
    assert host.slurm_seconds_left({}) is None
    assert host.slurm_seconds_left({"SLURM_JOB_ID": "not-a-job"}) is None


def test_the_clock_of_a_job_takes_the_nearer_end() -> None:
    slurm = {"SLURM_JOB_END_TIME": str(int(time.time()) + 600)}
    assert 0 < (host.job_clock(30.0, slurm)() or 0) <= 30
    assert 500 < (host.job_clock(3000.0, slurm)() or 0) <= 600
    assert host.job_clock(None, {})() is None


def test_provenance_is_text_and_names_versions() -> None:
    facts = host.provenance()
    assert all(isinstance(value, str) for value in facts.values())
    assert facts["version_numpy"]


def test_the_supervisors_modules_do_not_load_torch() -> None:
    code = "import sys, snnhpo_mpi.cli, snnhpo_mpi.study.run, snnhpo_mpi.worker.supervisor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
