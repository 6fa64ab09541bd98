import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snnhpo_mpi.record import read

Program = Callable[..., subprocess.CompletedProcess[str]]
Trials = Callable[..., list[dict[str, object]]]


def start(toy: Path, environment: dict[str, str], *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snnhpo_mpi", "run", "toy.yaml", *arguments],
        cwd=toy,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_ended(toy: Path, n: int, kind: str = "ended") -> None:
    journal = toy / "results" / "toy" / "journal.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if journal.exists() and len(re.findall(rf'"kind":"{kind}"', journal.read_text())) >= n:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {n} trials {kind} within a minute")


def test_search_without_mpi_spends_the_budget(snnhpo: Program, toy: Path) -> None:
    done = snnhpo("run", "toy.yaml", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "complete: 12 trials in results/toy; next: snnhpo report results/toy"
    data = read(toy / "results" / "toy")
    assert sorted(data.number) == list(range(12))
    assert set(data.state) == {"completed"}
    assert not data.live


def test_two_runs_with_one_worker_and_the_same_seed_are_equal(snnhpo: Program, trials: Trials) -> None:
    for results, seconds in (("a", "0.0"), ("b", "0.05")):  # whatever the timing
        done = snnhpo("run", "toy.yaml", "--results", results, "--set", "optimizer.name=scbo", "--set",
                      "optimizer.initial=5", TOY_SECONDS=seconds)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert trials("a") == trials("b")


def test_a_study_killed_and_resumed_is_the_uncut_one(
    snnhpo: Program, toy: Path, environment: dict[str, str], trials: Trials
) -> None:
    options = ("--set", "optimizer.name=scbo", "--set", "optimizer.initial=4")
    assert snnhpo("run", "toy.yaml", "--results", "uncut", *options).returncode == 0
    process = start(toy, environment, *options, TOY_SECONDS="0.1")
    wait_for_ended(toy, 6)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = snnhpo("run", "toy.yaml", "--resume", *options)
    assert resumed.returncode == 0, resumed.stderr
    assert trials("results") == trials("uncut")


def test_an_interrupted_study_is_recorded_and_resumable(
    snnhpo: Program, toy: Path, environment: dict[str, str]
) -> None:
    process = start(toy, environment, "--workers", "2", TOY_SECONDS="0.3")
    wait_for_ended(toy, 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 75, output
    assert "the same command with --resume goes on" in output
    cut = read(toy / "results" / "toy")
    assert 2 <= cut.ended.sum() < 12
    assert cut.ended.all()  # running trials were given time to finish
    assert snnhpo("run", "toy.yaml", "--resume").returncode == 0
    assert sorted(read(toy / "results" / "toy").number) == list(range(12))


def test_wall_time_ends_a_run_with_the_resumable_exit_code(snnhpo: Program, toy: Path) -> None:
    done = snnhpo(
        "run", "toy.yaml", "--set", "budget.wall_time=3s", "--set", "budget.stop_before_end=1s", TOY_SECONDS="1"
    )
    assert done.returncode == 75, done.stderr
    assert "stopped (out of time)" in done.stdout


def test_a_reader_that_goes_away_does_not_end_the_search(toy: Path, environment: dict[str, str]) -> None:
    process = start(toy, environment, TOY_SECONDS="0.1")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert read(toy / "results" / "toy").ended.sum() == 12


def test_resume_of_a_complete_study_says_so(snnhpo: Program) -> None:
    assert snnhpo("run", "toy.yaml", "--resume").returncode == 0
    again = snnhpo("run", "toy.yaml", "--resume")
    assert again.returncode == 0
    assert "the study is complete" in again.stdout


def test_a_study_is_not_begun_twice_nor_continued_as_another(snnhpo: Program, toy: Path) -> None:
    assert snnhpo("run", "toy.yaml").returncode == 0
    again = snnhpo("run", "toy.yaml")
    assert again.returncode == 3
    assert "--resume" in again.stderr
    changed = snnhpo("run", "toy.yaml", "--resume", "--set", "space.x.high=2")
    assert changed.returncode == 3
    assert "high: 2.0" in changed.stderr


def test_a_live_study_is_refused(snnhpo: Program, toy: Path, environment: dict[str, str]) -> None:
    process = start(toy, environment, "--trials", "99", TOY_SECONDS="0.5")
    wait_for_ended(toy, 1)
    second = snnhpo("run", "toy.yaml", "--resume")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert second.returncode == 3
    assert str(process.pid) in second.stderr


def test_status_is_read_while_the_study_runs(snnhpo: Program, toy: Path, environment: dict[str, str]) -> None:
    process = start(toy, environment, "--workers", "2", "--trials", "40", TOY_SECONDS="1.5")
    wait_for_ended(toy, 3)
    status = json.loads(snnhpo("status", "results/toy", "--json").stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert status["state"] == "running"
    assert status["completed"] >= 3
    assert status["running"] >= 1
    assert set(status["best"]) == {"number", "objective", "params", "standard_error", "n"}


def test_the_baseline_is_trial_0(snnhpo: Program, toy: Path) -> None:
    text = (toy / "toy.yaml").read_text() + "baseline: {name: mine, params: {x: 0.25, y: 0.5, kind: fancy}}\n"
    (toy / "toy.yaml").write_text(text)
    assert snnhpo("run", "toy.yaml", "--trials", "3").returncode == 0
    data = read(toy / "results" / "toy")
    assert data.trial(0).params == {"x": 0.25, "y": 0.5, "kind": "fancy"}
    assert sorted(data.number) == [0, 1, 2]


def test_failures_are_recorded_with_their_reason_and_the_search_goes_on(snnhpo: Program, toy: Path) -> None:
    (toy / "toy.py").write_text(
        "import os, signal\n"
        "calls = []\n"
        "def evaluate(params, seed, device):\n"
        "    n = int(params['n'])\n"
        "    if n == 1: raise RuntimeError('the GPU fell off')\n"
        "    if n == 2: return {'objective': float('nan'), 'constraints': [0.0]}\n"
        "    if n == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    if n == 4: return {'objective': 1.0}\n"
        "    print('garbage' * 1000)\n"
        "    return {'objective': 1.0, 'constraints': [0.0]}\n"
    )
    text = (toy / "toy.yaml").read_text()
    (toy / "toy.yaml").write_text(text[: text.index("space:")] + "space: {n: {type: int, low: 0, high: 5}}\n")
    done = snnhpo("run", "toy.yaml", "--trials", "16")
    assert done.returncode == 0, done.stderr
    data = read(toy / "results" / "toy")
    reasons = {1: "the GPU fell off", 2: "nan", 3: "SIGKILL", 4: "constraint"}
    errors = data.errors()
    for number, n, state in zip(data.number, data.params["n"], data.state, strict=True):
        assert state == ("failed" if n in reasons else "completed")
        if n in reasons:
            assert reasons[n] in errors[number]
    assert set(reasons) < set(data.params["n"])


def test_a_function_that_cannot_be_imported_ends_the_search_with_the_reason(snnhpo: Program, toy: Path) -> None:
    (toy / "toy.py").write_text("import no_such_package\n")
    done = snnhpo("run", "toy.yaml")
    assert done.returncode not in (0, 75)
    assert "no_such_package" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "toy.yaml", "--set", "budget.trials=0"], "key budget.trials"),
        (["run", "absent.yaml"], "absent.yaml: cannot be read"),
        (["run", "toy.yaml", "--set", "trainer.function=gone.py:evaluate"], "there is no file gone.py"),
        (["check", "toy.yaml", "--set", "trainer.function=gone.py:evaluate"], "there is no file gone.py"),
    ],
)
def test_a_users_mistake_is_exit_code_2_without_a_traceback(
    snnhpo: Program, arguments: list[str], message: str
) -> None:
    done = snnhpo(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
