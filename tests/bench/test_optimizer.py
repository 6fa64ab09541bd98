"""The virtual cluster, and what the command prints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from snnhpo_mpi.bench.optimizer import METHODS, PROBLEMS, add_arguments, main, make_problem, run_benchmark, simulate
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import Outcome, Proposal, State, Trial


class Recorder:
    """Asks the middle of every axis and remembers how many trials were out at each ask."""

    def __init__(self) -> None:
        self.out: set[int] = set()
        self.most = 0
        self.order: list[int] = []
        self.number = 0

    def ask(self) -> Proposal:
        trial = Trial(self.number, {f"x{i}": 0.0 for i in range(10)}, 0)
        self.number += 1
        self.out.add(trial.number)
        self.most = max(self.most, len(self.out))
        return Proposal(trial, len(self.order))

    def tell(self, outcome: Outcome) -> None:
        assert outcome.state is State.COMPLETED
        self.out.remove(outcome.number)
        self.order.append(outcome.number)


def test_so_many_trials_are_out_at_any_time_and_slow_ones_are_overtaken() -> None:
    recorder = Recorder()
    run = simulate(make_problem("ackley10"), recorder, budget=40, pending=5, seed=0)
    assert recorder.most == 5
    assert recorder.order != sorted(recorder.order)
    assert run.seconds == sorted(run.seconds)
    assert len(run.curve) == 40 and run.curve[-1] == pytest.approx(0.0, abs=1e-9)


def test_every_problem_has_a_name() -> None:
    assert [make_problem(name).name for name in PROBLEMS] == list(PROBLEMS)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="ackley10, keane30"):
        make_problem("ackley")


@pytest.mark.parametrize("method", ["scbo", "sobol", "random"])
def test_the_result_has_the_keys_of_the_interface(method: str) -> None:
    result = run_benchmark("pressure_vessel", method, budget=12, pending=2, seeds=range(2))
    assert {"problem", "method", "budget", "pending", "best", "first_feasible", "feasible_share", "ask_s"} <= set(
        result
    )
    assert json.loads(json.dumps(result)) == result


JIT = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")


@JIT
def test_furbos_region_is_where_the_models_find_feasible_and_good_points() -> None:
    from snnhpo_mpi.bench.baselines import Furbo

    class Model:
        def __init__(self, value: Callable[[torch.Tensor], torch.Tensor]) -> None:
            self.value = value

        def posterior(self, X: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(mean=self.value(X)[:, None])

    space = make_problem("pressure_vessel").space
    furbo, center = Furbo(space, 1, 0, 5, 1, False), torch.full((4,), 0.5, dtype=torch.double)
    torch.manual_seed(0)
    # Feasible where the first coordinate is at least 0.6; better with a larger second one.
    lower, upper = furbo._box(center, [Model(lambda X: X[:, 1]), Model(lambda X: 0.6 - X[:, 0])])
    assert lower[0] >= 0.6 and lower[1] > 0.5 and upper[1] > 0.9
    assert lower[2] < 0.2 and upper[2] > 0.8
    # Feasible nowhere: where the violation is least.
    lower, upper = furbo._box(center, [Model(lambda X: X[:, 1]), Model(lambda X: 2.0 - X[:, 0])])
    assert lower[0] > 0.7 and lower[1] < 0.2


@JIT
def test_furbo_searches() -> None:
    result = run_benchmark("pressure_vessel", "furbo", budget=18, pending=3, seeds=[0])
    assert len(result["curves"][0]) == 18  # type: ignore[index]


def test_the_command_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = ["--problem", "ackley10", "--method", "random", "--budget", "3", "--seeds", "1", "--json"]
    assert main(parser.parse_args(arguments)) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "random"
    assert "random" in METHODS


@pytest.mark.parametrize(("option", "least"), [("--budget", 1), ("--pending", 1), ("--seeds", 1), ("--first-seed", 0)])
def test_numbers_that_make_no_sense_are_told(option: str, least: int, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--problem", "ackley10", option, str(least - 1)])
    assert f"argument {option}: at least {least} is needed, found {least - 1}" in capsys.readouterr().err


@JIT
def test_the_tutorials_algorithm_goes_on_where_no_fit_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.bench import baselines

    def fail(mll: object) -> None:
        raise baselines.ModelFittingError("All attempts to fit the model have failed.")

    monkeypatch.setattr(baselines, "fit_gpytorch_mll", fail)
    result = run_benchmark("pressure_vessel", "botorch_scbo", budget=13, pending=1, seeds=range(1))
    assert len(result["curves"][0]) == 13


def test_a_setting_changes_the_search_and_is_in_the_result() -> None:
    usual, changed = (
        run_benchmark("pressure_vessel", "scbo", 16, 1, range(1), settings=settings)
        for settings in ([], ["region.length_init=0.05", "candidates.n_thompson=64"])
    )
    assert usual["settings"] == []
    assert changed["settings"] == ["region.length_init=0.05", "candidates.n_thompson=64"]
    assert usual["virtual_hours"] == changed["virtual_hours"]
    assert usual["curves"][0][:10] == changed["curves"][0][:10]  # of the design
    assert usual["curves"] != changed["curves"] or usual["feasible_share"] != changed["feasible_share"]


def test_settings_of_another_method_or_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="--setting is for --method scbo, found --method sobol"):
        run_benchmark("pressure_vessel", "sobol", 2, 1, range(1), settings=["region.length_init=0.4"])
    with pytest.raises(ConfigError, match="there is no such setting"):
        run_benchmark("pressure_vessel", "scbo", 2, 1, range(1), settings=["length=0.4"])
