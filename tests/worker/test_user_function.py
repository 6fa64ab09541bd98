import math
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.config import PythonSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import Interim, State, Trial
from snnhpo_mpi.worker.user_function import FunctionTrainer, load_function, outcome_of

SOURCE = """
from neighbour import SHIFT

def evaluate(params, seed, device):
    return {"objective": params["x"] + SHIFT, "constraints": [params["y"] - 1], "metrics": {"seed": seed}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "neighbour.py").write_text("SHIFT = 10")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return tmp_path


@pytest.mark.parametrize("target", ["mine.py:evaluate", "mine:evaluate"])
def test_file_and_module_targets_call_the_same_function(folder: Path, target: str) -> None:
    settings = PythonSettings(name="python", function=target, constraints=("c",))
    outcome = FunctionTrainer(settings, {"y": 3.0}, "cpu").evaluate(Trial(7, {"x": 1.5}, seed=42))
    assert (outcome.number, outcome.state, outcome.objective) == (7, State.COMPLETED, 11.5)
    assert outcome.constraints == (2.0,)
    assert outcome.metrics == {"seed": 42.0}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("absent.py:evaluate", r"there is no file absent\.py"),
        ("absent_module:evaluate", "there is no module absent_module"),
        ("mine.py:other", "has no function other"),
        ("mine:SHIFT", "has no function SHIFT"),
    ],
)
def test_a_target_that_is_not_there_is_a_config_error(folder: Path, target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_function(target)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (0.5, TypeError, r"must return a dict with the key objective, found 0\.5"),
        (None, TypeError, "must return a dict"),
        ({}, ValueError, "no objective"),
        ({"objective": "high"}, TypeError, "objective is 'high', not a number"),
        ({"objective": None}, TypeError, "objective is None, not a number"),
        ({"objective": True}, TypeError, "objective is True, not a number"),
        ({"objective": 1j}, TypeError, "objective is 1j \\(complex\\), not a number"),
        ({"objective": np.ones(2)}, TypeError, r"objective is a ndarray of shape \(2,\), not a number"),
        ({"objective": 10**400}, OverflowError, "objective is an integer too large for a float"),
        ({"objective": 1, "constraint": [1]}, ValueError, r"unknown keys \['constraint'\]"),
        ({"objective": 1, "constraints": [None]}, TypeError, r"constraints\[0\] \(silent\) is None, not a number"),
        ({"objective": 1, "constraints": 0.5}, TypeError, r"constraints must be a list of numbers, found 0\.5"),
        ({"objective": 1, "constraints": "a"}, TypeError, "constraints must be a list of numbers, found 'a'"),
        ({"objective": 1, "constraints": {0.5}}, TypeError, "constraints must be a list of numbers"),
        ({"objective": 1, "constraints": {"c": -1}}, ValueError, r"1 constraint is configured \(silent\), found c"),
        ({"objective": 1, "constraints": {}}, ValueError, r"1 constraint is configured \(silent\), found none"),
    ],
)
def test_a_result_off_the_contract_is_an_error(result: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        outcome_of(0, result, ("silent",))


@pytest.mark.parametrize(
    ("names", "given", "reason"),
    [
        (("silent",), None, "1 constraint is configured (silent), evaluate returned none"),
        (("silent", "dear"), [1.0], "2 constraints are configured (silent, dear), evaluate returned 1"),
        ((), [1.0], "no constraints are configured (trainer.constraints), evaluate returned 1"),
    ],
)
def test_another_number_of_constraints_fails_the_trial_and_names_those_configured(
    names: tuple[str, ...], given: object, reason: str
) -> None:
    outcome = outcome_of(3, {"objective": 1.0, "constraints": given, "metrics": {"spikes": 7}}, names)
    assert (outcome.number, outcome.state, outcome.error) == (3, State.FAILED, reason)
    assert outcome.metrics == {"spikes": 7.0}


def test_constraints_and_metrics_of_none_are_as_if_left_out() -> None:
    outcome = outcome_of(0, {"objective": 1, "constraints": None, "metrics": None}, ())
    assert (outcome.state, outcome.constraints, outcome.metrics, outcome.notes) == (State.COMPLETED, (), {}, ())


def test_constraints_by_name_come_in_the_configured_order() -> None:
    outcome = outcome_of(0, {"objective": 1, "constraints": {"b": 2, "a": np.float32(1)}}, ("a", "b"))
    assert outcome.constraints == (1.0, 2.0)


def test_an_odd_metric_is_left_out_with_a_note_and_keeps_the_objective() -> None:
    odd = {"flag": np.True_, "off": False, "none": None, "text": "3", "nan": math.nan, "huge": 10**400, "rows": [1]}
    outcome = outcome_of(0, {"objective": 0.5, "metrics": odd | {7: 1}})
    assert (outcome.state, outcome.objective) == (State.COMPLETED, 0.5)
    assert outcome.metrics == {"flag": 1.0, "off": 0.0, "7": 1.0}
    assert "metrics['huge'] is an integer too large for a float: it is not recorded" in outcome.notes
    assert "metrics['nan'] is NaN: it is not recorded" in outcome.notes
    assert outcome_of(0, {"objective": 0.5, "metrics": [1, 2]}).notes == (
        "metrics is [1, 2] (list), not a dict of names and numbers: none is recorded",
    )


@pytest.mark.parametrize(
    "half", [Fraction(1, 2), Decimal("0.5"), np.float16(0.5), np.array([[0.5]]), np.array(0.5)], ids=repr
)
def test_a_number_of_any_library_is_a_number(half: object) -> None:
    outcome = outcome_of(0, {"objective": half, "constraints": [half], "metrics": {"half": half}})
    assert (outcome.objective, outcome.constraints, outcome.metrics) == (0.5, (0.5,), {"half": 0.5})


def test_a_tensor_of_one_element_is_a_number() -> None:
    torch = pytest.importorskip("torch")
    half = torch.tensor([0.5], requires_grad=True)
    outcome = outcome_of(0, {"objective": half, "constraints": half.detach()}, ("c",))
    assert (outcome.objective, outcome.constraints) == (0.5, (0.5,))


def test_numpy_scalars_and_nan_pass_through() -> None:
    outcome = outcome_of(0, {"objective": np.float32(0.5), "constraints": np.array([math.nan])})
    assert outcome.objective == 0.5
    assert math.isnan(outcome.constraints[0])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def evaluate(): pass", r"takes \(\): too many positional arguments"),
        ("def evaluate(params, seed): pass", r"takes \(params, seed\): too many"),
        ("def evaluate(params, seed, device, extra): pass", "missing a required argument: 'extra'"),
        ("def evaluate(*, params, seed, device): pass", "too many positional arguments"),
        ("async def evaluate(params, seed, device): return {}", "is an async function"),
        ("def evaluate(params, seed, device): yield {}", "is a generator function"),
        ("async def evaluate(params, seed, device): yield {}", "is an async function"),
        ("class evaluate:\n    def __init__(self, params, seed, device): pass", "is a class, not a function"),
        ("class C:\n    async def __call__(self, p, s, d): pass\nevaluate = C()", "is an async function"),
        ("evaluate = 3", "has no function evaluate"),
    ],
)
def test_a_function_that_cannot_be_an_evaluation_is_refused(folder: Path, source: str, message: str) -> None:
    (folder / "odd.py").write_text(source)
    with pytest.raises(ConfigError, match=message):
        load_function("odd.py:evaluate")


@pytest.mark.parametrize(
    "source",
    [
        "def evaluate(*args): pass",
        "evaluate = lambda params, seed, device, more=1: {}",
        "class C:\n    def __call__(self, params, seed, device): pass\nevaluate = C()",
        "from functools import partial\nevaluate = partial(lambda a, p, s, d: {}, 1)",
        "evaluate = print",
    ],
)
def test_whatever_can_be_called_with_the_three_arguments_is_taken(folder: Path, source: str) -> None:
    (folder / "fine.py").write_text(source)
    assert callable(load_function("fine.py:evaluate"))


def test_the_global_generators_are_seeded_by_the_trial(folder: Path) -> None:
    (folder / "draws.py").write_text(
        "import random, numpy\n"
        "def evaluate(params, seed, device):\n"
        "    return {'objective': random.random() + numpy.random.rand()}\n"
    )
    trainer = FunctionTrainer(PythonSettings(name="python", function="draws.py:evaluate"), {}, "cpu")
    first, other, again = (trainer.evaluate(Trial(n, {}, seed)).objective for n, seed in ((0, 5), (1, 6), (2, 5)))
    assert first == again != other


REPORTING = """
def evaluate(params, seed, device, report):
    for step in range(1, 6):
        if report(params["x"] * step, step * 10):
            break
    return {"objective": step, "constraints": [], "metrics": {"step": step}}

def reports_at(positions):
    def evaluate(params, seed, device, report=None):
        for position in positions:
            report(0.5, position)
        return {"objective": 1.0}
    return evaluate

falling, half, words = reports_at([3, 3]), reports_at([0.5]), reports_at(["one"])
from_0, numpy_like = reports_at([0, 1]), reports_at([1.0, 2.0])

def no_number(params, seed, device, report):
    report("good", 1)
"""


def reporting(
    folder: Path, function: str = "evaluate", stops_after: int | None = None, prunes: bool = True
) -> tuple[FunctionTrainer, list[Interim]]:
    """A trainer, and the list of what it reports; from a number of reports on it is to stop."""
    (folder / "reporting.py").write_text(REPORTING)
    sent: list[Interim] = []

    def pruned_at(number: int) -> int | None:
        return sent[0].position if stops_after is not None and len(sent) >= stops_after else None

    settings = PythonSettings(name="python", function=f"reporting.py:{function}")
    return FunctionTrainer(settings, {}, "cpu", line=(sent.append, pruned_at), prunes=prunes), sent  # type: ignore[arg-type]


def test_a_function_reports_and_returns_when_it_is_told_that_the_trial_cannot_win(folder: Path) -> None:
    trainer, sent = reporting(folder, stops_after=3)
    outcome = trainer.evaluate(Trial(7, {"x": 0.125}, seed=1))
    assert [(one.number, one.position, one.score) for one in sent] == [(7, 10, 0.125), (7, 20, 0.25), (7, 30, 0.375)]
    assert 0 <= sent[0].seconds <= sent[2].seconds
    assert (outcome.state, outcome.objective, outcome.metrics) == (State.PRUNED, 3.0, {"step": 3.0})


@pytest.mark.parametrize("prunes", [True, False])
def test_a_function_that_nobody_stops_completes_and_its_reports_are_kept(folder: Path, prunes: bool) -> None:
    trainer, sent = reporting(folder, prunes=prunes)
    assert trainer.evaluate(Trial(7, {"x": 0.125}, seed=1)).state is State.COMPLETED
    assert [one.position for one in sent] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("falling", "the position of report(score, position) is a whole number from 4 on, as they grow; found 3"),
        ("half", "the position of report(score, position) is a whole number from 0 on; found 0.5"),
        ("words", "the position of report(score, position) is 'one', not a number"),
        ("no_number", "the score of report(score, position) is 'good', not a number"),
    ],
)
def test_a_report_that_is_none_fails_the_trial_with_the_reason(folder: Path, function: str, message: str) -> None:
    trainer, _ = reporting(folder, function)
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        trainer.evaluate(Trial(7, {"x": 0.5}, seed=1))


@pytest.mark.parametrize(("function", "positions"), [("from_0", [0, 1]), ("numpy_like", [1, 2])])
def test_positions_are_whole_numbers_from_0_on(folder: Path, function: str, positions: list[int]) -> None:
    trainer, sent = reporting(folder, function)
    trainer.evaluate(Trial(7, {"x": 0.5}, seed=1))
    assert [one.position for one in sent] == positions


def test_a_function_that_cannot_report_is_refused_where_trials_are_to_be_pruned(folder: Path) -> None:
    assert callable(load_function("mine.py:evaluate"))
    with pytest.raises(ConfigError, match=r"pruning\.rule: mine\.py:evaluate has no argument report.*set .* to none"):
        load_function("mine.py:evaluate", prunes=True)
