"""Evaluator processes that do everything an evaluation can do wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from comm_toys import Search, broken_factory, exiting_factory, misconfigured_factory, slow_factory, toy_evaluator

from snnhpo_mpi.comm.messages import Goodbye, Prune, Reached, Ready, Report, Result
from snnhpo_mpi.host.subprocesses import without_mpi
from snnhpo_mpi.trial import Interim, State, Trial
from snnhpo_mpi.worker.evaluator import Evaluator, Phase


def _until(evaluator: Evaluator, kind: type, limit_s: float = 20.0):
    """Poll until a message of this type comes; returns it and all that came before."""
    said, end = [], time.monotonic() + limit_s
    while time.monotonic() < end:
        for message in evaluator.poll():
            said.append(message)
            if isinstance(message, kind):
                return message, said
        time.sleep(0.005)
    raise AssertionError(f"no {kind.__name__} within {limit_s} s; got {said}")


def _gone(pid: int) -> bool:
    """Whether a process is dead, within a few seconds."""
    for _ in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def start(log):
    started = []

    def start(**changes) -> Evaluator:
        started.append(Evaluator(toy_evaluator(log=log, **changes)))
        return started[-1]

    yield start
    for evaluator in started:
        evaluator.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A ready evaluator for tests that leave it so."""
    evaluator = Evaluator(toy_evaluator(log=tmp_path_factory.mktemp("shared") / "rank.log"))
    yield _ready(evaluator)
    evaluator.end()


def _ready(evaluator: Evaluator) -> Evaluator:
    _until(evaluator, Ready)
    return evaluator


def _trial(do: str, number: int = 0) -> Trial:
    return Trial(number, {"x": 1.0, "do": do}, 5)


def _evaluate(evaluator: Evaluator, do: str):
    evaluator.run(_trial(do))
    result, _ = _until(evaluator, Result)
    return result.outcome


def test_one_process_evaluates_trial_after_trial(shared):
    assert shared.phase is Phase.IDLE
    pids = {_evaluate(shared, "fine").metrics["pid"] for _ in range(3)}
    assert len(pids) == 1
    assert pids != {os.getpid()}


def test_progress_comes_before_the_result(shared):
    shared.run(_trial("fine", 4))
    result, said = _until(shared, Result)
    assert [type(message) for message in said] == [Report, Result]
    assert said[0].progress.silent_rate == {"excitatory": 0.1}
    assert result.outcome.number == 4
    assert result.seconds > 0


def test_interim_results_come_all_and_before_the_result(shared):
    shared.run(_trial("reaches", 4))
    _, said = _until(shared, Result)
    assert [type(message) for message in said] == [Reached, Reached, Result]
    assert [message.interim.position for message in said[:2]] == [10, 20]
    assert said[0].interim == Interim(4, 10, 0.5, 1.0, 5, {"excitatory": 0.1}, {"excitatory": 3.0})


def test_a_thread_that_a_trial_left_behind_takes_no_trial_from_the_next(shared):
    for number in range(10):
        shared.run(_trial("keeps_asking", number))
        assert _until(shared, Result)[0].outcome.number == number


def test_a_word_that_crosses_the_result_of_its_trial_is_nobody_s(shared):
    shared.run(_trial("sleep:0.3", 4))
    shared.prune(Prune(4, 10))  # a trial that does not look
    shared.prune(Prune(4, 20))
    assert _until(shared, Result)[0].outcome.state is State.COMPLETED
    shared.prune(Prune(4, 20))
    shared.run(_trial("reaches_until_pruned", 5))
    time.sleep(0.2)
    shared.prune(Prune(5, 30))
    outcome = _until(shared, Result)[0].outcome
    assert (outcome.state, outcome.metrics["decided"]) == (State.PRUNED, 30)


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("raises", "ValueError: no such network"),
        ("raises_unprintable", "comm_toys.ToyTrainer.raises_unprintable.<locals>.UnprintableError"),
        ("sys_exit", "SystemExit: 3"),
        ("nan", "the objective is nan"),
        ("inf_constraint", "the constraints are [inf]"),
        ("two_constraints", "1 constraint is configured, evaluate returned 2"),
        ("no_outcome", "evaluate returned dict"),
        ("asks_for_input", "EOFError"),
    ],
)
def test_a_failed_evaluation_leaves_its_process_to_the_next(shared, do, reason):
    outcome = _evaluate(shared, do)
    assert outcome.state is State.FAILED
    assert outcome.error.startswith(reason)
    assert shared.phase is Phase.IDLE
    assert _evaluate(shared, "fine").state is State.COMPLETED


def test_the_traceback_of_an_exception_is_kept(shared):
    assert 'raise ValueError("no such network")' in _evaluate(shared, "raises").error


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("segfault", "the evaluator was killed by SIGSEGV"),
        ("kill", "the evaluator was killed by SIGKILL (out of memory?)"),
        ("exit_at_once:0", "the evaluator exited with code 0"),
        ("close_everything", "the evaluator exited with code 1"),
        ("write_into_line", "something wrote into the line to the supervisor"),
        ("send_without_end", "the evaluator sent a line without end"),
        ("out_of_memory", "MemoryError"),
        ("cuda_error", "RuntimeError: CUDA error"),
    ],
)
def test_a_ruined_process_ends_and_its_trial_fails_with_the_reason(start, do, reason):
    evaluator = _ready(start())
    outcome = _evaluate(evaluator, do)
    assert outcome.state is State.FAILED
    assert outcome.error.startswith(reason)
    assert evaluator.phase is Phase.ENDED


def test_a_crash_keeps_what_the_process_printed_last(start):
    assert "Fatal Python error: Segmentation fault" in _evaluate(_ready(start()), "segfault").error


def test_printed_garbage_goes_to_the_log_and_nowhere_else(start, log):
    assert _evaluate(_ready(start()), "garbage").state is State.COMPLETED
    assert b"\xff\xfe\x00" in log.read_bytes()


@pytest.mark.parametrize("do", ["sleep:60", "hang"])
def test_a_trial_over_its_time_limit_fails_even_if_it_ignores_sigint(start, do):
    evaluator = _ready(start(time_limit_s=0.3))
    outcome = _evaluate(evaluator, do)
    assert outcome.error.startswith("time limit: the trial ran for more than 0.3 s")
    assert evaluator.phase is Phase.ENDED


def test_a_result_after_the_time_limit_does_not_count(start):
    evaluator = _ready(start(time_limit_s=0.2, grace_s=5.0))
    outcome = _evaluate(evaluator, "finishes_on_sigint")
    assert outcome.state is State.FAILED
    assert outcome.error.startswith("time limit")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_to_all_processes_of_a_job_costs_no_trial(start, number):
    evaluator = _ready(start())
    evaluator.run(_trial("sleep:0.3"))
    time.sleep(0.1)
    os.killpg(evaluator._process.pid, number)
    result, _ = _until(evaluator, Result)
    assert result.outcome.state is State.COMPLETED


def test_what_an_evaluation_starts_or_forks_can_be_ended_as_usual(start):
    assert _evaluate(_ready(start()), "terminates_children").state is State.COMPLETED


def test_a_forked_child_that_runs_on_does_not_answer_a_second_time(start, tmp_path):
    evaluator = _ready(start())
    assert _evaluate(evaluator, f"fork:{tmp_path}/pids").state is State.COMPLETED
    forked, *_ = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert _evaluate(evaluator, "fine").state is State.COMPLETED
    assert evaluator.phase is Phase.IDLE
    evaluator.end()
    assert _gone(forked)


def test_what_an_evaluation_forked_dies_with_its_process(start, tmp_path):
    outcome = _evaluate(_ready(start()), f"fork_and_die:{tmp_path}/pids")
    assert outcome.error.startswith("the evaluator exited with code 7")
    pids = [int(line) for line in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(_gone(pid) for pid in pids)


def test_threads_left_behind_do_not_keep_the_process(start):
    evaluator = _ready(start())
    pid = int(_evaluate(evaluator, "thread").metrics["pid"])
    evaluator.end()
    assert _gone(pid)


def test_a_long_payload_is_cut_and_not_lost(shared):
    outcome = _evaluate(shared, "big")
    assert outcome.state is State.COMPLETED
    assert list(outcome.curves) == ["short"]
    assert outcome.metrics["curves_cut"] == 1.0


@pytest.mark.parametrize(
    ("factory", "reason"),
    [(broken_factory, "FileNotFoundError: no data set here"), (exiting_factory, "the evaluator exited with code 9")],
)
def test_a_trainer_that_cannot_be_built_says_goodbye_with_the_reason(start, factory, reason):
    evaluator = start(factory=factory)
    goodbye, said = _until(evaluator, Goodbye)
    assert goodbye.reason.startswith(reason)
    assert said == [goodbye]
    assert evaluator.phase is Phase.ENDED


def test_a_mistake_of_the_users_is_said_without_a_traceback_and_not_tried_again(start):
    goodbye, _ = _until(start(factory=misconfigured_factory), Goodbye)
    assert goodbye == Goodbye("trainer.function: toy.py has no function nothing", again=False)


def test_a_trainer_that_is_not_built_in_time_is_given_up(start):
    goodbye, _ = _until(start(factory=slow_factory, start_limit_s=0.3), Goodbye)
    assert goodbye.reason.startswith("the trainer was not built within 0.3 s")


def test_a_halted_process_is_recognised(shared):
    pid = int(_evaluate(shared, "fine").metrics["pid"])
    assert not shared.stopped
    os.kill(pid, signal.SIGSTOP)
    while not shared.stopped:
        time.sleep(0.005)
    os.kill(pid, signal.SIGCONT)
    assert _evaluate(shared, "fine").state is State.COMPLETED


def test_its_environment_is_ours_without_mpi_and_with_its_own_device(start, monkeypatch):
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    evaluator = _ready(start(environment={"CUDA_VISIBLE_DEVICES": "2", "OMP_NUM_THREADS": "1"}))
    metrics = _evaluate(evaluator, "environment").metrics
    assert metrics == {
        "CUDA_VISIBLE_DEVICES": 2.0,
        "OMP_NUM_THREADS": 1.0,
        "PMI_RANK": -1.0,
        "mpi4py": 0.0,
        "torch": 0.0,
    }


def test_variables_of_every_mpi_are_left_out():
    inherited = dict.fromkeys(
        ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PRTE_MCA_x", "HYDRA_x", "MPI_LOCALRANKID", "I_MPI_RANK"), "1"
    )
    kept = without_mpi(inherited | {"PATH": "/bin", "SLURM_JOB_ID": "7"})
    assert kept == {"PATH": "/bin", "SLURM_JOB_ID": "7"}


def test_a_file_in_the_working_directory_does_not_stand_in_for_the_standard_library(start, tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise SystemExit('wrong pickle')")
    (tmp_path / "socket.py").write_text("raise SystemExit('wrong socket')")
    monkeypatch.chdir(tmp_path)
    assert _evaluate(_ready(start()), "fine").state is State.COMPLETED


def test_it_dies_with_its_supervisor(tmp_path):
    """A supervisor in a process of its own is killed; its evaluator and what that forked must follow."""
    script = f"""
import sys, time
sys.path[:] = {sys.path!r}
from comm_toys import toy_evaluator
from snnhpo_mpi.worker.evaluator import Evaluator, Phase
from snnhpo_mpi.trial import Trial
evaluator = Evaluator(toy_evaluator())
while evaluator.phase is not Phase.IDLE:
    evaluator.poll()
evaluator.run(Trial(0, {{"x": 1.0, "do": "fork_and_sleep:{tmp_path}/pids"}}, 1))
time.sleep(300)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", script])
    pids = tmp_path / "pids"
    while not pids.exists() or len(pids.read_text().split()) < 2:
        time.sleep(0.01)
        assert supervisor.poll() is None
    supervisor.kill()
    supervisor.wait()
    assert all(_gone(int(pid)) for pid in pids.read_text().split())


def test_nothing_of_it_is_left_when_a_search_ends(log):
    search = Search(n_workers=2, evaluator=toy_evaluator(log=log))
    search.run()
    assert all(_gone(int(outcome.metrics["pid"])) for outcome in search.record.outcomes.values())


def test_a_trial_finds_the_process_as_the_first_one_found_it(start, log, tmp_path):
    evaluator = _ready(start())
    first = _evaluate(evaluator, "looks_around").metrics
    assert _evaluate(evaluator, f"changes_everything:{tmp_path}").state is State.COMPLETED
    time.sleep(1.2)  # its alarm
    assert _evaluate(evaluator, "looks_around").metrics == first
    assert first["path"] and first["sigint"] and not first["left_behind"] and not first["sigterm"]
    assert log.read_text() == "said on stdout\nsaid on stderr\nwritten\n" * 2


def test_streams_that_were_closed_with_all_other_files_are_the_void_and_nobody_elses_file(start, log):
    evaluator = _ready(start())
    _evaluate(evaluator, "fine")
    script = (
        "import os\n"
        "from snnhpo_mpi.worker.surroundings import Surroundings\n"
        "around = Surroundings()\n"
        "os.closerange(0, 4096)\n"
        "other = os.open('other', os.O_CREAT | os.O_RDWR)\n"
        "around.restore()\n"
        "print('lost', flush=True)\n"
        "assert os.fstat(1).st_rdev == os.stat(os.devnull).st_rdev\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=log.parent, check=False, capture_output=True)
    assert done.returncode == 0
    assert (log.parent / "other").read_bytes() == b""


def test_a_fresh_process_for_each_trial():
    search = Search(evaluator=toy_evaluator(fresh_process=True))
    assert search.run().value == "complete"
    pids = {outcome.metrics["pid"] for outcome in search.record.outcomes.values()}
    assert len(pids) == 4
