"""Problems of a user's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnhpo_mpi.bench.optimizer import make_problem, run_benchmark
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.space import Space

SPACE = 'space = {"x": {"type": "float", "low": 0, "high": 1}, "c": {"type": "categorical", "choices": ["a", "b"]}}'
SOURCE = f"""
import math
{SPACE}

def evaluate(params, seed, device):
    assert device == "cpu"
    if params["x"] > 0.9:
        raise MemoryError("too large")
    return {{"objective": params["x"] + (params["c"] == "b"), "constraints": [params["x"] - 0.7, -1.0]}}

class Mine:
    space = space
    constraints = ["small"]

    def evaluate(self, params, seed, device):
        return {{"objective": params["x"], "constraints": {{"small": params["x"] - 0.5}}}}

mine = Mine()
number = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return tmp_path


@pytest.mark.parametrize(
    ("target", "n_constraints"), [("own.py:evaluate", 2), ("own.py", 2), ("own.py:Mine", 1), ("own.py:mine", 1)]
)
def test_a_function_beside_its_space_or_an_object_with_both_is_a_problem(target: str, n_constraints: int) -> None:
    problem = make_problem(target)
    assert isinstance(problem.space, Space) and problem.space.names == ("x", "c")
    assert (problem.name, problem.n_constraints) == (target, n_constraints)


def test_the_value_is_what_was_measured_and_a_trial_that_raises_is_a_failed_one() -> None:
    result = run_benchmark("own.py:evaluate", "random", budget=60, pending=3, seeds=range(2))
    assert all(1.5 < best <= 1.7 for best in result["best"]["per_seed"])
    assert all(0 < failed < 20 for failed in result["failed"])


@pytest.mark.parametrize("method", ["scbo", "optuna_tpe", "pycma"])
def test_every_kind_of_method_takes_failed_trials_and_choices(method: str) -> None:
    if method == "pycma":
        pytest.importorskip("cma", reason="pip install cma")
    result = run_benchmark("own.py:evaluate", method, budget=26, pending=2, seeds=range(1))
    assert len(result["curves"][0]) == 26 and result["first_feasible"] != [None]


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
def test_the_tutorials_algorithm_goes_on_where_every_trial_of_its_design_fails(folder: Path) -> None:
    first = "    if params['x'] != 0.5:\n        raise MemoryError\n"
    (folder / "own.py").write_text(
        f"{SPACE}\ndef evaluate(params, seed, device):\n{first}    return {{'objective': 1}}"
    )
    assert run_benchmark("own.py", "botorch_scbo", 23, 2, range(1))["failed"] == [23]


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("gone.py:evaluate", "", r"--problem gone\.py:evaluate: there is no file gone\.py"),
        ("own.py:gone", SOURCE, r"own\.py has no gone; it has math, space, evaluate, Mine, mine, number"),
        ("own.py:number", SOURCE, r"there is no function evaluate\(params, seed, device\)"),
        ("own.py:space", SOURCE, "there is no function evaluate"),
        ("own.py", SPACE, "there is no function evaluate"),
        ("own.py:evaluate", "def evaluate(params, seed, device): pass", "space must be a dict .* found nothing"),
        ("own.py", "space = 3\ndef evaluate(params, seed, device): pass", "space must be a dict .* found 3"),
        ("own.py", SPACE.replace("float", "real") + "\ndef evaluate(p, s, d): pass", "space.x"),
        ("own.py", SPACE + "\ndef evaluate(params): pass", r"evaluate takes \(params\): too many .* is called as"),
        ("own.py", SPACE + "\ndef evaluate(p, s, d): pass", "failed: TypeError: the function must return a dict"),
        ("own.py", SPACE + "\ndef evaluate(p, s, d): return 1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("own.py", SPACE + "\nconstraints = 'c'\ndef evaluate(p, s, d): pass", "constraints must be a list of names"),
        ("own.py", SPACE + "\nconstraints = 'a', 'b'\ndef evaluate(p, s, d): return dict(objective=1, constraints=[0])",
         r"2 constraints are configured \(a, b\), evaluate returned 1"),
        ("own.py", "import no_such_module", "importing own.py failed: ModuleNotFoundError: No module named"),
        ("own.py", "def evaluate(:", "importing own.py failed: SyntaxError: invalid syntax"),
        ("own", SOURCE, "--problem own: unknown; one of ackley10, .*, or FILE.py:NAME"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(folder: Path, target: str, source: str, message: str) -> None:
    (folder / "own.py").write_text(source)
    with pytest.raises(ConfigError, match=message) as caught:
        make_problem(target)
    assert "\n" not in str(caught.value)
