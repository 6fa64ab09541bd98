"""What each part of the optimizer costs, in both engines."""

from __future__ import annotations

import argparse
import json

import pytest

from snnhpo_mpi.bench import optimizer_parts
from snnhpo_mpi.bench.optimizer import add_arguments, main
from snnhpo_mpi.bench.optimizer_parts import PARTS, Size, answers, lines


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(["--parts", "--told", "12", "--hyperparameters", "3", *arguments]))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer_parts, "ENOUGH_S", 0.0)
    monkeypatch.setattr(optimizer_parts, "N_ASKS", 2)


@pytest.mark.parametrize("n_constraints", ["0", "2"])
def test_every_part_costs_something_in_both_engines(capsys: pytest.CaptureFixture[str], n_constraints: str) -> None:
    assert run("--constraints", n_constraints, "--pending", "2", "--json") == 0
    costs = json.loads(capsys.readouterr().out)
    assert set(costs) == set(PARTS)
    assert {"fit", "paths", "path_gradients", "moments", "moment_gradients", "conditioning", "ask"} <= set(costs)
    assert all(set(seconds) == {"fast", "library"} for seconds in costs.values())
    assert all(value > 0 for seconds in costs.values() for value in seconds.values())
    assert costs["path_gradients"]["library"] > costs["path_gradients"]["fast"]


def test_the_text_says_the_size_and_what_each_part_is() -> None:
    text = list(lines({"fit": {"fast": 0.1, "library": 1.0}}, Size(200, 20, 3, 15)))
    assert "200 told, 20 hyperparameters, 3 constraints, 15 pending" in text[0]
    assert text[2].split()[:4] == ["fit", "0.1", "1", "10"] and PARTS["fit"] in text[2]


def test_the_answers_are_feasible_here_and_there() -> None:
    told = answers(Size(100, 5, 2, 1))
    assert 5 < told.feasible.sum() < 95 and told.C.shape == (100, 2)


def test_exactly_one_of_problem_suite_and_parts_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for arguments in ([], ["--parts", "--problem", "ackley10"]):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
    assert "not allowed with argument" in capsys.readouterr().err
