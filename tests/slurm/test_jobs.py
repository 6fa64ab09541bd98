"""The shipped batch files, submitted to a real Slurm: they search to the end, whatever happens to the job."""

import os
from collections import Counter
from pathlib import Path

import pytest
from jobs import NO_GPU, ONE_NODE, Job
from private_cluster import NODES

from snnhpo_mpi.record import read

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]
FAMILIES = ("mpich", "openmpi")
GPU_LINE = "--nodes=1 --gpus-per-node=2 --ntasks-per-node=2 --cpus-per-task=1"


# The first time that a trial is evaluated, it takes longer than the job may.
SLOW_AT_FIRST = """
from pathlib import Path

quick = evaluate


def evaluate(params, seed, device):
    been_here = Path(__file__).with_name(f"been_here_{seed}")
    if not been_here.exists():
        been_here.touch()
        time.sleep(120)
    return quick(params, seed, device)
"""


@pytest.fixture(scope="module", autouse=True)
def minute(job):
    """Jobs with a limit of one minute, the least that Slurm knows: they run beside all the others."""
    jobs = {family: job(family) for family in FAMILIES}
    for one in jobs.values():
        with (one.folder / "toy.py").open("a") as toy:
            toy.write(SLOW_AT_FIRST)
        options = (*NO_GPU, "--time=1")
        one.submit("toy.yaml", "--trials", "2", "--set", "budget.stop_before_end=8s", options=options)
    return jobs


def assert_whole(job: Job, n_trials: int) -> None:
    """The full budget, every trial once and none failed."""
    data = read(job.folder / job.results / "toy")
    assert sorted(data.number) == list(range(n_trials))
    assert set(data.state) == {"completed"}
    ended = [event["number"] for event in job.events("ended")]
    assert sorted(ended) == list(range(n_trials))


def pid_of_rank(job: Job, rank: int) -> int:
    """The process of a worker rank, from what rank 0 logged of it."""
    [line] = [line for line in job.log.splitlines() if f"rank {rank} is process" in line]
    return int(line.split("process ")[1].split()[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_scancel_leaves_a_complete_record_and_no_requeue(job, family):
    one = job(family).submit("toy.yaml", "--trials", "3000")
    one.wait_for(lambda: len(one.events("ended")) >= 8)
    one.cluster.ask("scancel", one.number)
    one.wait_for(lambda: "submit it again to go on" in one.log)
    assert one.state in ("CANCELLED", "COMPLETING")
    one.wait_for(lambda: not read(one.folder / "results" / "toy").live)
    data = read(one.folder / "results" / "toy")
    assert {str(state) for state in data.state[data.ended]} == {"completed"}
    assert data.ended.sum() == len(one.events("ended")) >= 8
    again = one.submit("toy.yaml", "--trials", str(data.n_trials + 4))
    assert again.wait() == "COMPLETED", again.log
    assert_whole(again, data.n_trials + 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_on_two_nodes_every_gpu_has_a_worker_and_the_search_ends_well_when_one_is_killed(job, family):
    one = job(family, seconds=0.4).submit("toy.yaml", "--trials", "40")
    one.wait_for(lambda: len(one.events("ended")) >= 8)
    os.kill(pid_of_rank(one, 3), 9)
    assert one.wait() == "COMPLETED", one.log
    assert f"start 1 of at most 21 on {','.join(NODES)}" in one.log
    if family == "openmpi":  # the others go on
        assert "rank 3" in one.log
        assert "is lost" in one.log
        assert "start 2" not in one.log
    else:  # MPICH's mpiexec ends them all
        assert "requeued, 19 more times possible" in one.log
        assert "start 2" in one.log
    assert_whole(one, 40)
    devices = Counter(worker.device for worker in read(one.folder / "results" / "toy").workers.values())
    assert devices == {"GPU 0, cpu x 1": 2, "GPU 1, cpu x 1": 2}


def test_a_job_requeued_from_outside_resumes(job):
    one = job("mpich").submit("toy.yaml", "--trials", "60")
    one.wait_for(lambda: len(one.events("ended")) >= 8)
    one.cluster.ask("scontrol", "requeue", one.number)
    one.wait_for(lambda: "start 2 of at most 21" in one.log)
    assert one.wait() == "COMPLETED", one.log
    assert_whole(one, 60)


def test_an_array_is_studies_with_seeds_of_their_own(job):
    one = job("mpich").submit("toy.yaml", "--trials", "8", options=(*ONE_NODE, "--array=1-2"))
    one.wait_for(lambda: one.log.count(": complete") == 2)
    seen = set()
    for seed in (1, 2):
        one.results = f"results/seed_{seed}"
        assert_whole(one, 8)
        data = read(one.folder / one.results / "toy")
        assert data.config["study"]["seed"] == seed
        seen.add(tuple(data.seed))
    assert len(seen) == 2


def test_rank_0_may_have_a_node_of_another_partition(job):
    one = job("openmpi")
    file = one.folder / "slurm" / "heterogeneous.sbatch"
    text = file.read_text().replace("--cpus-per-task=4", "--cpus-per-task=1")
    file.write_text(text.replace("--nodes=2 --gpus-per-node=4 --ntasks-per-node=4 --cpus-per-task=8", GPU_LINE))
    one.submit("toy.yaml", file="heterogeneous.sbatch", options=())
    assert one.wait() == "COMPLETED", one.log
    assert_whole(one, 20)


@pytest.mark.parametrize(
    ("family", "mpi", "exit_code", "says"),
    [
        ("openmpi", "pmix", 0, "complete: 20 trials"),
        ("openmpi", "pmi2", 2, "the launcher started 3 ranks, but this MPI library knows of one only"),
        ("mpich", "none", 2, "the launcher started 3 ranks, but this MPI library knows of one only"),
    ],
)
def test_srun_must_fit_the_library(job, family, mpi, exit_code, says):
    one = job(family, SNNHPO_CLUSTER="mine")
    (one.folder / "slurm" / "env" / "mine.sh").write_text(f"launcher=srun-{mpi}\n")
    one.submit("toy.yaml", options=ONE_NODE)
    assert one.wait() == ("COMPLETED" if exit_code == 0 else "FAILED"), one.log
    assert says in one.log
    assert exit_code == 0 or f"failed with exit code {exit_code}" in one.log


def test_nothing_is_left_behind_on_the_nodes(job, tmp_path: Path):
    one = job("mpich", TMPDIR=str(tmp_path)).submit("toy.yaml", "--trials", "4", options=ONE_NODE)
    assert one.wait() == "COMPLETED", one.log
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_walltime_in_the_middle_of_a_trial_requeues_and_resumes(minute, family):
    one = minute[family]
    assert one.wait() == "COMPLETED", one.log
    assert "stopped (out of time)" in one.log
    assert "not finished (exit code 75): requeued, 19 more times possible" in one.log
    assert "start 2 of at most 21" in one.log
    assert_whole(one, 2)
    assert Counter(event["number"] for event in one.events("started")) == {0: 2, 1: 2}  # both were cut, and came again
