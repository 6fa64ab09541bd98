"""The shipped batch files, run by bash with stand-ins for Slurm's commands: what they start, and what they do then."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from snnhpo_mpi.cli import build_parser

SLURM = Path(__file__).parents[1] / "slurm"
BATCH_FILES = sorted(SLURM.glob("*.sbatch"))
# Each stand-in writes its arguments, a line each, into a file of its name; `snnhpo` is what the launchers start.
LAUNCHER = """#!/bin/bash
printf '%s\\n' "$@" > "$CALLS/{name}"
[[ -z ${{SLURM_HOSTFILE:-}} ]] || cp "$SLURM_HOSTFILE" "$CALLS/hosts"
for word in "$@"; do [[ $word == *.slots ]] && cp "$word" "$CALLS/slots"; done
[[ -z ${{RANK_0:-}} ]] || echo "$RANK_0" > "$SNNHPO_EXIT_FILE"
exit "${{LAUNCHER_EXITS:-0}}"
"""
SLURM_COMMANDS = {
    "scontrol": """#!/bin/bash
[[ $1 == show ]] && printf 'node1\\nnode2\\nnode3\\n' && exit
echo "$@" > "$CALLS/scontrol"
exit "${SCONTROL:-0}"
""",
    "squeue": """#!/bin/bash
case "$*" in *%T) echo "${STATE:-RUNNING}" ;; *%e) echo 2030-01-01T10:00:00 ;; esac
""",
    "sleep": "#!/bin/bash\n",
}
JOB = {
    "SLURM_JOB_ID": "17",
    "SLURM_JOB_NODELIST": "node[1-3]",
    "SLURM_NTASKS_PER_NODE": "5",
    "SLURM_CPUS_PER_TASK": "8",
}


class Bench:
    """A folder with the batch files, and a PATH with the stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self._bin = folder, folder / "calls", folder / "bin"
        self.calls.mkdir()
        self._bin.mkdir()
        shutil.copytree(SLURM, folder / "slurm")
        for name in ("srun", "mpiexec"):
            self.put(name, LAUNCHER.format(name=name))
        for name, text in SLURM_COMMANDS.items():
            self.put(name, text)

    def put(self, name: str, text: str) -> None:
        (self._bin / name).write_text(text)
        (self._bin / name).chmod(0o755)

    def run(self, file: str, *arguments: str, launcher: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "slurm" / "env" / "here.sh").write_text(f"launcher={launcher}\nn_ranks=9\n")
        environment = {"PATH": f"{self._bin}:{os.environ['PATH']}", "SNNHPO_CLUSTER": "here", "CALLS": str(self.calls)}
        return subprocess.run(
            ["bash", f"slurm/{file}", *arguments], cwd=self.folder, env=environment | variables,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def called(self, name: str) -> list[str]:
        return (self.calls / name).read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("path", [*BATCH_FILES, *SLURM.rglob("*.sh")], ids=lambda path: path.name)
def test_bash_understands_every_file(path: Path) -> None:
    assert subprocess.run(["bash", "-n", path], capture_output=True, check=False).stderr == b""


@pytest.mark.parametrize("path", BATCH_FILES, ids=lambda path: path.name)
def test_what_a_user_edits_comes_first_and_what_slurm_must_do_stands_there(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith("#SBATCH")]
    assert lines[0].startswith("#SBATCH --partition=")
    said = " ".join(lines)
    for option in ("--requeue", "--open-mode=append", "--signal=B:USR1@660", "--time=", "--ntasks-per-node="):
        assert option in said


def test_a_rank_a_gpu_and_rank_0_beside_them_on_the_first_node(bench: Bench) -> None:
    done = bench.run("search.sbatch", "configs/mnist_slayer.yaml", launcher="srun-pmi2", RANK_0="0", **JOB)
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench.called("hosts") == ["node1"] * 5 + ["node2"] * 4 + ["node3"] * 4
    assert bench.called("srun") == [
        "--mpi=pmi2", "--ntasks=13", "--distribution=arbitrary", "--cpus-per-task=8", "--kill-on-bad-exit=0",
        "snnhpo", "run", "configs/mnist_slayer.yaml", "--resume",
    ]  # fmt: skip
    assert "start 1 of at most 21 on node[1-3], srun-pmi2: snnhpo run configs/mnist_slayer.yaml --resume" in done.stdout
    assert done.stdout.strip().endswith("complete")
    assert sorted(path.name for path in bench.folder.iterdir()) == ["bin", "calls", "slurm"]  # cleaned up


def test_on_nodes_of_cores_every_core_has_a_rank(bench: Bench) -> None:
    done = bench.run(
        "search_cpu.sbatch", "a.yaml", launcher="srun-pmi2", RANK_0="0", **JOB | {"SLURM_CPUS_PER_TASK": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert bench.called("hosts") == ["node1"] * 5 + ["node2"] * 5 + ["node3"] * 5
    assert bench.called("srun") == [
        "--mpi=pmi2", "--ntasks=15", "--distribution=arbitrary", "--cpus-per-task=1", "--kill-on-bad-exit=0",
        "snnhpo", "run", "a.yaml", "--set", "workers.gpus=0", "--resume",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("version", "flags", "slots"),
    [
        ("mpiexec (Open MPI) 5.0.11", ["--bind-to", "none", "--enable-recovery", "--with-ft", "ulfm", "--hostfile"],
         "node1 slots=5|node2 slots=4|node3 slots=4"),
        ("mpiexec (OpenRTE) 4.1.4", ["--bind-to", "none", "--enable-recovery", "--hostfile"],
         "node1 slots=5|node2 slots=4|node3 slots=4"),
        ("HYDRA build details:", ["-f"], "node1:5|node2:4|node3:4"),
    ],
)  # fmt: skip
def test_each_mpiexec_has_its_own_flags(bench: Bench, version: str, flags: list[str], slots: str) -> None:
    text = LAUNCHER.format(name="mpiexec")
    bench.put("mpiexec", text.replace("\n", f"\n[[ $1 == --version ]] && {{ echo '{version}'; exit; }}\n", 1))
    done = bench.run("search.sbatch", "a.yaml", launcher="mpiexec", **JOB)
    assert done.returncode == 0, done.stdout + done.stderr
    called = bench.called("mpiexec")
    assert called[: len(flags)] == flags
    assert called[len(flags) + 1 :] == ["-n", "13", "snnhpo", "run", "a.yaml", "--resume"]
    assert "|".join(bench.called("slots")) == slots


def test_without_slurm_it_is_mpiexec_on_this_machine(bench: Bench) -> None:
    done = bench.run("search.sbatch", "a.yaml", launcher="mpiexec", RANK_0="75", LAUNCHER_EXITS="75")
    assert bench.called("mpiexec") == ["-n", "9", "snnhpo", "run", "a.yaml", "--resume"]
    assert done.returncode == 75
    assert "not finished (exit code 75): the same command goes on" in done.stdout


def test_a_task_of_an_array_is_a_study_of_its_own(bench: Bench) -> None:
    bench.run("search.sbatch", "a.yaml", launcher="srun-pmi2", SLURM_ARRAY_TASK_ID="3", **JOB)
    assert bench.called("srun")[-7:] == [
        "run", "a.yaml", "--resume", "--set", "study.seed=3", "--results", "results/seed_3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rank_0", "launcher_exits", "exit_code", "says"),
    [
        ("0", "0", 0, "complete"),
        ("0", "137", 0, "the launcher ended with 137: a rank or a node was lost"),  # and the search went on
        ("75", "75", 75, "requeued, 19 more times possible"),
        ("75", "137", 75, "requeued, 19 more times possible"),
        ("running", "137", 137, "requeued, 19 more times possible"),  # rank 0 was killed, or its node went
        ("running", "1", 1, "failed with exit code 1"),
        ("1", "137", 1, "failed with exit code 1"),  # an exception, of which MPI_Abort made a kill
        ("2", "2", 2, "failed with exit code 2"),
        ("", "2", 2, "failed with exit code 2"),  # before MPI was there
        ("running", "15", 15, "requeued, 19 more times possible"),  # MPI did not come up
        ("running", "0", 75, "requeued, 19 more times possible"),  # some launchers say so of killed ranks
    ],
)
def test_a_job_is_requeued_if_its_study_can_be_resumed(bench: Bench, rank_0, launcher_exits, exit_code, says) -> None:
    variables = JOB | {"RANK_0": rank_0, "LAUNCHER_EXITS": launcher_exits, "SLURM_RESTART_COUNT": "0"}
    done = bench.run("search.sbatch", "a.yaml", launcher="srun-pmi2", **variables)
    assert done.returncode == exit_code
    assert says in done.stdout
    requeued = exit_code not in (0, 1, 2)
    assert (bench.calls / "scontrol").exists() == requeued
    assert not requeued or bench.called("scontrol") == ["requeue 17"]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SLURM_RESTART_COUNT": "20"}, "and requeued 20 times already: submit it again to go on"),
        ({"SLURM_RESTART_COUNT": "19", "SCONTROL": "1"}, "and Slurm refused to requeue: submit it again to go on"),
        ({"STATE": "CANCELLED"}, "cancelled: submit it again to go on"),
    ],
)
def test_a_job_that_cannot_be_requeued_says_so(bench: Bench, variables: dict[str, str], says: str) -> None:
    done = bench.run("search.sbatch", "a.yaml", launcher="srun-pmi2", RANK_0="75", **JOB | variables)
    assert done.returncode == 75
    assert says in done.stdout


@pytest.mark.parametrize(
    ("end", "number", "forwarded", "says"),
    [
        ("in 600 s", "USR1", False, "the search stops in time by itself"),
        ("in 9999 s", "USR1", True, "told to stop"),
        ("unknown", "USR1", True, "told to stop"),
        ("in 600 s", "TERM", True, "cancelled: the search stops"),
    ],
)
def test_signals_reach_the_search_when_it_must_know(bench: Bench, end, number, forwarded, says) -> None:
    bench.put("srun", f"""#!/bin/bash
trap 'echo got USR1; code=75' USR1
kill -{number} $PPID
for i in $(seq 10); do /bin/sleep 0.1; done
exit ${{code:-0}}
""")  # fmt: skip
    seconds = re.search(r"\d+", end)
    if seconds:
        now = subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout
        variables = JOB | {"SLURM_JOB_END_TIME": str(int(now) + int(seconds.group()))}
    else:
        variables = JOB
        bench.put("squeue", '#!/bin/bash\ncase "$*" in *%T) echo RUNNING ;; *%e) echo N/A ;; esac\n')
    done = bench.run("search.sbatch", "a.yaml", launcher="srun-pmi2", **variables)
    assert says in done.stdout
    assert ("got USR1" in done.stdout) == forwarded
    assert done.returncode == (75 if forwarded else 0)
    assert (bench.calls / "scontrol").exists() == (forwarded and number == "USR1")


STARTS = {
    "search.sbatch": ["configs/quickstart.yaml", "--set", "budget.trials=5"],
    "search_cpu.sbatch": ["configs/quickstart.yaml", "--set", "budget.trials=5"],
    "heterogeneous.sbatch": ["configs/quickstart.yaml"],
    "retrain.sbatch": ["results/quickstart", "--top", "1", "--repeats", "10", "--save"],
}


@pytest.mark.parametrize("path", BATCH_FILES, ids=lambda path: path.name)
def test_our_own_command_line_takes_what_is_started(bench: Bench, path: Path) -> None:
    bench.run(path.name, *STARTS[path.name], launcher="srun-pmi2", **JOB)
    called = bench.called("srun")
    build_parser().parse_args(called[called.index("snnhpo") + 1 :])
    if path.name == "heterogeneous.sbatch":
        assert called[:3] == ["--mpi=pmi2", "--kill-on-bad-exit=0", "--het-group=0,1"]


@pytest.mark.parametrize(("library", "mpi"), [("MPICH Version: 5", "pmi2"), ("Open MPI v5.0", "pmix")])
def test_a_heterogeneous_job_starts_by_the_srun_that_fits_the_library(bench: Bench, library: str, mpi: str) -> None:
    bench.put("python", f"#!/bin/bash\necho '{library}'\n")
    bench.run("heterogeneous.sbatch", "configs/quickstart.yaml", launcher="mpiexec", **JOB)
    assert bench.called("srun")[0] == f"--mpi={mpi}"


def test_the_generic_file_has_a_launcher_that_every_mpi_brings(bench: Bench) -> None:
    done = subprocess.run(
        ["bash", "-c", "source slurm/env/generic.sh; echo $launcher $SNNHPO_DATA"],
        cwd=bench.folder,
        env={"PATH": f"{bench.folder}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["mpiexec", f"{bench.folder}/data"]
