import math
from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.config import PythonSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import State, Trial
from snnhpo_mpi.user_function import FunctionTrainer, load_function, outcome_of

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
        (0.5, TypeError, "must return a dict"),
        ({}, ValueError, "no objective"),
        ({"objective": "high"}, TypeError, "objective must be numbers"),
        ({"objective": 1, "constraint": [1]}, ValueError, r"unknown keys \['constraint'\]"),
        ({"objective": 1, "constraints": [None]}, TypeError, "constraints must be numbers"),
    ],
)
def test_a_result_off_the_contract_is_an_error(result: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        outcome_of(0, result)


def test_numpy_scalars_and_nan_pass_through() -> None:
    outcome = outcome_of(0, {"objective": np.float32(0.5), "constraints": np.array([math.nan])})
    assert outcome.objective == 0.5
    assert math.isnan(outcome.constraints[0])
