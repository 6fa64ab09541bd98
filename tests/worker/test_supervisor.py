"""A supervisor against a scripted rank 0, with real evaluator processes."""

import threading
import time

import pytest
from comm_toys import broken_factory, flaky_factory, misconfigured_factory, toy_evaluator

from snnhpo_mpi.comm.messages import (
    Beat,
    Goodbye,
    Hello,
    Message,
    Prune,
    Reached,
    Ready,
    Report,
    Result,
    Run,
    Stop,
    Stopped,
    Welcome,
    decode,
    encode,
)
from snnhpo_mpi.comm.transport import LocalTransport, local_transports
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import State, Trial
from snnhpo_mpi.worker.supervisor import WorkerSettings, run_worker


class Master:
    """Rank 0's end, a message at a time."""

    def __init__(self, end: LocalTransport) -> None:
        self.end = end

    def say(self, message: Message | bytes) -> None:
        self.end.send(1, message if isinstance(message, bytes) else encode(message))

    def hear(self, kind: type, limit_s: float = 20.0) -> list[Message]:
        """Messages up to the first of this kind."""
        heard, end = [], time.monotonic() + limit_s
        while time.monotonic() < end:
            received = self.end.receive()
            if received is None:
                time.sleep(0.002)
                continue
            heard.append(decode(received[1]))
            if isinstance(heard[-1], kind):
                return heard
        raise AssertionError(f"no {kind.__name__} within {limit_s} s; got {heard}")


@pytest.fixture
def begin():
    """Starts a supervisor in a thread; gives rank 0's end and the list that its exit code will be put into."""
    threads = []

    def begin(worker: WorkerSettings | None = None, prepare=None, **evaluator):
        ends, codes = local_transports(2), []
        prepare = prepare or (lambda config: toy_evaluator(device=config, **evaluator))

        def work():
            codes.append(run_worker(ends[1], prepare, worker))

        thread = threading.Thread(target=work)
        thread.start()
        threads.append((ends[0], thread))
        return Master(ends[0]), codes

    yield begin
    for end, thread in threads:
        end.send(1, encode(Stop(0)))
        thread.join(20)
        assert not thread.is_alive()


def _run(do: str, number: int = 0) -> Run:
    return Run(Trial(number, {"x": 1.0, "do": do}, 5))


def test_a_worker_joins_evaluates_and_stops(begin):
    master, codes = begin()
    (hello,) = master.hear(Hello)
    assert hello.pid > 0
    master.say(Welcome("GPU 3", 5.0))
    assert master.hear(Ready) == [Ready("GPU 3")]
    master.say(_run("fine", 7))
    report, result = master.hear(Result)
    assert isinstance(report, Report)
    assert (result.outcome.number, result.outcome.state) == (7, State.COMPLETED)
    master.say(Stop(75))
    assert master.hear(Stopped) == [Stopped()]
    while not codes:
        time.sleep(0.001)
    assert codes == [75]


def test_interim_results_pass_to_rank_0(begin):
    master, _ = begin()
    master.say(Welcome("GPU 3", 5.0))
    master.hear(Ready)
    master.say(_run("reaches", 7))
    *reached, _ = master.hear(Result)
    assert [(type(message), message.interim.position) for message in reached] == [(Reached, 10), (Reached, 20)]


def test_the_word_that_a_trial_cannot_win_reaches_it_while_it_runs_and_no_other_trial(begin):
    master, _ = begin()
    master.say(Prune(7, 10))  # before anything runs
    master.say(Welcome("GPU 3", 5.0))
    master.hear(Ready)
    master.say(_run("reaches_until_pruned", 7))
    master.hear(Reached)
    master.say(Prune(6, 10))  # of a trial that has ended
    master.say(Prune(7, 20))
    master.say(Prune(7, 30))  # of its next report, before it has stopped
    *_, result = master.hear(Result)
    assert (result.outcome.number, result.outcome.state) == (7, State.PRUNED)
    assert result.outcome.metrics["decided"] == 20
    master.say(Prune(7, 20))  # too late
    master.say(_run("fine", 8))
    *_, result = master.hear(Result)
    assert (result.outcome.number, result.outcome.state) == (8, State.COMPLETED)


def test_it_stops_before_it_was_welcome(begin):
    master, _ = begin()
    master.hear(Hello)
    master.say(Stop(2))
    assert master.hear(Stopped) == [Stopped()]


def test_a_rank_that_cannot_evaluate_says_why_and_waits_for_the_end(begin):
    def prepare(config):
        raise ConfigError("no GPU is visible here")

    master, _ = begin(prepare=prepare)
    master.hear(Hello)
    master.say(Welcome("", 5.0))
    assert master.hear(Goodbye) == [Goodbye("no GPU is visible here")]
    master.say(Stop(0))
    assert master.hear(Stopped)[-1] == Stopped()


def test_it_stops_in_the_middle_of_a_trial(begin):
    master, _ = begin()
    master.say(Welcome("", 5.0))
    master.hear(Ready)
    master.say(_run("hang"))
    master.say(Stop(75))
    assert master.hear(Stopped)[-1] == Stopped()


def test_after_a_crash_a_new_process_takes_the_next_trial(begin):
    master, _ = begin()
    master.say(Welcome("", 5.0))
    master.hear(Ready)
    outcomes = []
    for number, do in enumerate(["fine", "segfault", "out_of_memory", "fine"]):
        master.say(_run(do, number))
        outcomes.append(master.hear(Result)[-1].outcome)
    assert [outcome.state.value for outcome in outcomes] == ["completed", "failed", "failed", "completed"]
    assert outcomes[0].metrics["pid"] != outcomes[3].metrics["pid"]


def test_signs_of_life_name_the_running_trial(begin):
    master, _ = begin(WorkerSettings(beat_s=0.02))
    assert master.hear(Beat)[-1] == Beat(None)
    master.say(Welcome("", 0.02))
    master.hear(Ready)
    master.say(_run("sleep:0.3", 9))
    beats = [message for message in master.hear(Result) if isinstance(message, Beat)]
    assert beats[-1] == Beat(9)


def test_a_trial_that_comes_while_another_runs_is_run_next(begin):
    """Rank 0 had thought this rank lost while the first was on its way, and an old beat made it idle there again."""
    master, _ = begin(WorkerSettings(beat_s=0.02))
    master.say(Welcome("", 0.02))
    master.hear(Ready)
    master.say(_run("sleep:0.5", 1))
    while master.hear(Beat)[-1] != Beat(1):
        pass
    master.say(_run("fine", 2))
    assert [master.hear(Result)[-1].outcome.number for _ in range(2)] == [1, 2]


def test_a_rank_whose_trainer_cannot_be_built_says_goodbye_and_waits_for_stop(begin):
    master, _ = begin(WorkerSettings(max_start_failures=2, retry_s=0.01), factory=broken_factory)
    master.say(Welcome("", 5.0))
    goodbye = master.hear(Goodbye)[-1]
    assert goodbye.reason.startswith("FileNotFoundError: no data set here")
    master.say(_run("fine"))
    master.say(Stop(1))
    assert master.hear(Stopped) == [Stopped()]


def test_a_rank_with_a_mistake_of_the_users_says_goodbye_after_one_start(begin):
    master, _ = begin(WorkerSettings(max_start_failures=3, retry_s=1e9), factory=misconfigured_factory)
    master.say(Welcome("", 5.0))
    assert master.hear(Goodbye)[-1].reason == "trainer.function: toy.py has no function nothing"


def test_a_failed_start_is_tried_again(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("FLAKY_FACTORY", str(tmp_path / "tried"))
    master, _ = begin(WorkerSettings(max_start_failures=2, retry_s=0.01), factory=flaky_factory)
    master.say(Welcome("", 5.0))
    assert master.hear(Ready)[-1] == Ready("")
    master.say(_run("fine"))
    assert master.hear(Result)[-1].outcome.state is State.COMPLETED


def test_it_ends_when_rank_0_is_silent_for_too_long(begin):
    master, codes = begin(WorkerSettings(beat_s=0.5, master_timeout_s=0.2))
    assert isinstance(master.hear(Stopped)[0], Hello)
    while not codes:
        time.sleep(0.001)
    assert codes == [1]


def test_it_ends_when_the_connection_to_rank_0_breaks(begin):
    master, codes = begin()
    master.say(b"")
    master.hear(Stopped)
    while not codes:
        time.sleep(0.001)
    assert codes == [1]


def test_beats_of_rank_0_keep_it_working(begin):
    master, codes = begin(WorkerSettings(beat_s=0.5, master_timeout_s=0.3))
    for _ in range(10):
        master.say(Beat())
        time.sleep(0.05)
    assert codes == []


def test_nonsense_is_logged_and_survived(begin, caplog):
    master, _ = begin()
    for nonsense in (b"\xff", encode(Ready("?")), b"{}"):
        master.say(nonsense)
    master.say(Stop(0))
    master.hear(Stopped)
    assert caplog.text.count("rank 0 sent nonsense") == 2
    assert "rank 0 sent Ready, which is a worker's to send" in caplog.text
