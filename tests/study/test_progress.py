from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fake_study
import pytest

from snnhpo_mpi.record import read
from snnhpo_mpi.record.entries import Closed
from snnhpo_mpi.record.table import SessionSpan
from snnhpo_mpi.study.progress import Announcer, Tally, seconds_spent, tally_line
from snnhpo_mpi.trial import Ended, Outcome, Started, State


def ended(number: int, state: State, objective: float | None = None, *constraints: float) -> Ended:
    return Ended(Outcome(number, state, {"accuracy": objective}, constraints), rank=1, at=0.0, seconds=1.0)


def test_line_counts_what_passed_and_names_the_best_feasible_trial() -> None:
    tally = Tally(budget=10)
    for event in (
        Started(0, 1, 0.0),
        ended(0, State.COMPLETED, 0.5, -0.1),
        ended(1, State.COMPLETED, 0.9, 0.1),  # infeasible
        ended(2, State.STOPPED, 0.95, -0.1),
        ended(3, State.FAILED),
        Started(4, 1, 0.0),
    ):
        tally.update(event)
    assert tally_line(tally, 90) == "trials 4/10  feasible 1  failed 1  best 0.5000 (trial 0)  left 1 min 30 s"
    assert tally_line(tally, 9) == "trials 4/10  feasible 1  silent 1  failed 1  best 0.5000 (trial 0)  left 9 s"
    assert tally_line(tally, None).endswith("failed 1  running 1  best 0.5000 (trial 0)")
    tally.stopped_as = "stopped"  # by something else than silence too
    assert "  stopped 1  " in tally_line(tally, 9)


def test_no_line_is_wider_than_a_terminal() -> None:
    tally = Tally(1_000_000, best=Outcome(999_999, State.COMPLETED, {"accuracy": -12345.0}))
    tally.ended |= {State.COMPLETED: 400_000, State.STOPPED: 300_000, State.FAILED: 250_000}
    tally.feasible, tally.running = 399_999, set(range(4096))
    for seconds_left in (None, 7.0, 23 * 3600 + 59 * 60.0, 300 * 86400.0):
        assert len(tally_line(tally, seconds_left)) <= 80
    assert "best -12345 (trial 999999)" in tally_line(tally, 7.0)


def test_what_of_an_answer_could_not_be_used_is_said_once() -> None:
    said: list[str] = []
    announcer = Announcer(Tally(9), said.append, lambda: None, clock=lambda: 0.0)
    for number in range(3):
        notes = (f"metrics['a'] is 'text {number}', not a number: it is not recorded", "metrics['b'] is NaN: ...")
        announcer.note(Ended(Outcome(number, State.STOPPED, {"accuracy": 0.5}, (0.5,), notes=notes), 2, 0.0, 1.0))
    assert said == [
        "trial 0: metrics['a'] is 'text 0', not a number: it is not recorded (said once)",
        "trial 0: metrics['b'] is NaN: ... (said once)",
    ]


def test_the_time_spent_is_that_of_the_runs_since_one_was_complete(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 3))
    began = data.sessions[0].began.at
    spans = []
    for i, (state, seconds) in enumerate(
        [("interrupted", 50.0), ("complete", 9.0), ("out of time", 7.0), ("error", 5.0)]
    ):
        at = began + 1e6 * (i + 1)
        spans.append(SessionSpan(replace(data.sessions[0].began, at=at), Closed(state, at + seconds)))
    assert seconds_spent(replace(data, sessions=tuple(spans)), "complete") == pytest.approx(12.0)
    assert seconds_spent(replace(data, sessions=tuple(spans[:1])), "complete") == pytest.approx(50.0)


def test_announcer_speaks_at_a_new_best_and_then_at_its_interval() -> None:
    said: list[str] = []
    times: Iterator[float] = iter([0.0, 1.0, 1.0, 2.0, 12.0, 12.0, 12.0, 30.0, 30.0])
    announcer = Announcer(Tally(4), said.append, lambda: None, clock=lambda: next(times))
    announcer.note(ended(0, State.COMPLETED, 0.5))
    assert said[-1].endswith("left 3 s")
    announcer.note(ended(1, State.STOPPED, 0.1, 0.5))
    announcer.maintain()
    assert len(said) == 1
    announcer.maintain()
    assert said[-1].startswith("trials 2/4")
    announcer.maintain()  # nothing ended since
    assert len(said) == 2


def test_the_first_failures_are_said_with_their_reason() -> None:
    said: list[str] = []
    announcer = Announcer(Tally(9), said.append, lambda: None, clock=lambda: 0.0)
    for number in range(5):
        outcome = Outcome(number, State.FAILED, error="RuntimeError: the GPU fell off\nTraceback ...")
        announcer.note(Ended(outcome, rank=2, at=0.0, seconds=1.0))
    assert said[0] == "trial 0 failed on rank 2: RuntimeError: the GPU fell off"
    assert said[2].endswith("; further failures are in the record only")
    assert len(said) == 3


def test_a_retraining_has_no_best_in_its_lines() -> None:
    tally = Tally(4, retraining=True)
    said: list[str] = []
    announcer = Announcer(tally, said.append, lambda: None, clock=lambda: 0.0)
    announcer.note(ended(0, State.COMPLETED, 0.9, -0.1))
    assert tally.best is None and said == []  # no news: nothing is picked
    assert tally_line(tally, None) == "trials 1/4  failed 0  running 0"
