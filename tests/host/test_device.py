import subprocess
import sys

import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host import device


def choose(slot: int = 0, **changes: object) -> device.Device:
    arguments: dict[str, object] = {
        "gpus": "auto", "trials_per_gpu": 1, "threads": "auto", "visible": ("0", "1"), "n_cores": 2,
    }  # fmt: skip
    return device.choose_device(slot=slot, **(arguments | changes))  # type: ignore[arg-type]


def test_workers_take_the_visible_gpus_in_turn() -> None:
    assert [choose(slot).environment["CUDA_VISIBLE_DEVICES"] for slot in range(4)] == ["0", "1", "0", "1"]
    assert choose(1).name == "cuda:0"


def test_trials_per_gpu_puts_neighbours_on_one_gpu() -> None:
    chosen = [choose(slot, trials_per_gpu=2).environment["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert chosen == ["0", "0", "1", "1"]


def test_a_narrowed_view_is_respected_and_names_pass_through() -> None:
    assert choose(3, visible=("MIG-ab12",)).environment["CUDA_VISIBLE_DEVICES"] == "MIG-ab12"
    assert device.visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-1f, 3"}) == ("GPU-1f", "3")


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_hidden_gpus_mean_cpu(hidden: str) -> None:
    assert device.visible_gpus({"CUDA_VISIBLE_DEVICES": hidden}) == ()
    chosen = choose(visible=())
    assert (chosen.name, chosen.threads, chosen.environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", 2, "")


def test_ranks_share_the_cores_unless_srun_bound_them() -> None:
    assert device.cores_of_rank({}, n_sharing=3, n_usable=8) == 2
    assert device.cores_of_rank({}, n_sharing=9, n_usable=8) == 1
    srun = {"SLURM_STEP_NUM_TASKS": "9", "SLURM_CPUS_PER_TASK": "8"}
    assert device.cores_of_rank(srun, n_sharing=9, n_usable=8) == 8
    assert device.cores_of_rank(srun, n_sharing=9, n_usable=72) == 8  # not bound after all


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


def test_the_supervisors_modules_do_not_load_torch() -> None:
    modules = "snnhpo_mpi.cli, snnhpo_mpi.study.run, snnhpo_mpi.worker.supervisor"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
