"""Conditional hyperparameters across runs: resumed, replayed, trained again and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conditional_spaces import NETWORK, points

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.record import Candidate, StudyRecord, read
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.build import build_optimizer
from snnhpo_mpi.study.check import describe
from snnhpo_mpi.study.resume import starting_point
from snnhpo_mpi.study.retrain import Wish, configure
from snnhpo_mpi.trial import Asked, Ended, Outcome, State, Trial


def config(**sections: Any) -> StudyConfig:
    given = {
        "study": {"name": "s"},
        "budget": {"trials": 30},
        "optimizer": {"name": "scbo", "initial": 4},
        "trainer": {"name": "python", "function": "nowhere.py:evaluate"},
        "space": NETWORK,
    }
    return StudyConfig.model_validate(given | sections)


def create(folder: Path, settled: StudyConfig) -> StudyRecord:
    return StudyRecord.create(folder, "", settled.model_dump(mode="json"), Space(settled.searched), (), {})


def outcome(trial: Trial) -> Outcome:
    return Outcome(trial.number, State.COMPLETED, {"accuracy": len(trial.params) + float(trial.params["rate"])})


def test_a_resumed_search_proposes_what_the_uncut_one_does(tmp_path: Path) -> None:
    settled = config()
    uncut = build_optimizer(settled)
    record = create(tmp_path / "s", settled)
    for number in range(12):
        proposal = uncut.ask()
        record.append(Asked(proposal.trial, number, {}, proposal.n_told))
        ended = outcome(proposal.trial)
        record.append(Ended(ended, 1, number + 0.5, 1.0))
        uncut.tell(ended, 1.0)
    record.close("interrupted")
    record = StudyRecord.open(tmp_path / "s", "", settled.model_dump(mode="json"), Space(settled.searched), (), {})
    again = build_optimizer(settled)
    start = starting_point(settled, again, record, record.read())
    record.close("interrupted")
    assert start.waiting == []
    assert isinstance(again, ScboSearch)
    again.tell(outcome(read(tmp_path / "s").trial(11)), 1.0)  # the proposer had posted it behind the next ask
    assert again.ask().trial == uncut.ask().trial


@pytest.fixture
def past(tmp_path: Path) -> Path:
    settled = config()
    space = Space(settled.searched)
    record = create(tmp_path / "s", settled)
    asked = [Trial(0, {"layers": 1, "optimizer": "adam", "rate": 0.1}, 7)]
    asked += [Trial(1 + i, space.decode(x), 7) for i, x in enumerate(points(8, space))]
    asked += [Trial(9, {"layers": 2, "optimizer": "sgd", "momentum": 0.6, "nesterov": "on", "rate": 0.2}, 7)]
    for trial in asked:
        record.append(Asked(trial, 1.0), Ended(outcome(trial), 1, 2.0, 1.0))
    record.close("complete")
    return tmp_path / "s"


def test_a_search_is_replayed_trial_by_trial(past: Path) -> None:
    replay = build_optimizer(config(optimizer={"name": "replay", "study": str(past)}, budget={"trials": 10}))
    data = read(past)
    assert [replay.ask().trial.params for _ in range(10)] == [data.trial(row).params for row in range(10)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"momentum": {**NETWORK["momentum"], "when": {"optimizer": ["adam"]}}},
            "trial 0: exactly layers, optimizer, momentum, rate must have values, found layers, optimizer, rate",
        ),
        (
            {"momentum": {**NETWORK["momentum"], "when": {"optimizer": ["sgd"], "layers": [1]}}},
            "; momentum exists only when optimizer is sgd and layers is 1",
        ),
        ({"rate": {**NETWORK["rate"], "high": 0.05}}, "trial 0: rate = 0.1: must lie in its bounds"),
        ({"extra": {"type": "int", "low": 1, "high": 2}}, "this study searches damping, extra, layers"),
    ],
)
def test_a_search_with_other_conditions_is_not_replayed(past: Path, changed: dict[str, Any], message: str) -> None:
    replay = {"name": "replay", "study": str(past)}
    with pytest.raises(ConfigError, match=message):
        build_optimizer(config(space={**NETWORK, **changed}, optimizer=replay, budget={"trials": 10}))


def test_a_retraining_trains_just_what_its_candidates_have(past: Path) -> None:
    task = configure(Wish(past, top=10, repeats=2))
    assert task.retraining is not None
    data = read(past)
    rows = {int(number): row for row, number in enumerate(data.number)}
    for one in task.retraining.candidates:
        assert one.params == data.trial(rows[one.number]).params
    asked = build_optimizer(task.config, task.retraining.candidates)
    record = create(past / "retrain", task.config)
    for _ in range(20):
        record.append(Asked(asked.ask().trial, 1.0))
    record.close("complete")
    again = read(past / "retrain")
    params = [one.params for one in task.retraining.candidates]
    assert [again.trial(row).params for row in range(20)] == params * 2


def test_epochs_are_set_for_the_candidates_that_have_them(tmp_path: Path) -> None:
    space = {"epochs": {"type": "int", "low": 1, "high": 3, "when": {"how": ["long"]}},
             "how": {"type": "categorical", "choices": ["long", "short"]}}  # fmt: skip
    settled = config(space=space)
    record = create(tmp_path / "s", settled)
    for number, params in enumerate([{"how": "long", "epochs": 2}, {"how": "short"}]):
        ended = Outcome(number, State.COMPLETED, {"accuracy": 1.0 - number})
        record.append(Asked(Trial(number, params, 7), 1.0), Ended(ended, 1, 2.0, 1.0))
    record.close("complete")
    task = configure(Wish(tmp_path / "s", top=2, epochs=9))
    assert task.retraining is not None
    assert task.retraining.candidates == (
        Candidate(number=0, objective=1.0, params={"how": "long", "epochs": 9}),
        Candidate(number=1, objective=0.0, params={"how": "short"}),
    )
    assert task.config.space["epochs"].when == {"how": ("long",)}


def test_epochs_that_would_change_what_exists_are_refused(tmp_path: Path) -> None:
    space = {"epochs": {"type": "int", "low": 1, "high": 3},
             "decay": {"type": "float", "low": 0.1, "high": 1, "when": {"epochs": [3]}}}  # fmt: skip
    settled = config(space=space)
    record = create(tmp_path / "s", settled)
    ended = Ended(Outcome(0, State.COMPLETED, {"accuracy": 1.0}), 1, 2.0, 1.0)
    record.append(Asked(Trial(0, {"epochs": 3, "decay": 0.5}, 7), 1.0), ended)
    record.close("complete")
    assert configure(Wish(tmp_path / "s", epochs=3)).retraining is not None
    message = r"--epochs 9: trial 0 would be another configuration: .*; decay exists only when epochs is 3"
    with pytest.raises(ConfigError, match=message):
        configure(Wish(tmp_path / "s", epochs=9))


def test_check_says_when_a_hyperparameter_exists_and_that_one_never_does() -> None:
    taps = {"type": "int", "low": 1, "high": 9, "when": {"readout": ["filter"]}}
    trainer = {"name": "python", "function": "json:dumps"}
    said = list(describe(config(space={**NETWORK, "taps": taps}, fixed={"readout": "linear"}, trainer=trainer), False))
    lines = {line.split()[0]: line for line in said if line.startswith("  ")}
    assert "space        7 hyperparameters, 10 columns for the model" in said
    assert lines["momentum"].endswith("0.5 .. 0.99 (float, linear), only when optimizer is sgd")
    assert lines["nesterov"].endswith("on | off, only when optimizer is sgd and layers is 2 or 3")
    assert lines["taps"].endswith("only when readout is filter: in no trial, with what is fixed")
    assert "when" not in lines["rate"]
