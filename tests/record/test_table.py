from __future__ import annotations

from typing import Any

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.record.entries import Header, Proposed, Session, WorkerSeen
from snnhpo_mpi.record.table import Table, extend
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial

EMPTY = Table(Header("id", "name", ("c",), 0.0))


def asked(number: int, **params: float | int | str) -> Proposed:
    return Proposed(Asked(Trial(number, params, 5), 1.0, {"length": 0.8}), (0.5,))


def ended(number: int, state: State = State.COMPLETED, objective: float | None = 0.5, **metrics: float) -> Ended:
    return Ended(Outcome(number, state, {"accuracy": objective}, (-0.1,), metrics), 2, 9.0, 3.0)


def test_a_trial_goes_from_asked_to_running_to_its_end() -> None:
    states = []
    table = EMPTY
    for entry in (asked(0), Started(0, 2, 2.0), ended(0)):
        table = extend(table, [entry])
        states.append(table.columns["trials/state"][0])
    assert states == [b"asked", b"running", b"completed"]
    assert table.columns["trials/rank"].tolist() == [2]
    assert table.columns["trials/constraints"].tolist() == [[-0.1]]
    assert table.columns["events/kind"].tolist() == [b"asked", b"started", b"ended"]


def test_extending_changes_nothing_that_was_handed_in() -> None:
    first = extend(EMPTY, [asked(0)])
    before = {name: column.copy() for name, column in first.columns.items()}
    extend(first, [Started(0, 1, 2.0), ended(0), asked(1)])
    for name, column in before.items():
        np.testing.assert_array_equal(first.columns[name], column)


def test_all_at_once_or_one_by_one_is_the_same() -> None:
    entries = [asked(0, a=1.5), Started(0, 1, 2.0), asked(1, a=2.5), ended(0, b=1.0), Started(1, 2, 3.0), ended(1)]
    at_once = extend(EMPTY, entries)
    by_one = EMPTY
    for entry in entries:
        by_one = extend(by_one, [entry])
    assert set(at_once.columns) == set(by_one.columns)
    for name in at_once.columns:
        np.testing.assert_array_equal(at_once.columns[name], by_one.columns[name])


def test_a_trial_sent_out_again_counts_once_with_its_last_rank() -> None:
    table = extend(EMPTY, [asked(3), Started(3, 1, 2.0), Started(3, 4, 8.0)])
    assert table.n_trials == 1
    assert table.columns["trials/rank"].tolist() == [4]
    assert table.columns["trials/started_at"].tolist() == [8.0]


def test_what_follows_the_end_of_a_trial_changes_nothing() -> None:
    table = extend(EMPTY, [asked(0), ended(0, objective=0.5), ended(0, objective=0.9), Started(0, 7, 9.0), ended(8)])
    assert table.columns["trials/objectives/accuracy"].tolist() == [0.5]
    assert table.columns["trials/state"].tolist() == [b"completed"]
    assert table.n_trials == 1


def test_a_metric_that_appears_later_is_absent_before() -> None:
    table = extend(EMPTY, [asked(0), ended(0), asked(1), ended(1, extra=4.0)])
    np.testing.assert_array_equal(table.columns["trials/metrics/extra"], [np.nan, 4.0])


def test_failures_have_no_objective() -> None:
    table = extend(EMPTY, [asked(0), Ended(Outcome(0, State.FAILED, error="x"), 1, 1.0, 1.0)])
    assert np.isnan(table.column("trials/objectives/accuracy")[0])
    assert np.isnan(table.column("trials/constraints")[0])


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ([[0.1], [0.2, 0.3]], [[0.1, np.nan], [0.2, 0.3]]),
        ([0.5, [0.2, 0.3]], [[0.5, np.nan], [0.2, 0.3]]),
        ([[0.2, 0.3], 0.5], [[0.2, 0.3], [0.5, np.nan]]),
        ([1, 2.5], [1.0, 2.5]),
    ],
)
def test_figures_of_the_optimizer_may_change_their_shape(figures: list[float], expected: list[float]) -> None:
    entries = [Proposed(Asked(Trial(i, {}, 0), 1.0, {"f": figure}), ()) for i, figure in enumerate(figures)]
    np.testing.assert_array_equal(extend(EMPTY, entries).columns["optimizer/f"], expected)


def with_choices(*choices: float | str) -> dict[str, Any]:
    return {"space": {"k": {"type": "categorical", "choices": list(choices)}, "m": {"type": "int"}}}


@pytest.mark.parametrize(
    "choices", [(3, "all, of them"), (1, "1"), (2.0, "2.0"), ("", " ", "\0", "a\0"), (1e5, "100000.0")]
)
def test_every_choice_comes_back_as_it_was_evaluated(choices: tuple[float | str, ...]) -> None:
    entries = [asked(number, k=choice, m=20) for number, choice in enumerate(choices)]
    table = extend(EMPTY, [Session(0.0, "", with_choices(*reversed(choices)), {}), *entries])
    found = [table.param("k", row) for row in range(len(choices))]
    assert [(type(one), one) for one in found] == [(type(one), one) for one in choices]
    assert table.columns["trials/params/k"].tolist() == list(reversed(range(len(choices))))
    assert table.columns["trials/params/m"].dtype == np.int64


def test_a_choice_keeps_its_value_when_the_configuration_changes_and_when_it_is_none_of_it() -> None:
    entries = [
        Session(0.0, "", with_choices("a", 1), {}),
        asked(0, k=1),
        asked(1, k="a"),
        Session(1.0, "", with_choices("b", 1.0, "a"), {}),
        asked(2, k=1.0),
        asked(3, k="b"),
        asked(4, k="neither"),
    ]
    table = extend(EMPTY, entries)
    expected = [1, "a", 1.0, "b", "neither"]
    assert [(type(one), one) for one in expected] == [
        (type(found), found) for found in map(table.param, ["k"] * 5, range(5))
    ]
    assert table.choices["k"] == ("a", 1, "b", 1.0, "neither")


def test_without_a_configuration_every_value_is_kept_as_it_is() -> None:
    table = extend(EMPTY, [asked(0, k=3), asked(1, k="3"), asked(2, k=2.5)])
    assert [table.param("k", row) for row in range(3)] == [3, "3", 2.5]


def test_workers_and_sessions_are_events_too() -> None:
    table = extend(
        EMPTY, [Session(0.0, "", {}, {}), WorkerSeen(1, "h", "cpu", 1.0), asked(0), Session(2.0, "", {}, {})]
    )
    assert table.columns["events/kind"].tolist() == [b"session", b"worker", b"asked", b"session"]
    assert table.columns["events/number"].tolist() == [0, 0, 0, 1]


def test_a_whole_number_given_for_a_real_hyperparameter_is_kept() -> None:
    session = Session(0.0, "", fake_study.CONFIG, {})
    table = extend(EMPTY, [session, asked(0, e_thresh=-1), asked(1, e_thresh=-52.5)])
    assert table.columns["trials/params/e_thresh"].tolist() == [-1.0, -52.5]
