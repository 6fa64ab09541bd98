import math
from dataclasses import replace

import numpy as np
import pytest

from snnhpo_mpi.comm.messages import MESSAGE_LIMIT, MessageError, Result, decode, encode
from snnhpo_mpi.trial import Outcome, State
from snnhpo_mpi.worker.outcomes import checked, failed, fitted, raised, ruins_process, shortened

GOOD = Outcome(3, State.COMPLETED, {"accuracy": 0.5}, (0.1, -0.1), {"seconds": 1.0}, {"accuracy": [0.1, 0.2]})


def test_a_good_outcome_passes_unchanged():
    assert checked(GOOD, 3, n_constraints=2) == GOOD


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ({"objective": 1.0}, "evaluate returned dict, not an Outcome"),
        (replace(GOOD, number=4), "evaluate returned the outcome of trial 4"),
        (replace(GOOD, objectives={}), "the objectives of this study are accuracy; evaluate returned none"),
        (replace(GOOD, objectives={"accuracy": math.inf}), "the objective is inf, not a finite number"),
        (
            replace(GOOD, objectives={"accuracy": math.nan}, state=State.STOPPED),
            "the objective is nan, not a finite number",
        ),
        (
            replace(GOOD, objectives={"accuracy": math.nan}, state=State.PRUNED),
            "the objective is nan, not a finite number",
        ),
        (
            replace(GOOD, objectives={"accuracy": 0.5, "synops": 0.1}),
            "the objectives of this study are accuracy; evaluate returned accuracy, synops",
        ),
        (replace(GOOD, constraints=(0.0,)), "2 constraints are configured, evaluate returned 1"),
        (replace(GOOD, constraints=(0.0, math.nan)), "the constraints are [0.0, nan], not all finite"),
        (replace(GOOD, state=State.LOST), "evaluate returned the state lost, which is rank 0's to give"),
        (replace(GOOD, objectives={"accuracy": "high"}), "the objective is 'high', not a number"),
        (replace(GOOD, objectives={"accuracy": True}), "the objective is True, not a number"),
        (replace(GOOD, constraints=(0.0, None)), "one of the constraints is None, not a number"),
        (replace(GOOD, constraints=0.5), "evaluate returned an Outcome that is not made of numbers"),
        (replace(GOOD, state="fine"), "evaluate returned an Outcome that is not made of numbers"),
    ],
)
def test_what_is_no_answer_fails_with_the_reason(returned, reason):
    outcome = checked(returned, 3, n_constraints=2)
    assert (outcome.number, outcome.state, outcome.objective, outcome.constraints) == (3, State.FAILED, None, ())
    assert outcome.error.startswith(reason)


def test_objectives_are_kept_by_name_in_the_order_of_the_study_with_their_n():
    several = replace(GOOD, objectives={"synops": np.float64(-2.0), "accuracy": 0.5}, n_scored=np.int64(500))
    outcome = checked(several, 3, 2, ("accuracy", "synops"))
    assert list(outcome.objectives.items()) == [("accuracy", 0.5), ("synops", -2.0)]
    assert (outcome.objective, outcome.n_scored, type(outcome.n_scored)) == (0.5, 500, int)
    reason = "the objective synops is inf, not a finite number"
    assert (
        checked(replace(several, objectives={"accuracy": 0.5, "synops": math.inf}), 3, 2, several.objectives).error
        == reason
    )


def test_a_failed_answer_keeps_its_metrics_and_has_no_numbers_to_learn_from():
    outcome = checked(replace(GOOD, objectives={"accuracy": math.nan}), 3, n_constraints=2)
    assert outcome.metrics == {"seconds": 1.0}
    outcome = checked(replace(GOOD, state=State.FAILED, error="diverged"), 3, n_constraints=2)
    assert (outcome.objective, outcome.constraints, outcome.error) == (None, (), "diverged")


def test_odd_metrics_and_curves_are_left_out_with_a_note_and_cost_the_trial_nothing():
    odd = {"flag": True, "none": None, "text": "high", "nan": math.nan, "huge": 10**400, "nested": {"a": 1}}
    curves = {"good": [1, 2], "words": ["a"], "one": 3.0, "huge": [10**400]}
    outcome = checked(replace(GOOD, metrics=odd | GOOD.metrics, curves=curves), 3, n_constraints=2)
    assert (outcome.state, outcome.objective, outcome.constraints) == (State.COMPLETED, 0.5, (0.1, -0.1))
    assert outcome.metrics == {"flag": 1.0, "seconds": 1.0}
    assert outcome.curves == {"good": [1.0, 2.0]}
    assert outcome.notes[:2] == (
        "metrics['none'] is None, not a number: it is not recorded",
        "metrics['text'] is 'high', not a number: it is not recorded",
    )
    assert len(outcome.notes) == 5  # of eight
    assert decode(encode(Result(outcome, 0.0))) == Result(outcome, 0.0)


def test_a_message_with_a_number_that_no_float_holds_is_no_message():
    line = encode(Result(GOOD, 0.0)).replace(b"0.5", b"9" * 400)
    with pytest.raises(MessageError):
        decode(line)


def test_numpy_numbers_and_arrays_become_plain_ones():
    outcome = Outcome(
        0,
        State.COMPLETED,
        {"accuracy": np.float32(0.5)},
        (np.float64(0.25),),
        {"n": np.int64(3)},
        {"rows": np.eye(2), "flat": np.arange(2)},
    )
    plain = checked(outcome, 0, n_constraints=1)
    assert plain == Outcome(
        0,
        State.COMPLETED,
        {"accuracy": 0.5},
        (0.25,),
        {"n": 3.0},
        {"rows": [[1.0, 0.0], [0.0, 1.0]], "flat": [0.0, 1.0]},
    )
    assert encode(Result(plain, 0.0))


def test_an_overlong_outcome_loses_its_longest_curves_and_says_so():
    curves = {"short": [1.0], "long": [0.1] * 400_000, "middle": [0.5] * 1000}
    outcome = fitted(replace(GOOD, curves=curves, error="x" * 10**6, metrics={f"m{i}": 0.1 for i in range(20_000)}))
    assert list(outcome.curves) == ["short", "middle"]
    assert outcome.metrics["curves_cut"] == 1.0
    assert outcome.metrics["metrics_cut"] == 20_000 - (len(outcome.metrics) - 2)
    assert "980000 characters cut" in outcome.error
    assert len(encode(Result(outcome, 0.0))) <= MESSAGE_LIMIT


def test_a_text_is_shortened_in_its_middle():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijkl", 8) == "ab\n[... 4 characters cut ...]\nghijkl"


def test_an_exception_fails_with_its_last_line_first_and_its_traceback():
    try:
        int("one")
    except ValueError as error:
        outcome = raised(7, error)
    first, *rest = outcome.error.splitlines()
    assert first == "ValueError: invalid literal for int() with base 10: 'one'"
    assert rest[1] == "Traceback (most recent call last):"


def test_a_failure_without_detail_is_its_reason():
    assert failed(1, "killed").error == "killed"


class OutOfMemoryError(RuntimeError):
    pass


def _caused_by(cause):
    error = ValueError("training failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "ruins"),
    [
        (MemoryError(), True),
        (OutOfMemoryError(), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"), True),
        (_caused_by(MemoryError()), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("CUDA is spelt with a C"), False),
    ],
)
def test_memory_and_cuda_errors_ruin_the_process(error, ruins):
    assert ruins_process(error) is ruins
