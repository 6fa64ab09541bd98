"""Which rows of failures end a search."""

import pytest

from snnhpo_mpi.comm.failures import Failures
from snnhpo_mpi.trial import Outcome, State

STATES = {"f": State.FAILED, "c": State.COMPLETED, "s": State.STOPPED, "l": State.LOST}


def counted(most: int | None, history: str) -> Failures:
    failures = Failures(most)
    for number, letter in enumerate(history):
        failures.note(Outcome(number, STATES[letter]))
    return failures


@pytest.mark.parametrize(
    ("history", "too_many"),
    [
        ("ff", False),
        ("fff", True),
        ("flff", True),  # a lost worker says nothing of the evaluation
        ("ffcff", False),
        ("ffsff", False),  # stopped early is finished
        ("cfff", True),  # each that finished needed one trial: a row of 3 is none of chance
        ("ffcfff", False),  # it needed 3 trials: a row of 9
        ("ffc" + "f" * 8, False),
        ("ffc" + "f" * 9, True),
    ],
)
def test_a_row_is_too_long_by_what_is_usual(history: str, too_many: bool) -> None:
    assert counted(3, history).too_many is too_many
    assert not counted(None, history).too_many


def test_a_forgiven_row_begins_again() -> None:
    failures = counted(3, "fff")
    failures.forgive()
    assert not failures.too_many and failures.in_a_row == 0
    for number in range(3):
        failures.note(Outcome(number, State.FAILED))
    assert failures.too_many
