from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from comm_toys import CountingOptimizer

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.record import StudyRecord
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.resume import ending_already, starting_point
from snnhpo_mpi.trial import (
    Asked,
    Ended,
    Event,
    Interim,
    Outcome,
    Repeat,
    Repeated,
    Reported,
    Started,
    State,
    Trial,
    trial_seed,
)


class Watched(CountingOptimizer):
    def adopt(self, trial: Trial) -> None:
        super().adopt(trial)
        self.calls.append(("adopt", trial.number))


def config(**sections: Any) -> StudyConfig:
    given = {
        "study": {"name": "toy"},
        "budget": {"trials": 5},
        "optimizer": {"name": "sobol"},
        "trainer": {"name": "python", "function": "toy.py:evaluate"},
        "space": {"x": {"type": "float", "low": 0, "high": 10}},
    }
    return StudyConfig.model_validate(given | sections)


@contextmanager
def recorded(folder: Path, settings: StudyConfig, *events: Event) -> Iterator[StudyRecord]:
    record = StudyRecord.create(folder, "", settings.model_dump(mode="json"), Space(settings.space), (), {})
    record.append(*events)
    yield record
    record.close("interrupted")


def asked(number: int, n_told: int) -> Asked:
    return Asked(Trial(number, {"x": float(number)}, trial_seed(1, number)), 1e9 + number, n_told=n_told)


def ended(number: int, state: State = State.COMPLETED) -> Ended:
    objectives = {"accuracy": 0.5} if state is State.COMPLETED else {}
    return Ended(Outcome(number, state, objectives), rank=1, at=1e9 + 100 + number, seconds=1.0)


def test_each_proposal_is_adopted_after_as_many_answers_as_it_had_seen(tmp_path: Path) -> None:
    events = (asked(0, 0), asked(1, 0), ended(1), ended(0), asked(2, 0), asked(3, 1))
    optimizer, settings = Watched(), config()
    with recorded(tmp_path / "toy", settings, *events) as record:
        start = starting_point(settings, optimizer, record, record.read())
    assert optimizer.calls == [("adopt", 0), ("adopt", 1), ("adopt", 2), ("tell", 1), ("adopt", 3), ("tell", 0)]
    assert [trial.number for trial in start.waiting] == [2, 3]
    assert start.tally.n_ended == 2 and start.tally.feasible == 2
    assert start.proposer.n_ahead == 0


def test_interim_results_repeats_and_costs_are_replayed_with_the_rest(tmp_path: Path) -> None:
    settings, optimizer = config(budget={"trials": 5}), Watched()
    interim, repeat = Interim(0, 32, 1.5, 0.25, 20), Repeat(0, 7, "test", 0.5)
    events = [
        asked(0, 0),
        Started(0, 1, 1e9),
        Reported(interim, 1, 1e9),
        ended(0),
        Repeated(repeat, 1, 1e9, 2.0),
        asked(1, 1),
        ended(1, State.PRUNED),
        asked(2, 2),
    ]
    with recorded(tmp_path / "toy", settings, *events) as record:
        assert list(record.read().events()) == events
        start = starting_point(settings, optimizer, record, record.read())
    assert optimizer.calls == [("adopt", 0), ("tell", 0), ("adopt", 1), ("tell", 1), ("adopt", 2)]
    assert optimizer.seconds == [1.0, 1.0]
    assert start.tally.ended[State.PRUNED] == 1 and start.tally.n_ended == 2 and start.tally.n_failed_in_a_row == 0


@pytest.mark.parametrize(("budget", "calls"), [(5, [("ask", 2), ("tell", 1)]), (2, [("tell", 1)])])
def test_the_proposal_that_was_being_made_is_made_again_if_the_budget_has_room(
    tmp_path: Path, budget: int, calls: list[tuple[str, int]]
) -> None:
    optimizer, settings = Watched(), config(budget={"trials": budget})
    with recorded(tmp_path / "toy", settings, asked(0, 0), ended(0), asked(1, 0), ended(1)) as record:
        start = starting_point(settings, optimizer, record, record.read())
    before = [("adopt", 0), ("adopt", 1), ("tell", 0)]
    assert optimizer.calls == before
    start.proposer.start()
    start.proposer.close()
    assert optimizer.calls == before + calls


def test_a_new_study_begins_with_its_baseline_which_is_recorded(tmp_path: Path) -> None:
    settings = config(baseline={"name": "mine", "params": {"x": 3.0}})
    optimizer = Watched()
    with recorded(tmp_path / "toy", settings) as record:
        start = starting_point(settings, optimizer, record, record.read())
        assert [trial.params for trial in record.read().unfinished()] == [{"x": 3.0}]
    assert [trial.number for trial in start.waiting] == [0]
    assert optimizer.calls == [("adopt", 0)]


def test_a_baseline_can_be_a_finalist_in_a_new_study_and_after_a_cut(tmp_path: Path) -> None:
    settings = config(
        baseline={"name": "mine", "params": {"x": 3.0}}, budget={"trials": 1}, finalists={"count": 1, "repeats": 2}
    )
    with recorded(tmp_path / "toy", settings) as record:
        start = starting_point(settings, Watched(), record, record.read())
        start.finalists.note(ended(0))
        assert [trial.params for trial in start.finalists.left()] == [{"x": 3.0}] * 2
        first = start.finalists.left()[0]
        record.append(ended(0), Repeated(Repeat(0, first.seed, "split 1", 0.5), 1, 1e9, 2.0))
        past = record.read()
        assert ending_already(settings, past) is None
        again = starting_point(settings, Watched(), record, past)
        assert again.finalists.left() == start.finalists.left()[1:] and again.tally.repeats == 1
        record.append(Repeated(Repeat(0, again.finalists.left()[0].seed, "split 2", None), 1, 1e9, 2.0))
        assert ending_already(settings, record.read()) is Ending.COMPLETE


def test_failures_that_ended_the_run_before_are_forgiven(tmp_path: Path) -> None:
    settings = config(budget={"trials": 9, "max_failures": 2})
    failed = [event for number in range(2) for event in (asked(number, 0), ended(number, State.FAILED))]
    with recorded(tmp_path / "toy", settings, *failed) as record:
        start = starting_point(settings, Watched(), record, record.read())
    assert start.tally.ended[State.FAILED] == 2
    assert start.failures.in_a_row == 0 and not start.failures.too_many


@pytest.mark.parametrize(
    ("budget", "states", "ending"),
    [
        ({"trials": 2}, (State.COMPLETED, State.FAILED), Ending.COMPLETE),
        ({"trials": 2}, (State.FAILED, State.FAILED), Ending.FAILURES),
        ({"trials": 2, "max_failures": None}, (State.FAILED, State.FAILED), Ending.COMPLETE),
        ({"trials": 3}, (State.COMPLETED, State.FAILED), None),
        ({"trials": 2}, (State.COMPLETED,), None),
        ({"wall_time": "1h"}, (State.COMPLETED,), None),
    ],
)
def test_a_study_has_ended_when_its_budget_is_asked_and_evaluated(
    tmp_path: Path, budget: dict[str, Any], states: tuple[State, ...], ending: Ending | None
) -> None:
    settings = config(budget=budget)
    events = [event for number, state in enumerate(states) for event in (asked(number, 0), ended(number, state))]
    with recorded(tmp_path / "toy", settings, *events, *[asked(1, 0)] * (len(states) == 1)) as record:
        assert ending_already(settings, record.read()) is ending
