"""The real program under the real mpiexec of every MPI family on this machine."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from mpi_families import Family, families

from snnhpo_mpi.record import read

pytestmark = pytest.mark.mpi
RUN = ("-m", "snnhpo_mpi", "run", "toy.yaml")


@pytest.fixture(params=families(), ids=str)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param


def launch(family: Family, n_ranks: int, toy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        family.command(n_ranks, [*RUN, *arguments]),
        cwd=toy, env=family.variables(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n_ranks", "arguments", "exit_code", "last_line"),
    [
        (2, [], 0, "complete: 12 trials in results/toy; next: snnhpo report results/toy"),
        (4, [], 0, "complete: 12 trials in results/toy; next: snnhpo report results/toy"),
        (3, ["--set", "budget.trials=99999", "--set", "budget.wall_time=3s", "--set", "budget.stop_before_end=1s"], 75,
         "the same command with --resume goes on"),
    ],
)  # fmt: skip
def test_a_search_ends_with_its_exit_code_and_last_line(
    family: Family, toy: Path, n_ranks: int, arguments: list[str], exit_code: int, last_line: str
) -> None:
    done = launch(family, n_ranks, toy, *arguments)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout.strip().splitlines()[-1].endswith(last_line)


@pytest.mark.parametrize(
    ("n_ranks", "arguments", "exit_code", "message"),
    [
        (1, [], 2, "one rank cannot search"),
        (3, ["--set", "budget.trials=none"], 2, "key budget.trials"),
        (3, ["--set", "trainer.function=gone.py:evaluate"], 2, "there is no file gone.py"),
        (2, ["--workers", "2"], 2, "--workers is for runs without MPI"),
    ],
)
def test_a_users_mistake_ends_all_ranks_with_code_2_and_no_traceback(
    family: Family, toy: Path, n_ranks: int, arguments: list[str], exit_code: int, message: str
) -> None:
    done = launch(family, n_ranks, toy, *arguments)
    assert done.returncode == exit_code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (toy / "results" / "toy" / "journal.jsonl").exists()


def test_mpi_and_local_workers_give_the_same_study(family: Family, toy: Path, snnhpo, trials) -> None:
    options = ("--set", "optimizer.name=scbo", "--set", "optimizer.initial=5")
    assert launch(family, 2, toy, "--results", "mpi", *options).returncode == 0
    assert snnhpo("run", "toy.yaml", "--results", "local", *options).returncode == 0
    assert trials("mpi") == trials("local")


def test_a_search_by_the_librarys_engine_learns_under_mpi(toy: Path) -> None:
    options = [f"--set=optimizer.{setting}" for setting in ("name=scbo", "engine=library", "initial=16")]
    done = launch(families()[0], 3, toy, "--trials", "24", *options)
    assert done.returncode == 0, done.stderr
    assert "fallback" not in done.stderr and "Warning" not in done.stderr
    data = read(toy / "results" / "toy")
    assert sorted(data.number) == list(range(24))
    by_models = data.number >= 16
    assert (data.optimizer["fit_seconds"][by_models] > 0).all()
    learnt = data.feasible & by_models
    assert data.objective[learnt].mean() > data.objective[data.feasible & ~by_models].mean()


CLIMBER = """
class Climber:
    def __init__(self, space, constraints, seed):
        self.told, self.space = [], space

    def ask(self, number, pending):
        best = max((o.objective, t.number) for t, o in self.told)[1] if self.told else None
        x = 0.6 if best is None else dict((t.number, t) for t, _ in self.told)[best].params["x"]
        return {"x": min(max(x + 0.05 * (number % 3 - 1), 0), 1), "y": 0.2, "kind": "plain"}

    def tell(self, trial, outcome, seconds):
        if outcome.feasible:
            self.told.append((trial, outcome))
"""


@pytest.mark.parametrize("name", ["optuna_tpe", "optuna_gp", "python"])
def test_a_search_by_another_optimizer_runs_under_mpi(name: str, toy: Path) -> None:
    (toy / "climber.py").write_text(CLIMBER)
    own = ["--set", "optimizer.function=climber.py:Climber"] if name == "python" else []
    done = launch(families()[0], 3, toy, "--set", f"optimizer.name={name}", "--set", "optimizer.initial=10", *own)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr and "random after" not in done.stderr
    data = read(toy / "results" / "toy")
    assert sorted(data.number) == list(range(12)) and data.ended.all()
    if name == "python":
        assert set(data.params["y"]) == {0.2} and 0.6 < data.params["x"][data.feasible].max() <= 0.8


def test_an_own_optimizer_that_fails_ends_the_search_with_the_reason(toy: Path) -> None:
    (toy / "climber.py").write_text(CLIMBER.replace('"y": 0.2', '"y": 7.0 if number > 3 else 0.2'))
    own = ["--set", "optimizer.name=python", "--set", "optimizer.function=climber.py:Climber"]
    done = launch(families()[0], 3, toy, *own)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    where = "optimizer.function: climber.py:Climber: ask returned for trial 4 what is not in the space: y = 7.0"
    assert where in done.stderr


def test_everything_killed_in_the_middle_resumes_to_the_full_number_none_twice(family: Family, toy: Path) -> None:
    environment = family.variables() | {"TOY_SECONDS": "0.1"}
    job = subprocess.Popen(
        family.command(3, [*RUN, "--trials", "30"]), cwd=toy, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    journal = toy / "results" / "toy" / "journal.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and not (journal.exists() and journal.read_text().count('"kind":"ended"') >= 8):
        time.sleep(0.02)
    for pid in ranks_of(toy) | {job.pid}:
        os.kill(pid, signal.SIGKILL)
    job.wait()
    done_before = {line["number"]: line for line in ended(journal)}
    assert 8 <= len(done_before) < 30
    resumed = launch(family, 3, toy, "--resume", "--trials", "30")
    assert resumed.returncode == 0, resumed.stderr
    data = read(toy / "results" / "toy")
    assert sorted(data.number) == list(range(30))
    assert set(data.state) == {"completed"}
    numbers = [line["number"] for line in ended(journal)]
    assert len(numbers) == len(set(numbers)) == 30
    for number, line in done_before.items():
        assert data.objective[list(data.number).index(number)] == line["objectives"]["accuracy"]


def ranks_of(toy: Path) -> set[int]:
    """Processes of the program that work in this folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == toy and b"snnhpo_mpi" in (process / "cmdline").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue  # it just ended, or is another's
    return found


def ended(journal: Path) -> list[dict[str, object]]:
    """The whole lines of a journal that end a trial, flattened."""
    lines = [json.loads(line) for line in journal.read_text().splitlines() if re.search(r'"kind":"ended".*}$', line)]
    return [line | dict(line.get("outcome", {})) for line in lines]


def test_finalists_are_trained_by_the_ranks_of_the_search_and_go_on_after_a_kill(
    family: Family, toy: Path, snnhpo
) -> None:
    options = ("--set", "finalists={count: 3, repeats: 3}", "--set", "optimizer.name=random")
    journal = toy / "results" / "toy" / "journal.jsonl"
    command = family.command(4, [*RUN, *options])
    job = subprocess.Popen(command, cwd=toy, env=family.variables() | {"TOY_SECONDS": "0.3"}, start_new_session=True)
    end = time.monotonic() + 60
    while not journal.exists() or journal.read_text().count('"kind":"repeated"') < 3:
        assert time.monotonic() < end and job.poll() is None
        time.sleep(0.02)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    cut = read(toy / "results" / "toy").repeats
    done = launch(family, 4, toy, "--resume", *options)
    assert done.returncode == 0, done.stderr
    repeats = read(toy / "results" / "toy").repeats
    assert repeats[: len(cut)] == cut
    assert len(repeats) == len({(one.number, one.seed) for one in repeats}) == 9
    assert snnhpo("run", "toy.yaml", "--results", "local", *options).returncode == 0
    local = {(one.number, one.seed): one.score for one in read(toy / "local" / "toy").repeats}
    assert {(one.number, one.seed): one.score for one in repeats} == local
