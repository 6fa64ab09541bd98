"""Public test suites by COCO, as many problems as two cores can take: ``--suite NAME``.

Six functions of a suite in 10 dimensions; run k of a benchmark is on instance k + 1, another shift and rotation of the
function.

Source: Hansen et al., Optimization Methods and Software 2021 (COCO); Dufosse et al. 2022 (bbob-constrained); Tušar et
al., GECCO 2019 (bbob-mixint).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from snnhpo_mpi.bench.problems import Problem
from snnhpo_mpi.config import FloatParameter, IntParameter, Parameter
from snnhpo_mpi.extras import require
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ACCURACY, Outcome, Params, State, Trial

DIMENSION = 10
N_INITIAL = 10
SUITES = {
    # Sphere with 3 constraints, ellipsoid 9, linear slope 16, rotated ellipsoid 3, different powers 24, Rastrigin 9.
    "bbob-constrained": (2, 9, 16, 20, 41, 45),
    # Sphere, Rastrigin, Rosenbrock, rotated ellipsoid, rotated Rastrigin, Gallagher's 101 peaks; 8 of 10 are ints.
    "bbob-mixint": (1, 3, 8, 10, 15, 21),
}


def coco_problem(suite: str, function: int, instance: int) -> Problem:
    """A problem of a suite.

    Args:
        suite: a key of ``SUITES``.
        function: its number in the suite.
        instance: from 1.

    Raises:
        ConfigError: COCO is not installed.
    """
    require("cocoex", f"--suite {suite}")
    import cocoex

    whole = cocoex.Suite(suite, "", f"dimensions: {DIMENSION}")
    problem = whole.get_problem_by_function_dimension_instance(function, DIMENSION, instance)
    space = Space(_parameters(problem))
    n_constraints = int(problem.number_of_constraints)

    def at(params: Params) -> Any:
        return np.array([float(params[name]) for name in space.names])

    def evaluate(trial: Trial, _: Any = whole) -> Outcome:  # the suite owns the problem's memory
        x = at(trial.params)
        constraints = tuple(float(c) for c in problem.constraint(x)) if n_constraints else ()
        return Outcome(trial.number, State.COMPLETED, {ACCURACY: -float(problem(x))}, constraints)

    name = f"{suite} f{function}"
    return Problem(
        name=name,
        space=space,
        n_constraints=n_constraints,
        n_initial=N_INITIAL,
        minimised=True,
        evaluate=evaluate,
        value=lambda params: float(problem(at(params))),
        mean_seconds=lambda params, outcome: 1.0,
    )


def _parameters(problem: Any) -> dict[str, Parameter]:
    """Ints come first."""
    bounds = list(zip(problem.lower_bounds.tolist(), problem.upper_bounds.tolist(), strict=True))
    n_ints = int(problem.number_of_integer_variables)
    ints = [IntParameter(type="int", low=int(low), high=int(high)) for low, high in bounds[:n_ints]]
    floats = [FloatParameter(type="float", low=low, high=high) for low, high in bounds[n_ints:]]
    parameters: list[Parameter] = [*ints, *floats]
    return {f"x{i}": parameter for i, parameter in enumerate(parameters)}
