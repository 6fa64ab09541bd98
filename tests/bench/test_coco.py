"""The selections of COCO's suites, and CMA-ES."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from snnhpo_mpi.bench.cma_es import CmaEs
from snnhpo_mpi.bench.coco import DIMENSION, SUITES, coco_problem
from snnhpo_mpi.bench.optimizer import SUITE_NAMES, make_problem, run_benchmark, run_suite
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import Trial


def test_both_suites_have_six_functions() -> None:
    assert tuple(SUITES) == SUITE_NAMES
    assert all(len(set(functions)) == 6 for functions in SUITES.values())


@pytest.mark.parametrize("library", ["cocoex", "cma"])
def test_what_is_not_installed_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    what = {"cocoex": "--suite bbob-mixint", "cma": "--method pycma"}[library]
    with pytest.raises(
        ConfigError, match=rf"{what} needs the package {library}, .*: pip install 'snnhpo_mpi\[bench\]'"
    ):
        if library == "cocoex":
            run_suite("bbob-mixint", "random", 2, 1, range(1))
        else:
            run_benchmark("ackley10", "pycma", 2, 1, range(1))


@pytest.mark.parametrize(("suite", "n_constraints", "n_ints"), [("bbob-constrained", 24, 0), ("bbob-mixint", 0, 8)])
def test_a_problem_is_cocos_own(suite: str, n_constraints: int, n_ints: int) -> None:
    cocoex = pytest.importorskip("cocoex", reason="pip install coco-experiment")
    problems = [coco_problem(suite, function, 2) for function in SUITES[suite]]
    assert max(problem.n_constraints for problem in problems) == n_constraints
    assert {problem.space.dim for problem in problems} == {DIMENSION}
    assert {len(problem.space.integer_columns) for problem in problems} == {n_ints}
    problem, function = problems[1], SUITES[suite][1]
    params = problem.space.decode(np.full(DIMENSION, 0.7))
    outcome = problem.evaluate(Trial(3, params, 0))
    whole = cocoex.Suite(suite, "", f"dimensions: {DIMENSION}")
    theirs = whole.get_problem_by_function_dimension_instance(function, DIMENSION, 2)
    x = np.array([params[name] for name in problem.space.names], dtype=float)
    assert -outcome.objective == problem.value(params) == theirs(x)
    if n_constraints:
        assert list(outcome.constraints) == list(theirs.constraint(x))


def test_each_seed_of_a_suite_is_on_another_instance() -> None:
    pytest.importorskip("cocoex", reason="pip install coco-experiment")
    result = run_suite("bbob-mixint", "sobol", budget=4, pending=2, seeds=range(2))
    assert json.loads(json.dumps(result)) == result
    assert [problem["problem"] for problem in result["problems"]] == [
        f"bbob-mixint f{f}" for f in SUITES["bbob-mixint"]
    ]
    assert all(len(set(problem["best"]["per_seed"])) == 2 for problem in result["problems"])


def test_cma_es_comes_down_a_constrained_bowl_with_more_trials_out_than_its_population() -> None:
    pytest.importorskip("cma", reason="pip install cma")
    problem = make_problem("ackley10")
    assert isinstance(CmaEs(problem.space, 0), CmaEs)
    result, random = (run_benchmark("ackley10", name, 400, 15, range(1)) for name in ("pycma", "random"))
    assert result["first_feasible"][0] < 300
    assert random["best"]["per_seed"][0] is None or result["best"]["mean"] < random["best"]["mean"]
