"""``snnhpo bench optimizer``: best feasible value over evaluations, with any number pending in virtual time.

Notation
    P trials out at any time      B budget, evaluations told      K seeds
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from snnhpo_mpi.arguments import not_negative, positive
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host.process_tuning import keep_freed_memory
from snnhpo_mpi.optim.settings import DEFAULTS, ScboSettings, changed
from snnhpo_mpi.trial import Outcome, Proposal, State, Trial

if TYPE_CHECKING:
    from snnhpo_mpi.bench.problems import Problem

PROBLEMS = (
    "ackley10",
    "keane30",
    "speed_reducer",
    "welded_beam",
    "pressure_vessel",
    "silent_ridge",
    "silent_band",
    "snn_stdp",
    "snn_stdp_forest",
    "snn_stdp_smooth",
    "snn_slayer",
    "snn_slayer_forest",
    "snn_slayer_smooth",
)
METHODS = ("scbo", "sobol", "random", "botorch_scbo", "furbo", "optuna_tpe", "optuna_gp", "pycma")
SUITE_NAMES = ("bbob-constrained", "bbob-mixint")  # of bench/coco.py
DURATION_SIGMA = 1.0  # of the log of the virtual durations: the slowest of a hundred takes ten times the median
N_FEASIBLE = 50


Progress = Callable[[str], None]


class Asker(Protocol):
    """What the benchmark needs of an optimizer."""

    def ask(self) -> Proposal:
        """Next trial."""
        ...

    def tell(self, outcome: Outcome) -> None:
        """Answer to a trial."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One seed's run.

    Attributes:
        curve: ``B`` noise-free value of the incumbent after each evaluation; NaN before the first feasible.
        feasible: ``B`` whether each evaluation was feasible.
        failed: ``B`` whether each evaluation gave nothing.
        ask_seconds: of each ask.
        seconds: virtual time at which each evaluation ended.
        mean_seconds: what each evaluation takes in the mean, the luck of its duration left out.
    """

    curve: list[float]
    feasible: list[bool]
    failed: list[bool]
    ask_seconds: list[float]
    seconds: list[float]
    mean_seconds: list[float]


def make_problem(name: str) -> Problem:
    """A problem by its name, or one of the user's own by ``FILE.py:NAME``.

    Raises:
        ConfigError: there is none of that name, or it does not work.
    """
    from snnhpo_mpi.bench import problems, silent

    match name:
        case "ackley10":
            return problems.exact_problem(name, [(-5.0, 10.0)] * 10, 10, problems.ackley)
        case "keane30":
            return problems.exact_problem(name, [(0.0, 10.0)] * 30, 60, problems.keane_bump)
        case "speed_reducer":
            bounds = [(2.6, 3.6), (0.7, 0.8), (17.0, 28.0), (7.3, 8.3), (7.3, 8.3), (2.9, 3.9), (5.0, 5.5)]
            return problems.exact_problem(name, bounds, 10, problems.speed_reducer)
        case "welded_beam":
            return problems.exact_problem(name, [(0.125, 10.0)] + [(0.1, 10.0)] * 3, 10, problems.welded_beam)
        case "pressure_vessel":
            bounds = [(0.0, 10.0), (0.0, 10.0), (10.0, 50.0), (150.0, 200.0)]
            return problems.exact_problem(name, bounds, 10, problems.pressure_vessel)
        case "silent_ridge":
            return silent.silent_problem(name, silent.ridge)
        case "silent_band":
            return silent.silent_problem(name, silent.band)
        case own if own.endswith(".py") or ".py:" in own:
            from snnhpo_mpi.bench.own_problem import own_problem

            return own_problem(own)
        case _ if name in PROBLEMS:
            from snnhpo_mpi.bench.snn import snn_problem

            return snn_problem(name)
        case _:
            known = ", ".join(PROBLEMS)
            raise ConfigError(f"--problem {name}: unknown; one of {known}, or FILE.py:NAME for one of your own")


def make_method(name: str, problem: Problem, seed: int, pending: int, settings: ScboSettings = DEFAULTS) -> Asker:
    """A method by its name, for a problem; the settings are those of ``scbo``."""
    from snnhpo_mpi.optim.scbo import ScboSearch
    from snnhpo_mpi.optim.sobol import RandomSearch, SobolSearch

    match name:
        case "scbo":
            return ScboSearch(problem.space, problem.n_constraints, seed, problem.n_initial, settings)
        case "sobol":
            return SobolSearch(problem.space, seed)
        case "random":
            return RandomSearch(problem.space, seed)
        case "botorch_scbo" | "furbo":
            from snnhpo_mpi.bench.baselines import BotorchScbo, Furbo

            noisy, kind = not problem.minimised, Furbo if name == "furbo" else BotorchScbo
            return kind(problem.space, problem.n_constraints, seed, problem.n_initial, pending, noisy)
        case "optuna_tpe" | "optuna_gp":
            from snnhpo_mpi.optim.optuna_search import OptunaSearch, optuna_library

            optuna_library(name, "--method")
            return OptunaSearch(name, problem.space, problem.n_constraints, seed, problem.n_initial)
        case "pycma":
            from snnhpo_mpi.bench.cma_es import CmaEs

            return CmaEs(problem.space, seed)
        case _:
            raise ValueError(f"unknown method {name!r}; one of {', '.join(METHODS)}")


def simulate(problem: Problem, asker: Asker, budget: int, pending: int, seed: int) -> Run:
    """Keep ``pending`` trials out until ``budget`` are told; virtual durations are lognormal around their mean."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xBE7C4,)))
    run = Run([], [], [], [], [], [])
    out: list[tuple[float, int, Trial, Outcome, float]] = []
    best, value, now = -math.inf, math.nan, 0.0
    for _ in range(budget):
        while len(out) < pending:
            started = time.perf_counter()
            trial = asker.ask().trial
            run.ask_seconds.append(time.perf_counter() - started)
            outcome = problem.evaluate(trial)
            mean = problem.mean_seconds(trial.params, outcome)
            sigma = problem.duration_sigma
            duration = mean * math.exp(sigma * rng.standard_normal() - sigma**2 / 2.0)
            heapq.heappush(out, (now + duration, trial.number, trial, outcome, mean))
        now, _, trial, outcome, mean = heapq.heappop(out)
        asker.tell(outcome)
        if outcome.feasible and outcome.objective is not None and outcome.objective > best:
            best = outcome.objective
            value = problem.value(trial.params) if problem.value else best
        run.curve.append(value)
        run.feasible.append(outcome.feasible)
        run.failed.append(outcome.state is State.FAILED)
        run.seconds.append(now)
        run.mean_seconds.append(mean)
    return run


def run_benchmark(
    problem: str,
    method: str,
    budget: int,
    pending: int,
    seeds: Sequence[int],
    progress: Progress = lambda line: None,
    settings: Sequence[str] = (),
) -> dict[str, object]:
    """Run a method on a problem for several seeds.

    Args:
        problem: one of ``PROBLEMS``, or ``FILE.py:NAME``.
        method: one of ``METHODS``.
        budget: B.
        pending: P.
        seeds: one run each.
        progress: told a line after each run.
        settings: ``NAME=VALUE`` of the optimizer's settings that differ from the defaults.

    Returns:
        ``problem``, ``method``, ``budget``, ``pending``, ``best``, ``first_feasible``, ``feasible_share`` and
        ``ask_s``, values in the problem's own sense; also ``curves`` ``K x B`` of the incumbent's
        noise-free value (None before the first feasible), ``fiftieth_feasible`` as ``first_feasible``, ``failed``
        evaluations of each seed, ``optimum`` (the best noise-free value that is known, None where none is stated),
        ``settings`` and ``feasible_seconds``: mean virtual duration of the feasible trials, which tells a search that
        prefers fast ones.

    Raises:
        ConfigError: there is no such problem or setting, or it does not work.
    """
    choices = _checked_settings(settings, method)
    the_problem = make_problem(problem)
    runs = _runs(lambda seed: the_problem, method, budget, pending, seeds, choices, progress)
    summary = _summary(problem, method, budget, pending, runs)
    return summary | {"optimum": the_problem.optimum, "settings": list(settings)}


def run_suite(
    suite: str,
    method: str,
    budget: int,
    pending: int,
    seeds: Sequence[int],
    progress: Progress = lambda line: None,
    settings: Sequence[str] = (),
) -> dict[str, object]:
    """Run a method on each problem of a suite, seed k on instance k + 1.

    Returns:
        ``suite`` and ``problems``: for each what ``run_benchmark`` returns.

    Raises:
        ConfigError: COCO is not installed, or there is no such setting.
    """
    from snnhpo_mpi.bench.coco import SUITES, coco_problem

    choices, found = _checked_settings(settings, method), []
    for function in SUITES[suite]:
        make = partial(_instance, coco_problem, suite, function)
        runs = _runs(make, method, budget, pending, seeds, choices, progress)
        found.append(_summary(f"{suite} f{function}", method, budget, pending, runs) | {"settings": list(settings)})
    return {"suite": suite, "method": method, "budget": budget, "pending": pending, "problems": found}


def _instance(make: Callable[[str, int, int], Problem], suite: str, function: int, seed: int) -> Problem:
    return make(suite, function, seed + 1)


def _checked_settings(settings: Sequence[str], method: str) -> ScboSettings:
    if settings and method != "scbo":
        raise ConfigError(f"--setting is for --method scbo, found --method {method}")
    return changed(settings)


def _runs(
    make: Callable[[int], Problem],
    method: str,
    budget: int,
    pending: int,
    seeds: Sequence[int],
    settings: ScboSettings,
    progress: Progress,
) -> list[Run]:
    """One run for each seed, on the problem that ``make`` gives for it."""
    runs = []
    for seed in seeds:
        problem, started = make(seed), time.perf_counter()
        asker = make_method(method, problem, seed, pending, settings)
        runs.append(simulate(problem, asker, budget, pending, seed))
        failed = f", failed {sum(runs[-1].failed)}" if any(runs[-1].failed) else ""
        progress(
            f"{problem.name} {method} seed {seed}: best {runs[-1].curve[-1]:.6g}, first feasible "
            f"{_nth_feasible(runs[-1], 1)}{failed}, {time.perf_counter() - started:.0f} s"
        )
    return runs


def _summary(problem: str, method: str, budget: int, pending: int, runs: Sequence[Run]) -> dict[str, object]:
    last = np.array([run.curve[-1] for run in runs])
    found = last[np.isfinite(last)]
    asks = np.concatenate([run.ask_seconds for run in runs])
    return {
        "problem": problem,
        "method": method,
        "budget": budget,
        "pending": pending,
        "best": {
            "mean": float(found.mean()) if len(found) else None,
            "se": float(found.std(ddof=1) / math.sqrt(len(found))) if len(found) > 1 else None,
            "per_seed": [_finite(value) for value in last.tolist()],
        },
        "first_feasible": [_nth_feasible(run, 1) for run in runs],
        "fiftieth_feasible": [_nth_feasible(run, N_FEASIBLE) for run in runs],
        "failed": [sum(run.failed) for run in runs],
        "feasible_share": float(np.mean([run.feasible for run in runs])),
        "ask_s": {"median": float(np.median(asks)), "p99": float(np.quantile(asks, 0.99))},
        "curves": [[_finite(value) for value in run.curve] for run in runs],
        "feasible_seconds": [_finite(_mean_of(run.mean_seconds, run.feasible)) for run in runs],
        "virtual_hours": [run.seconds[-1] / 3600.0 for run in runs],
    }


def _mean_of(values: Sequence[float], chosen: Sequence[bool]) -> float:
    """Mean of the chosen values; NaN of none."""
    kept = np.array(values)[np.array(chosen, dtype=bool)]
    return float(kept.mean()) if len(kept) else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _nth_feasible(run: Run, n: int) -> int | None:
    """Number of evaluations until the n-th feasible one."""
    numbers = np.flatnonzero(run.feasible)
    return int(numbers[n - 1]) + 1 if len(numbers) >= n else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--problem",
        metavar="NAME",
        help=f"one of {', '.join(PROBLEMS)}; or FILE.py:NAME for one of your own: a function evaluate(params, seed, "
        "device) as for trainer: python, with a dict space, as in the YAML, next to it, or an object that has both",
    )
    what.add_argument(
        "--suite", choices=SUITE_NAMES, help="six problems of a public suite; seed k is its instance k + 1"
    )
    what.add_argument("--parts", action="store_true", help="what each part of the optimizer costs, in both engines")
    parser.add_argument("--method", choices=METHODS, default="scbo")
    parser.add_argument("--budget", type=positive, default=200, metavar="N", help="evaluations (default 200)")
    parser.add_argument("--pending", type=positive, default=1, metavar="P", help="of them out at any time (default 1)")
    parser.add_argument("--seeds", type=positive, default=5, metavar="K", help="runs, seeds 0 to K - 1 (default 5)")
    parser.add_argument("--first-seed", type=not_negative, default=0, metavar="S", help="seeds S to S + K - 1 instead")
    parser.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value of a setting of scbo, such as region.length_init=0.4; may be repeated (an unknown name is "
        "answered with all of them)",
    )
    size = parser.add_argument_group("of --parts")
    size.add_argument("--told", type=positive, default=200, metavar="N", help="trials told (default 200)")
    size.add_argument("--hyperparameters", type=positive, default=20, metavar="D", help="floats (default 20)")
    size.add_argument("--constraints", type=not_negative, default=3, metavar="M", help="constraints (default 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object, with the curves")


def _log_progress(line: str) -> None:
    sys.stderr.write(line + "\n")


def main(args: argparse.Namespace) -> int:
    """Run the command."""
    keep_freed_memory()  # as rank 0 does
    if args.parts:
        return _print_parts(args)
    run = partial(run_suite, args.suite) if args.suite else partial(run_benchmark, args.problem)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    result = run(args.method, args.budget, args.pending, seeds, _log_progress, args.setting)
    if args.json:
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    problems: Any = result["problems"] if args.suite else [result]
    for problem in problems:
        _print_problem(problem)
    return 0


def _print_parts(args: argparse.Namespace) -> int:
    from snnhpo_mpi.bench.optimizer_parts import Size, lines, measured

    size = Size(args.told, args.hyperparameters, args.constraints, args.pending)
    costs = measured(size, _log_progress)
    sys.stdout.write(json.dumps(costs) + "\n" if args.json else "".join(f"{line}\n" for line in lines(costs, size)))
    return 0


def _print_problem(result: Mapping[str, Any]) -> None:
    keys = ["problem", "method", "budget", "pending", "best", "optimum", "first_feasible", "feasible_share", "ask_s"]
    for key in keys + ["failed"] * any(result["failed"]):
        sys.stdout.write(f"{key:16} {json.dumps(result[key])}\n")


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description="The optimizer on known problems.")
    add_arguments(_parser)
    sys.exit(main(_parser.parse_args()))
