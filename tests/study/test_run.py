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
from documents import blocks

from snnhpo_mpi.config import load
from snnhpo_mpi.record import read
from snnhpo_mpi.study.request import Request, Task
from snnhpo_mpi.study.run import run_search
from snnhpo_mpi.trial import Ended, Reported

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


def test_a_configuration_from_a_pipe_is_recorded_as_it_was_read(toy: Path, environment: dict[str, str]) -> None:
    text = (toy / "toy.yaml").read_text()
    arguments = [sys.executable, "-m", "snnhpo_mpi", "run", "/dev/stdin", "--trials", "1"]
    subprocess.run(arguments, cwd=toy, env=environment, input=text, text=True, check=True, timeout=120)
    assert read(toy / "results" / "toy").config_text == text


@pytest.mark.parametrize("touch", ["delete", "cut", "put a copy back"])
def test_a_journal_touched_during_a_run_costs_no_trial(
    snnhpo: Program, toy: Path, environment: dict[str, str], touch: str
) -> None:
    run = start(toy, environment, "--set", "record.flush_every=1h", TOY_SECONDS="0.15")
    wait_for_ended(toy, 5)
    journal = toy / "results" / "toy" / "journal.jsonl"
    match touch:
        case "delete":
            journal.unlink()
        case "cut":
            os.truncate(journal, 500)
        case _:
            (toy / "copy").write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:8]))
            (toy / "copy").replace(journal)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 0, output
    assert "are put back" in output and output.splitlines()[-1].startswith("complete: 12 trials")
    data = read(toy / "results" / "toy")
    assert (data.n_trials, int(data.ended.sum()), data.notices) == (12, 12, ())


def test_a_file_in_the_place_of_the_logs_costs_the_logs_alone(snnhpo: Program, toy: Path) -> None:
    (toy / "results" / "toy").mkdir(parents=True)
    (toy / "results" / "toy" / "logs").write_text("mine")
    done = snnhpo("run", "toy.yaml", "--trials", "2")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("no log in results/toy/logs/rank_000.log") == done.stderr.count("rank_000.log") == 1
    assert not (toy / "results" / "toy" / "lock.json").exists()


OWN_OPTIMIZER = ("--set", "optimizer.name=python", "--set")


def test_two_runs_with_one_worker_and_the_same_seed_are_equal(snnhpo: Program, trials: Trials) -> None:
    for results, seconds in (("a", "0.0"), ("b", "0.05")):  # whatever the timing
        done = snnhpo("run", "toy.yaml", "--results", results, "--set", "optimizer.name=scbo", "--set",
                      "optimizer.initial=5", TOY_SECONDS=seconds)  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert trials("a") == trials("b")


@pytest.mark.parametrize(
    "settings",
    [
        ["name=scbo", "initial=4"],
        ["name=scbo", "initial=8", "engine=library"],
        ["name=optuna_tpe", "initial=4"],
        ["name=python", "function=myopt.py:Mine"],
    ],
    ids=" ".join,
)
def test_a_study_killed_and_resumed_is_the_uncut_one(
    snnhpo: Program, toy: Path, environment: dict[str, str], trials: Trials, settings: list[str]
) -> None:
    (optimizer,) = (code for place, code in blocks("python") if "class Mine" in code)
    (toy / "myopt.py").write_text(optimizer)
    changes = [f"optimizer.{setting}" for setting in settings]
    options = tuple(word for change in changes for word in ("--set", change))
    assert snnhpo("run", "toy.yaml", "--results", "uncut", *options).returncode == 0
    process = start(toy, environment, *options, TOY_SECONDS="0.1")
    wait_for_ended(toy, 10 if "engine=library" in settings else 6)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    resumed = snnhpo("run", "toy.yaml", "--resume", *options)
    assert resumed.returncode == 0, resumed.stderr
    assert trials("results") == trials("uncut")


REPORTING = """
import os, time

def evaluate(params, seed, device, report):
    final = -((params["x"] - 0.7) ** 2) - (params["y"] - 0.2) ** 2
    for step in range(1, 9):
        if report(final - 1 / step, step):
            break
        time.sleep(float(os.environ.get("TOY_SECONDS", "0.04")))
    return {"objective": final - 1 / step, "constraints": [params["x"] - 0.8]}
"""


def test_a_study_killed_and_resumed_prunes_the_trials_of_the_uncut_one(
    snnhpo: Program, toy: Path, environment: dict[str, str]
) -> None:
    (toy / "toy.py").write_text(REPORTING)
    options = ("--set", "pruning.rule=median", "--trials", "30")
    assert snnhpo("run", "toy.yaml", "--results", "uncut", *options).returncode == 0
    process = start(toy, environment, *options)
    for n in (14, 20):  # cut twice
        wait_for_ended(toy, n)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        process = start(toy, environment, "--resume", *options)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    uncut, resumed = (read(toy / results / "toy") for results in ("uncut", "results"))
    assert list(resumed.state) == list(uncut.state)
    n_pruned = list(uncut.state).count("pruned")
    assert 3 < n_pruned < 18
    assert f"{n_pruned} pruned" in snnhpo("status", "results/toy").stdout
    assert set(resumed.state[:12]) == {"completed"}
    for data in (uncut, resumed):
        ended = set()
        for event in data.events():
            ended |= {event.number} if isinstance(event, Ended) else set()
            assert not isinstance(event, Reported) or event.number not in ended
    assert {*uncut.reports["position"][uncut.reports["number"] == 0]} == set(range(1, 9))


FINALISTS = ("--set", "finalists={count: 3, repeats: 3}")


def repeats_of(folder: Path) -> list[tuple[int, int, float | None]]:
    return sorted((one.number, one.seed, one.score) for one in read(folder).repeats)


def test_finalists_cut_twice_and_resumed_are_those_of_the_uncut_study(
    snnhpo: Program, toy: Path, environment: dict[str, str], trials: Trials
) -> None:
    done = snnhpo("run", "toy.yaml", "--results", "uncut", *FINALISTS)
    assert done.returncode == 0 and "(mean and standard deviation of 3 repeats, the best of 3" in done.stdout, done
    process = start(toy, environment, *FINALISTS, "--workers", "2", TOY_SECONDS="0.3")
    for n in (2, 6):
        wait_for_ended(toy, n, "repeated")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        cut = repeats_of(toy / "results" / "toy")
        assert n <= len(cut) < 9
        process = start(toy, environment, "--resume", *FINALISTS, "--workers", "2", TOY_SECONDS="0.3")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    uncut = repeats_of(toy / "uncut" / "toy")
    assert repeats_of(toy / "results" / "toy") == uncut and len(uncut) == len({seed for _, seed, _ in uncut}) == 9
    assert set(cut) < set(uncut)
    assert trials("results") == trials("uncut")
    again = snnhpo("run", "toy.yaml", "--resume", *FINALISTS)
    assert "the study is complete" in again.stdout and repeats_of(toy / "results" / "toy") == uncut


def test_a_finished_search_is_given_finalists_afterwards_and_a_larger_budget_others(snnhpo: Program, toy: Path) -> None:
    assert snnhpo("run", "toy.yaml").returncode == 0
    assert snnhpo("run", "toy.yaml", "--resume", *FINALISTS).returncode == 0
    before = repeats_of(toy / "results" / "toy")
    assert len(before) == 9
    assert snnhpo("run", "toy.yaml", "--resume", *FINALISTS, "--trials", "30").returncode == 0
    data = read(toy / "results" / "toy")
    assert set(before) <= set(repeats_of(toy / "results" / "toy"))
    best = sorted(data.number[data.feasible], key=lambda n: -data.objective[n])[:3]
    assert all(sum(one.number == n for one in data.repeats) == 3 for n in best)


def test_repeats_are_the_same_from_either_file(snnhpo: Program, toy: Path) -> None:
    assert snnhpo("run", "toy.yaml", *FINALISTS).returncode == 0
    folder = toy / "results" / "toy"
    whole = read(folder).repeated
    for name in ("journal.jsonl", "study.h5"):
        (folder / name).rename(toy / name)
        assert read(folder).repeated == whole
        (toy / name).rename(folder / name)


def test_a_function_that_cannot_report_ends_a_search_that_would_prune_before_any_trial(
    snnhpo: Program, toy: Path
) -> None:
    for command in (("check", "--import"), ("run",)):
        done = snnhpo(command[0], "toy.yaml", *command[1:], "--set", "pruning.rule=gain")
        assert done.returncode != 0
        assert "pruning.rule: toy.py:evaluate has no argument report" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


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


def test_a_wall_time_that_is_all_the_budget_is_complete_when_it_is_spent(snnhpo: Program, toy: Path) -> None:
    budget = "budget: {wall_time: 5s, stop_before_end: 1s}"
    text = (toy / "toy.yaml").read_text()
    (toy / "toy.yaml").write_text(text.replace("budget: {trials: 12, stop_before_end: 20s}", budget))
    done = snnhpo("run", "toy.yaml", TOY_SECONDS="0.3")
    assert done.returncode == 0, done.stderr
    n = read(toy / "results" / "toy").ended.sum()
    assert f"complete: {n} trial" in done.stdout
    again = snnhpo("run", "toy.yaml", "--resume", TOY_SECONDS="0.3")  # another job of that length
    assert again.returncode == 0
    assert read(toy / "results" / "toy").ended.sum() > n


def test_the_end_of_the_job_before_that_of_the_wall_time_is_to_be_resumed(snnhpo: Program, toy: Path) -> None:
    budget = "budget: {wall_time: 1h, stop_before_end: 1s}"
    text = (toy / "toy.yaml").read_text()
    (toy / "toy.yaml").write_text(text.replace("budget: {trials: 12, stop_before_end: 20s}", budget))
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": str(int(time.time()) + 8)}
    done = snnhpo("run", "toy.yaml", "--workers", "1", TOY_SECONDS="0.3", **job)
    assert done.returncode == 75, done.stderr
    # What was used of the wall time is used: the rest, of half a second, ends the budget.
    runs = read(toy / "results" / "toy").sessions
    used_s = runs[-1].closed.at - runs[-1].began.at
    budget = ("--set", f"budget.wall_time={used_s + 0.5}", "--set", "budget.stop_before_end=0.1s")
    again = snnhpo("run", "toy.yaml", "--resume", *budget, TOY_SECONDS="0.1")
    assert again.returncode == 0, again.stderr


def test_a_reader_that_goes_away_does_not_end_the_search(toy: Path, environment: dict[str, str]) -> None:
    process = start(toy, environment, TOY_SECONDS="0.1")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert read(toy / "results" / "toy").ended.sum() == 12


@pytest.mark.parametrize(
    "streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"]
)
def test_streams_that_are_closed_or_full_do_not_end_the_search(
    toy: Path, environment: dict[str, str], streams: str
) -> None:
    command = f"{sys.executable} -m snnhpo_mpi run toy.yaml --trials 3 {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=toy, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done
    assert b"Traceback" not in done.stderr
    assert read(toy / "results" / "toy").ended.sum() == 3


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("arguments", "code"), [("run absent.yaml", 2), ("status absent", 3), ("run --no-such", 2)])
def test_an_exit_code_does_not_depend_on_the_streams(
    toy: Path, environment: dict[str, str], streams: str, arguments: str, code: int
) -> None:
    command = f"{sys.executable} -m snnhpo_mpi {arguments} {streams}"
    assert subprocess.run(["bash", "-c", command], cwd=toy, env=environment, check=False).returncode == code


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
    assert set(status["best"]) == {"number", "objective", "objectives", "params", "standard_error", "n"}


def test_the_baseline_is_trial_0(snnhpo: Program, toy: Path) -> None:
    text = (toy / "toy.yaml").read_text() + "baseline: {name: mine, params: {x: 0.25, y: 0.5, kind: fancy}}\n"
    (toy / "toy.yaml").write_text(text)
    assert snnhpo("run", "toy.yaml", "--trials", "3").returncode == 0
    data = read(toy / "results" / "toy")
    assert data.trial(0).params == {"x": 0.25, "y": 0.5, "kind": "fancy"}
    assert sorted(data.number) == [0, 1, 2]


def test_replay_asks_the_baseline_first_and_swallows_no_trial_of_the_other_study(snnhpo: Program, toy: Path) -> None:
    assert snnhpo("run", "toy.yaml", "--trials", "4", "--results", "first").returncode == 0
    other = read(toy / "first" / "toy")
    base = {"x": 0.25, "y": 0.5, "kind": "fancy"}
    replay = ("--set", "optimizer.name=replay", "--set", "optimizer.study=first/toy")
    with (toy / "toy.yaml").open("a") as file:
        file.write("baseline: {name: mine, params: {x: 0.25, y: 0.5, kind: fancy}}\n")
    assert "at most 5 trials can be replayed" in snnhpo("run", "toy.yaml", *replay, "--trials", "6").stderr
    assert snnhpo("run", "toy.yaml", *replay, "--trials", "5").returncode == 0
    again = read(toy / "results" / "toy")
    asked = [again.trial(row).params for row in range(5)]
    assert asked == [base, *(other.trial(row).params for row in range(4))]
    # A study that begins with this baseline has it once.
    replay = ("--set", "optimizer.name=replay", "--set", "optimizer.study=results/toy", "--results", "third")
    assert snnhpo("run", "toy.yaml", *replay, "--trials", "5").returncode == 0
    third = read(toy / "third" / "toy")
    assert [third.trial(row).params for row in range(5)] == asked


ALL_FAIL = "def evaluate(params, seed, device):\n    raise RuntimeError('no such layer: hidden')\n"


def test_a_search_in_which_all_trials_fail_ends_with_the_reason_and_can_be_resumed(snnhpo: Program, toy: Path) -> None:
    working = (toy / "toy.py").read_text()
    (toy / "toy.py").write_text(ALL_FAIL)
    done = snnhpo("run", "toy.yaml", "--trials", "60")
    assert done.returncode == 1
    last = done.stdout.splitlines()[-2:]
    assert last[0] == "stopped: 10 trials failed in a row, the last with RuntimeError: no such layer: hidden"
    assert "the same command with --resume goes on" in last[1]
    assert 'toy.py", line 2, in evaluate' in done.stderr
    data = read(toy / "results" / "toy")
    assert data.ended.sum() == 10
    assert data.sessions[-1].closed is not None and data.sessions[-1].closed.state == "too many failures"
    (toy / "toy.py").write_text(working)
    assert snnhpo("run", "toy.yaml", "--trials", "14", "--resume").returncode == 0
    assert list(read(toy / "results" / "toy").state) == ["failed"] * 10 + ["completed"] * 4


@pytest.mark.parametrize(("budget", "code", "n"), [("max_failures=3", 1, 3), ("max_failures=0", 0, 12),
                                                   ("max_failures=null", 0, 12), ("trials=4", 1, 4)])  # fmt: skip
def test_the_budget_says_how_many_trials_may_fail(snnhpo: Program, toy: Path, budget: str, code: int, n: int) -> None:
    (toy / "toy.py").write_text(ALL_FAIL)
    assert snnhpo("run", "toy.yaml", "--set", f"budget.{budget}").returncode == code
    assert read(toy / "results" / "toy").ended.sum() == n
    if budget == "trials=4":
        again = snnhpo("run", "toy.yaml", "--set", f"budget.{budget}", "--resume")
        assert again.returncode == 1 and "all its trials failed" in again.stdout


def test_failures_in_a_row_are_counted_over_a_resume(snnhpo: Program, toy: Path) -> None:
    (toy / "toy.py").write_text(ALL_FAIL)
    assert snnhpo("run", "toy.yaml", "--trials", "2", "--set", "budget.max_failures=null").returncode == 0
    assert snnhpo("run", "toy.yaml", "--resume", "--set", "budget.max_failures=5").returncode == 1
    assert read(toy / "results" / "toy").ended.sum() == 5


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


def test_an_odd_metric_is_noted_once_and_keeps_the_objective(snnhpo: Program, toy: Path) -> None:
    text = (toy / "toy.py").read_text().replace('"seed_seen": seed', '"seed_seen": seed, "note": f"text {seed}"')
    (toy / "toy.py").write_text(text)
    done = snnhpo("run", "toy.yaml")
    assert done.returncode == 0, done.stderr
    data = read(toy / "results" / "toy")
    assert set(data.state) == {"completed"} and set(data.metrics) == {"seed_seen"}
    assert done.stdout.count("metrics['note'] is 'text ") == 1


def test_a_conclusion_that_fails_leaves_a_complete_study_complete(
    toy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(toy)
    monkeypatch.setattr("sys.path", [*sys.path])
    said: list[str] = []
    request = Request(lambda: Task(*load(Path("toy.yaml"))), resume=True, conclude=lambda folder: str(1 // 0))
    for _ in range(2):  # as it ends, and found complete
        assert run_search(request, said.append) == 0
    assert caplog.text.count("results/toy is complete; only its conclusion failed: ZeroDivisionError") == 2
    assert read("results/toy").sessions[0].closed.state == "complete"


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
        (["run", "toy.yaml", *OWN_OPTIMIZER, "optimizer.function=gone.py:Mine"],
         "key optimizer.function: there is no file gone.py"),
        (["run", "toy.yaml", *OWN_OPTIMIZER, "optimizer.function=toy.py:Mine"],
         "key optimizer.function: toy.py has no class Mine"),
        (["check", "toy.yaml", *OWN_OPTIMIZER, "optimizer.function=gone.py:Mine"],
         "key optimizer.function: there is no file gone.py"),
        (["check", "toy.yaml", "--import", *OWN_OPTIMIZER, "optimizer.function=toy.py:evaluate"],
         "key optimizer.function: toy.py:evaluate: making it raised"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_exit_code_2_without_a_traceback(
    snnhpo: Program, arguments: list[str], message: str
) -> None:
    done = snnhpo(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
