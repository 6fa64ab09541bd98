"""Rank 0 against scripted workers: what it sends, records and tells, in which order."""

import random
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from comm_toys import CountingOptimizer, MemoryRecord

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
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.master.dismissal import dismiss
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.master.failures import Failures
from snnhpo_mpi.master.finalists import Finalists
from snnhpo_mpi.master.loop import Master, MasterSettings
from snnhpo_mpi.master.proposer import Proposer
from snnhpo_mpi.trial import (
    Asked,
    Ended,
    Interim,
    Outcome,
    Progress,
    Repeated,
    Reported,
    Started,
    State,
    Trial,
    repeat_number,
    repeat_of,
)

FAST = {"heartbeat_timeout_s": 0.15, "beat_s": 0.05, "closing_s": 0.3}


def _result(number: int, objective: float = 1.0) -> Result:
    return Result(Outcome(number, State.COMPLETED, {"accuracy": objective}), seconds=2.0)


def _fine(rank: int, message: Message) -> list[Message]:
    """A worker that answers as it should."""
    match message:
        case Welcome():
            return [Ready("cpu")]
        case Run(trial):
            return [_result(trial.number)]
        case Stop():
            return [Stopped()]
    return []


@dataclass
class Workers:
    """A transport whose other end answers each message at once; ``later`` holds what comes after a delay."""

    size: int
    answer: Callable[[int, Message], list[Message | bytes]] = _fine
    rank: int = 0
    sent: list[tuple[int, Message]] = field(default_factory=list)
    later: list[tuple[float, int, Message]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.peers = set(range(1, self.size))
        self.inbox = deque((rank, encode(Hello("node", 100 + rank))) for rank in sorted(self.peers))

    def send(self, destination: int, message: bytes) -> None:
        decoded = decode(message)
        self.sent.append((destination, decoded))
        for reply in self.answer(destination, decoded):
            self.inbox.append((destination, reply if isinstance(reply, bytes) else encode(reply)))

    def receive(self) -> tuple[int, bytes] | None:
        due = [entry for entry in self.later if entry[0] <= time.monotonic()]
        for entry in due:
            self.later.remove(entry)
            self.inbox.append((entry[1], encode(entry[2])))
        return self.inbox.popleft() if self.inbox else None

    def wait(self, longest_s: float, look_s: float = 0.001) -> None:
        time.sleep(min(longest_s, 0.001))

    def close(self, exit_code: int = 0) -> None:
        pass

    def after(self, seconds: float, rank: int, message: Message) -> None:
        self.later.append((time.monotonic() + seconds, rank, message))

    def runs(self) -> list[tuple[int, int]]:
        return [(rank, message.trial.number) for rank, message in self.sent if isinstance(message, Run)]


def _master(
    workers: Workers,
    waiting=(),
    time_left=lambda: None,
    record=None,
    failures=None,
    prune=lambda event: False,
    finalists=None,
    **settings,
):
    optimizer, record = CountingOptimizer(), record or MemoryRecord()
    for trial in waiting:
        optimizer.adopt(trial)
    parts = (workers, Proposer(optimizer), record, MasterSettings(**settings), waiting, time_left)
    return Master(*parts, failures=failures, prune=prune, finalists=finalists), optimizer, record


def test_a_budget_is_spent_exactly_and_every_trial_ends_once():
    workers = Workers(4)
    master, optimizer, record = _master(workers, budget=20)
    assert master.run() is Ending.COMPLETE
    assert sorted(number for _, number in workers.runs()) == list(range(20))
    assert sorted(record.outcomes) == list(range(20))
    assert sum(isinstance(event, Ended) for event in record.events) == 20
    assert sum(name == "ask" for name, _ in optimizer.calls) == 20


def test_interim_results_of_a_running_trial_are_recorded_and_those_of_another_are_not():
    def answer(rank: int, message: Message) -> list[Message | bytes]:
        if not isinstance(message, Run):
            return list(_fine(rank, message))
        number = message.trial.number
        reached = [Reached(Interim(of, 32, 1.5, 0.25, 20)) for of in (number, number + 100)]
        return [*reached, _result(number), Reached(Interim(number, 64, 3.0))]

    master, _, record = _master(Workers(2, answer), budget=3)
    assert master.run() is Ending.COMPLETE
    reported = [event for event in record.events if isinstance(event, Reported)]
    assert [(event.interim, event.rank) for event in reported] == [(Interim(n, 32, 1.5, 0.25, 20), 1) for n in range(3)]
    order = [(type(event).__name__, event.number) for event in record.events if event.number == 1]
    assert order == [("Asked", 1), ("Started", 1), ("Reported", 1), ("Ended", 1)]


def test_a_trial_that_cannot_win_is_told_so_after_its_report_is_on_the_disk_and_ends_pruned():
    record, seen = MemoryRecord(), []

    def prune(event):
        assert event in record.events
        seen.append(event)
        return isinstance(event, Reported) and event.number == 1 and event.interim.position >= 64

    def answer(rank: int, message: Message) -> list[Message | bytes]:
        match message:
            case Run(trial) if trial.number == 1:
                return [Reached(Interim(1, 32, 1.0, 0.1)), Reached(Interim(1, 64, 2.0, 0.1))]
            case Prune(number):
                return [Result(Outcome(number, State.PRUNED, {"accuracy": 0.1}), 2.5)]
        return list(_fine(rank, message))

    workers = Workers(2, answer)
    master, optimizer, _ = _master(workers, budget=3, record=record, prune=prune)
    assert master.run() is Ending.COMPLETE
    assert [message for _, message in workers.sent if isinstance(message, Prune)] == [Prune(1, 64)]
    assert record.outcomes[1].state is State.PRUNED
    assert ("tell", 1) in optimizer.calls
    assert seen == record.events  # all of them, in the order of the record


def test_a_decision_about_a_trial_that_has_ended_or_when_all_is_over_is_not_sent():
    def answer(rank: int, message: Message) -> list[Message | bytes]:
        match message:
            case Run(trial):
                return [Reached(Interim(trial.number, 32, 1.0, 0.1)), _result(trial.number)]
        return list(_fine(rank, message))

    workers = Workers(2, answer)
    master, _, record = _master(workers, budget=3, prune=lambda event: isinstance(event, Reported))
    assert master.run() is Ending.COMPLETE
    assert not [message for _, message in workers.sent if isinstance(message, Prune)]
    assert {outcome.state for outcome in record.outcomes.values()} == {State.COMPLETED}


def test_nothing_is_sent_after_stop():
    def answer(rank: int, message: Message) -> list[Message | bytes]:
        match message:
            case Run():
                master.request_stop()
                master.request_stop()  # at once
                return []
            case Stop():
                return [Reached(Interim(0, 32, 1.0, 0.1)), Stopped()]
        return list(_fine(rank, message))

    workers = Workers(2, answer)
    master, _, record = _master(workers, budget=3, prune=lambda event: isinstance(event, Reported))
    assert master.run() is Ending.INTERRUPTED
    assert isinstance(workers.sent[-1][1], Stop)
    assert [event.number for event in record.events if isinstance(event, Reported)] == [0]


def test_what_a_trial_was_told_and_what_it_cost_are_no_diagnostics():
    master, optimizer, record = _master(Workers(2), budget=6)
    master.run()
    asked = [event for event in record.events if isinstance(event, Asked)]
    assert all(event.optimizer == {"length": 0.5} for event in asked)
    assert [event.n_told for event in asked] == sorted(event.n_told for event in asked)
    assert asked[0].n_told == 0 and asked[-1].n_told > 0
    assert optimizer.seconds == [2.0] * 6


def test_a_faster_worker_gets_more_trials():
    def answer(rank: int, message: Message) -> list[Message | bytes]:
        if isinstance(message, Run):
            workers.after({1: 0.01, 2: 0.04}[rank], rank, _result(message.trial.number))
            return []
        return list(_fine(rank, message))

    workers = Workers(3, answer)
    master, _, _ = _master(workers, budget=40)
    assert master.run() is Ending.COMPLETE
    fast, slow = (sum(rank == which for rank, _ in workers.runs()) for which in (1, 2))
    assert fast + slow == 40 and fast > 2 * slow


def test_workers_get_the_configuration_and_at_the_end_the_exit_code():
    workers = Workers(2)
    master, _, record = _master(workers, budget=1, config="the text", heartbeat_timeout_s=8.0)
    master.run()
    assert (1, Welcome("the text", 2.0)) in workers.sent
    assert workers.sent[-1] == (1, Stop(0))
    assert record.joins == [(1, "node", "cpu")]
    assert workers.peers == set()


def test_the_next_trial_leaves_before_the_result_is_written_and_the_write_replays_right():
    workers = Workers(2)
    sent_before_write = []
    record = MemoryRecord(lambda event: sent_before_write.append(len(workers.runs())))
    master, _, record = _master(workers, budget=4, record=record)
    master.run()
    ready_ahead = [write for write in record.writes if len(write) == 3]
    for asked, started, ended in ready_ahead:
        assert isinstance(asked, Asked)
        assert isinstance(started, Started)
        assert isinstance(ended, Ended)
        assert asked.trial.number == started.number == ended.outcome.number + 1
    for event, n_sent in zip(record.events, sent_before_write, strict=True):
        if isinstance(event, Asked):
            assert n_sent == event.trial.number + 1


def test_a_result_is_on_the_disk_before_the_model_is_told():
    workers = Workers(3)
    master, optimizer, record = _master(workers, budget=10)
    told_when_written = []
    record.on_event = lambda event: told_when_written.append(
        isinstance(event, Ended) and ("tell", event.outcome.number) in optimizer.calls
    )
    master.run()
    assert not any(told_when_written)


def test_one_worker_sees_the_same_order_of_asks_and_tells_whatever_the_timing():
    orders = []
    for delay_s, work_s in [(0.0, 0.0), (0.02, 0.0), (0.0, 0.02)]:

        def answer(rank, message, work_s=work_s):
            if isinstance(message, Run):
                time.sleep(work_s)
            return _fine(rank, message)

        workers = Workers(2, answer)
        master, optimizer, _ = _master(workers, budget=6)
        optimizer.delay_s = delay_s
        master.run()
        orders.append(optimizer.calls)
    assert orders[0] == orders[1] == orders[2]
    asks = [("ask", 0), ("ask", 1), ("tell", 0), ("ask", 2), ("tell", 1), ("ask", 3), ("tell", 2), ("ask", 4)]
    assert orders[0][:8] == asks


def test_trials_of_an_earlier_run_are_sent_first_and_not_asked_again():
    waiting = [Trial(3, {"x": 3.0}, 33), Trial(5, {"x": 5.0}, 55)]
    workers = Workers(2)
    master, _, record = _master(workers, waiting, budget=8, n_asked=6)
    assert master.run() is Ending.COMPLETE
    assert [number for _, number in workers.runs()] == [3, 5, 6, 7]
    assert [message.trial for _, message in workers.sent if isinstance(message, Run)][:2] == waiting
    assert [event.trial.number for event in record.events if isinstance(event, Asked)] == [6, 7]


def test_a_complete_study_ends_at_once():
    workers = Workers(2)
    master, optimizer, _ = _master(workers, budget=4, n_asked=4)
    assert master.run() is Ending.COMPLETE
    assert workers.runs() == []
    assert optimizer.calls == []


def test_only_the_first_of_two_results_counts():
    def answer(rank, message):
        if isinstance(message, Run):
            return [_result(message.trial.number, 1.0), _result(message.trial.number, 2.0), _result(99)]
        return _fine(rank, message)

    master, _, record = _master(Workers(2, answer), budget=5)
    assert master.run() is Ending.COMPLETE
    assert [event.outcome.number for event in record.events if isinstance(event, Ended)] == [0, 1, 2, 3, 4]
    assert {outcome.objective for outcome in record.outcomes.values()} == {1.0}


def test_nonsense_from_a_worker_is_logged_and_the_search_goes_on(caplog):
    def answer(rank, message):
        if isinstance(message, Run):
            return [b"\xff{", Stop(3), Welcome("?", 1.0), *_fine(rank, message)]
        return _fine(rank, message)

    master, _, record = _master(Workers(2, answer), budget=3)
    assert master.run() is Ending.COMPLETE
    assert len(record.outcomes) == 3
    assert "rank 1 sent nonsense: not a message" in caplog.text
    assert "rank 1 sent Stop, which is no worker's to send" in caplog.text


def test_progress_reaches_the_record():
    progress = Progress(0, 1, 5, 10)
    answer = lambda rank, message: [Report(progress)] * isinstance(message, Run) + _fine(rank, message)  # noqa: E731
    master, _, record = _master(Workers(2, answer), budget=1)
    master.run()
    assert record.reports == [(1, progress)]


def _rank_1_silent(rank, message):
    return [] if rank == 1 and isinstance(message, Run) else _fine(rank, message)


def _alive(workers, answer):
    """Rank 2 gives signs of life whenever rank 0 does."""
    return lambda rank, message: [Beat(None)] if rank == 2 and isinstance(message, Beat) else answer(rank, message)


def test_the_trial_of_a_silent_rank_is_sent_to_another_unchanged():
    workers = Workers(3)
    workers.answer = _alive(workers, _rank_1_silent)
    master, _, record = _master(workers, budget=6, **FAST)
    assert master.run() is Ending.COMPLETE
    (lost,) = [number for rank, number in workers.runs() if rank == 1]
    trials = [message.trial for _, message in workers.sent if isinstance(message, Run) and message.trial.number == lost]
    assert len(trials) == 2
    assert trials[0] == trials[1]
    assert sorted(record.outcomes) == list(range(6))
    assert [event.rank for event in record.events if isinstance(event, Started) and event.number == lost] == [1, 2]


def test_a_late_result_of_a_lost_rank_is_accepted_and_the_other_one_discarded(caplog):
    def answer(rank, message):
        if isinstance(message, Run) and rank == 1:
            workers.after(0.4, 1, _result(message.trial.number, 7.0))
            return []
        if isinstance(message, Run) and message.trial.number == 0:
            workers.after(0.6, 2, _result(0, 8.0))
            return []
        return _fine(rank, message)

    workers = Workers(3)
    workers.answer = _alive(workers, answer)
    master, _, record = _master(workers, [Trial(0, {"x": 0.0}, 0)], budget=60, n_asked=1, **FAST)
    record.on_event = lambda event: time.sleep(0.005)
    assert master.run() is Ending.COMPLETE
    assert record.outcomes[0].objective == 7.0
    assert len([event for event in record.events if isinstance(event, Ended)]) == 60
    assert "rank 1 (node) is back" in caplog.text
    assert "rank 2: another result of trial 0 is discarded" in caplog.text


def test_a_returning_rank_that_still_runs_its_trial_gets_no_other_and_nobody_else_gets_it():
    def answer(rank, message):
        if isinstance(message, Run):
            workers.after(0.3, rank, Beat(message.trial.number))
            workers.after(0.5, rank, _result(message.trial.number))
            return []
        return _fine(rank, message)

    workers = Workers(3)
    workers.answer = lambda rank, message: (
        [] if rank == 2 and isinstance(message, Welcome) else _alive(workers, answer)(rank, message)
    )
    master, _, record = _master(workers, budget=1, **FAST)
    assert master.run() is Ending.COMPLETE
    assert workers.runs() == [(1, 0)]
    assert record.outcomes[0].state is State.COMPLETED


def test_a_trial_that_loses_every_worker_ends_as_lost():
    def answer(rank, message):
        if isinstance(message, Run) and message.trial.number == 0:
            workers.inbox.append((rank, b""))  # the connection breaks
            return []
        return [Beat(None)] if isinstance(message, Beat) and rank == 4 else _fine(rank, message)

    workers = Workers(5)
    workers.answer = answer
    master, optimizer, record = _master(workers, budget=4, max_sendings=3, closing_s=0.1)
    assert master.run() is Ending.COMPLETE
    assert len([number for _, number in workers.runs() if number == 0]) == 3
    assert record.outcomes[0].state is State.LOST
    assert re.fullmatch(
        r"its worker was lost 3 times, last rank \d \(node\): its connection broke", record.outcomes[0].error
    )
    assert ("tell", 0) in optimizer.calls


@pytest.mark.parametrize(
    ("parting", "ending", "exit_code"),
    [
        ([Goodbye("no data set")], Ending.NO_WORKERS, 1),
        ([b""], Ending.WORKERS_LOST, 75),
        ([Goodbye("no data set"), b""], Ending.NO_WORKERS, 1),  # it leaves, and its process ends
    ],
)
def test_the_search_ends_when_no_worker_is_left(parting, ending, exit_code):
    answer = lambda rank, message: parting if isinstance(message, Run) else _fine(rank, message)  # noqa: E731
    master, _, record = _master(Workers(3, answer), budget=6, max_sendings=9, closing_s=0.1)
    assert master.run() is ending
    assert ending.exit_code == exit_code
    assert record.outcomes == {}


def _failing(*fine: int) -> Callable[[int, Message], list[Message]]:
    """Workers whose trials fail but for these."""

    def answer(rank: int, message: Message) -> list[Message]:
        if isinstance(message, Run) and message.trial.number not in fine:
            return [Result(Outcome(message.trial.number, State.FAILED, error="no"), 0.1)]
        return _fine(rank, message)

    return answer


def test_too_many_failures_in_a_row_end_the_search_and_all_are_recorded():
    master, _, record = _master(Workers(2, _failing(2)), budget=50, failures=Failures(4))
    assert master.run() is Ending.FAILURES
    assert Ending.FAILURES.exit_code == 1
    assert len(record.outcomes) == 3 + 4 * 3  # after "failed, failed, completed" a row of 12 is too long


def test_after_too_many_failures_the_running_trials_are_waited_for_and_one_that_finishes_lets_the_search_go_on():
    slow: list[int] = []

    def answer(rank, message):
        if isinstance(message, Run) and rank == 2 and not slow:
            slow.append(message.trial.number)
            workers.after(0.5, rank, _result(message.trial.number))
            return []
        fails = not slow or slow[0] not in record.outcomes
        return _failing()(rank, message) if fails else _fine(rank, message)

    workers = Workers(3, answer)
    master, _, record = _master(workers, budget=20, failures=Failures(4))
    assert master.run() is Ending.COMPLETE
    assert sum(outcome.state is State.FAILED for outcome in record.outcomes.values()) in range(4, 7)


def test_a_rank_that_never_says_hello_is_lost():
    workers = Workers(3)
    workers.inbox.popleft()
    workers.answer = _alive(workers, _fine)
    master, _, record = _master(workers, budget=200, **FAST)
    record.on_event = lambda event: time.sleep(0.002)
    assert master.run() is Ending.COMPLETE
    assert {rank for rank, _ in workers.runs()} == {2}


def test_a_master_that_stood_still_does_not_blame_the_workers(caplog):
    workers = Workers(2, lambda rank, message: [Beat(None)] * isinstance(message, Beat) + _fine(rank, message))
    master, _, record = _master(workers, budget=3, **FAST)
    record.on_event = lambda event: time.sleep(0.2 * isinstance(event, Ended))
    assert master.run() is Ending.COMPLETE
    assert "lost" not in caplog.text


def _slow(workers, seconds):
    def answer(rank, message):
        if isinstance(message, Run):
            workers.after(seconds, rank, _result(message.trial.number))
            return []
        return _fine(rank, message)

    return answer


def test_a_stop_lets_running_trials_finish_and_sends_no_new_ones():
    workers = Workers(3)
    workers.answer = _slow(workers, 0.1)
    master, _, record = _master(workers, budget=100, stop_before_end_s=10.0)
    record.on_event = lambda event: (
        master.request_stop() if isinstance(event, Asked) and event.trial.number == 0 else None
    )
    assert master.run() is Ending.INTERRUPTED
    assert sorted(record.outcomes) == sorted(number for _, number in workers.runs())
    assert workers.sent[-1][1] == Stop(75)


def test_a_stop_does_not_wait_longer_than_the_grace():
    workers = Workers(2)
    workers.answer = _slow(workers, 60.0)
    master, _, record = _master(workers, budget=100, stop_before_end_s=0.1)
    record.on_event = lambda event: master.request_stop()
    assert master.run() is Ending.INTERRUPTED
    assert record.outcomes == {}


def test_a_second_stop_ends_at_once():
    workers = Workers(2)
    workers.answer = _slow(workers, 60.0)
    master, _, record = _master(workers, budget=100, stop_before_end_s=1000.0)

    def stop_twice(event):
        master.request_stop()
        master.request_stop()

    record.on_event = stop_twice
    assert master.run() is Ending.INTERRUPTED


def test_a_result_that_comes_while_workers_are_dismissed_is_recorded_and_told():
    def answer(rank, message):
        if isinstance(message, Run):
            return []
        return [_result(0), Stopped()] if isinstance(message, Stop) else _fine(rank, message)

    master, _, record = _master(Workers(2, answer), budget=100, stop_before_end_s=0.05)
    record.on_event = lambda event: master.request_stop()
    assert master.run() is Ending.INTERRUPTED
    assert record.outcomes[0].state is State.COMPLETED


def test_the_end_of_time_stops_in_time():
    workers = Workers(3)
    workers.answer = _slow(workers, 0.05)
    began = time.monotonic()
    master, _, record = _master(
        workers, time_left=lambda: 2.0 - (time.monotonic() - began), budget=None, stop_before_end_s=1.2, closing_s=0.2
    )
    assert master.run() is Ending.OUT_OF_TIME
    assert time.monotonic() - began < 2.0
    assert sorted(record.outcomes) == sorted(number for _, number in workers.runs())


def test_a_trial_still_running_at_the_end_of_time_stays_open():
    workers = Workers(2)
    workers.answer = _slow(workers, 60.0)
    began = time.monotonic()
    master, _, record = _master(
        workers, time_left=lambda: 1.0 - (time.monotonic() - began), budget=9, stop_before_end_s=0.8, closing_s=0.3
    )
    assert master.run() is Ending.OUT_OF_TIME
    assert time.monotonic() - began < 1.0
    assert record.outcomes == {}


@pytest.mark.parametrize(("is_budget", "ending"), [(True, Ending.COMPLETE), (False, Ending.OUT_OF_TIME)])
def test_the_end_of_the_time_is_that_of_the_budget_if_it_is_all_there_is(is_budget, ending, caplog):
    began = time.monotonic()
    master, _, record = _master(
        Workers(2), time_left=lambda: 0.3 - (time.monotonic() - began), stop_before_end_s=0.1, time_is_budget=is_budget
    )
    assert master.run() is ending
    assert record.outcomes
    assert "stopping (out of time): " in caplog.text


def test_an_error_of_the_optimizer_ends_the_search():
    master, optimizer, _ = _master(Workers(2), budget=10)
    optimizer.tell = lambda outcome, seconds: 1 / 0
    with pytest.raises(ZeroDivisionError):
        master.run()


def test_a_record_that_cannot_be_written_ends_the_search_and_the_workers_can_be_dismissed():
    workers = Workers(3)
    master, _, record = _master(workers, budget=10)

    def full(event):
        raise RecordError("the disk is full")

    record.on_event = full
    with pytest.raises(RecordError, match="full"):
        master.run()
    dismiss(workers, 3)
    assert [(rank, message.exit_code) for rank, message in workers.sent if isinstance(message, Stop)] == [
        (1, 3),
        (2, 3),
    ]
    n_sent = len(workers.sent)
    dismiss(workers, 3)
    assert len(workers.sent) == n_sent


class _Unreliable:
    """Workers that answer, answer twice, fall silent, come back, break, leave or talk nonsense, by a seeded die."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.workers = Workers(5, self.answer)

    def answer(self, rank: int, message: Message) -> list[Message | bytes]:
        match message:
            case Welcome():
                return [Ready("cpu")] if rank == 1 or self.rng.random() < 0.9 else []
            case Run(trial):
                return self.evaluate(rank, trial.number)
            case Beat() if rank == 1 or self.rng.random() < 0.5:  # rank 1 never falls silent
                return [Beat(None)]
            case Stop():
                return [Stopped()] if self.rng.random() < 0.9 else []
        return []

    def evaluate(self, rank: int, number: int) -> list[Message | bytes]:
        result = _result(number)
        match self.rng.randrange(16):
            case 0:
                return [result, result]
            case 1:
                return [b"\x00nonsense", result, _result(10_000)]
            case 2 | 3:
                self.workers.after(self.rng.uniform(0, 0.4), rank, result)  # late, perhaps after it was lost
                return []
            case 4 if rank != 1:
                return [Goodbye("broken GPU")]
            case 5 if rank != 1:
                return [b""]
            case 6 if rank != 1:
                self.workers.after(self.rng.uniform(0, 0.3), rank, Beat(number))
                self.workers.after(0.35, rank, result)
                return []
        return [result]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_workers_do_every_trial_is_asked_once_and_ends_once(seed):
    master, optimizer, record = _master(_Unreliable(seed).workers, budget=60, **FAST)
    ending = master.run()
    asked = [event.trial.number for event in record.events if isinstance(event, Asked)]
    ended = [event.outcome.number for event in record.events if isinstance(event, Ended)]
    assert ending is Ending.COMPLETE
    assert asked == list(range(60))
    assert sorted(ended) == asked
    assert sorted(number for name, number in optimizer.calls if name == "tell") == asked
    for index, event in enumerate(record.events):
        if isinstance(event, Started):
            assert event.number in [e.trial.number for e in record.events[:index] if isinstance(e, Asked)]


def _growing(rank: int, message: Message) -> list[Message]:
    """A worker whose trials are the better the later they are asked."""
    if isinstance(message, Run):
        trial = message.trial
        return [Reached(Interim(trial.number, 8, 0.1, 0.5)), _result(trial.number, trial.params["x"])]
    return _fine(rank, message)


def test_when_the_budget_is_spent_the_best_are_trained_again_and_nothing_else_follows_from_that():
    workers = Workers(4, _growing)
    master, optimizer, record = _master(workers, budget=10, finalists=Finalists(3, 2, 1))
    assert master.run() is Ending.COMPLETE
    repeats = [event.repeat for event in record.events if isinstance(event, Repeated)]
    assert sorted((one.number, one.score) for one in repeats) == [(n, float(n)) for n in (7, 7, 8, 8, 9, 9)]
    assert len({one.seed for one in repeats}) == 6
    assert sorted(record.outcomes) == list(range(10))
    assert sorted(number for name, number in optimizer.calls if name == "tell") == list(range(10))
    others = [event for event in record.events if isinstance(event, Started | Reported)]
    assert all(event.number >= 0 for event in others)
    first = min(i for i, (_, n) in enumerate(workers.runs()) if n < 0)
    assert {n for _, n in workers.runs()[:first]} == set(range(10))


def test_finalists_are_trained_while_the_last_trial_still_runs():
    def answer(rank: int, message: Message) -> list[Message]:
        if isinstance(message, Run) and message.trial.number == 9:
            workers.after(0.3, rank, _result(9, 9.0))
            return []
        return _growing(rank, message)

    workers = Workers(3, answer)
    master, _, record = _master(workers, budget=10, finalists=Finalists(2, 2, 1))
    assert master.run() is Ending.COMPLETE
    order = [(type(event).__name__, event.number) for event in record.events if isinstance(event, Ended | Repeated)]
    late = order.index(("Ended", 9))
    assert {number for kind, number in order[:late] if kind == "Repeated"} == {7, 8}
    assert order[late + 1 :] == [("Repeated", 9)] * 2


def test_a_repeat_whose_worker_is_lost_goes_to_another_and_is_given_up_in_the_end():
    def answer(rank: int, message: Message) -> list[Message | bytes]:
        if (
            isinstance(message, Run)
            and message.trial.number < 0
            and (rank < 3 or repeat_of(message.trial.number)[1] == 2)
        ):
            return [b""]  # its connection breaks
        return list(_growing(rank, message))

    workers = Workers(5, answer)
    master, _, record = _master(workers, budget=4, finalists=Finalists(1, 2, 1), max_sendings=2, **FAST)
    assert master.run() in (Ending.COMPLETE, Ending.WORKERS_LOST)
    repeats = {event.repeat.state: event.repeat for event in record.events if isinstance(event, Repeated)}
    assert repeats[State.LOST].score is None and not repeats[State.LOST].feasible


def test_a_failure_among_the_finalists_does_not_count_among_the_failures():
    def answer(rank: int, message: Message) -> list[Message]:
        if isinstance(message, Run) and message.trial.number < 0:
            return [Result(Outcome(message.trial.number, State.FAILED, error="no"), 1.0)]
        return _growing(rank, message)

    master, _, record = _master(Workers(2, answer), budget=4, failures=Failures(2), finalists=Finalists(2, 3, 1))
    assert master.run() is Ending.COMPLETE
    assert [event.repeat.state for event in record.events if isinstance(event, Repeated)] == [State.FAILED] * 6


def test_a_time_that_is_the_budget_leaves_enough_for_the_finalists():
    end = time.monotonic() + 2.0

    def answer(rank: int, message: Message) -> list[Message]:
        if isinstance(message, Run):
            x = message.trial.params["x"]
            workers.after(0.1, rank, Result(Outcome(message.trial.number, State.COMPLETED, {"accuracy": x}), 0.1))
            return []
        return _fine(rank, message)

    workers = Workers(3, answer)
    master, _, record = _master(
        workers, time_left=lambda: end - time.monotonic(), time_is_budget=True, stop_before_end_s=0.5,
        finalists=Finalists(2, 2, 1),
    )  # fmt: skip
    assert master.run() is Ending.COMPLETE
    assert time.monotonic() < end
    n_trials = len(record.outcomes)
    assert n_trials > 4
    repeated = [event.number for event in record.events if isinstance(event, Repeated)]
    assert repeated.count(n_trials - 2) == repeated.count(n_trials - 1) == 2


def test_after_a_stop_no_finalist_is_begun():
    def answer(rank: int, message: Message) -> list[Message]:
        if isinstance(message, Run) and message.trial.number == 3:
            master.request_stop()
        return _growing(rank, message)

    workers = Workers(2, answer)
    master, _, _ = _master(workers, budget=4, finalists=Finalists(2, 2, 1))
    assert master.run() is Ending.INTERRUPTED
    assert min(n for _, n in workers.runs()) == 0
    assert repeat_number(0, 1) not in dict(workers.runs()).values()
