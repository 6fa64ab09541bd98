"""What a trial does not have comes out of every file as what it does not have, and all else as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from conditional_spaces import NETWORK, points, spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import StudyRecord, read
from snnhpo_mpi.record.table import NO_INT
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Asked, Ended, Outcome, State, Trial


def config(space: dict[str, Any], **sections: Any) -> StudyConfig:
    given = {
        "study": {"name": "s"},
        "budget": {"trials": 99},
        "trainer": {"name": "python", "function": "nowhere.py:evaluate"},
        "space": space,
    }
    return StudyConfig.model_validate(given | sections)


def trials(space: Space, n: int, seed: int = 0) -> list[Trial]:
    return [Trial(number, space.decode(x), 7) for number, x in enumerate(points(n, space, seed))]


def written(folder: Path, settled: StudyConfig, asked: list[Trial]) -> StudyRecord:
    """A record whose columns grow: half of the trials in one snapshot, the others after it."""
    record = StudyRecord.create(folder, "", settled.model_dump(mode="json"), Space(settled.searched), (), {})
    for part in (asked[: len(asked) // 2], asked[len(asked) // 2 :]):
        for trial in part:
            record.append(Asked(trial, 1.0))
            record.append(Ended(Outcome(trial.number, State.COMPLETED, {"accuracy": trial.number / 9}), 1, 2.0, 1.0))
        record.close("interrupted")
        record = StudyRecord.open(folder, "", settled.model_dump(mode="json"), Space(settled.searched), (), {})
    record.close("interrupted")
    return record


@settings(max_examples=15, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_params_are_read_back_exactly_from_either_file(given_space: dict[str, Any], seed: int) -> None:
    settled = config(given_space)
    asked = trials(Space(settled.searched), 6, seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "s"
        written(folder, settled, asked)
        for lost in (None, "journal.jsonl", "study.h5"):
            if lost:
                (folder / lost).rename(folder.parent / lost)
            data = read(folder)
            if lost:
                (folder.parent / lost).rename(folder / lost)
            for row, trial in enumerate(asked):
                found = data.trial(row).params
                assert {name: (type(v), v) for name, v in found.items()} == {
                    name: (type(v), v) for name, v in trial.params.items()
                }
                np.testing.assert_array_equal(data.x[row], Space(settled.searched).encode(trial.params))
            events = [event for event in data.events() if isinstance(event, Asked)]
            assert [event.trial for event in events] == asked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    asked = [
        {"layers": 1, "optimizer": "adam", "rate": 0.1},
        {"layers": 3, "optimizer": "sgd", "rate": 1.0, "third_width": -1, "momentum": 0.9}
        | {"nesterov": "off", "damping": 0.1},
        {"layers": 2, "optimizer": 1, "rate": 0.5},
    ]
    written(tmp_path / "s", config(NETWORK), [Trial(i, params, 7) for i, params in enumerate(asked)])
    return tmp_path / "s"


def test_the_file_says_where_a_hyperparameter_exists_and_what_stands_elsewhere(folder: Path) -> None:
    with h5py.File(folder / "study.h5") as file:
        params = file["trials/params"]
        assert params["third_width"][:].tolist() == [NO_INT, -1, NO_INT]
        np.testing.assert_array_equal(params["momentum"][:], [np.nan, 0.9, np.nan])
        assert params["nesterov"][:].tolist() == [-1, 1, -1]
        said = {name: params[name].attrs["description"] for name in params}
        assert file.attrs["schema"] == 2
    assert said["momentum"] == "hyperparameter: momentum; exists only when optimizer is sgd, else NaN"
    assert said["third_width"].endswith(f"; exists only when layers is 3, else {NO_INT}")
    assert said["nesterov"].endswith("; exists only when optimizer is sgd and layers is 2 or 3, else -1")
    assert said["rate"] == "hyperparameter: rate"


def test_a_frame_has_missing_cells_and_integers_stay_integers(folder: Path) -> None:
    frame = read(folder).frame()
    assert frame["params_third_width"].dtype == pd.Int64Dtype()
    assert frame["params_third_width"].tolist() == [pd.NA, -1, pd.NA]
    assert frame["params_momentum"].isna().tolist() == [True, False, True]
    assert frame["params_nesterov"].isna().tolist() == [True, False, True]
    assert frame["params_layers"].dtype == np.int64


def test_a_changed_condition_is_a_changed_space(folder: Path) -> None:
    space = {**NETWORK, "momentum": {**NETWORK["momentum"], "when": {"optimizer": ["sgd", "adam"]}}}
    for changed in (space, {**NETWORK, "rate": {**NETWORK["rate"], "when": {"layers": [1]}}}):
        settled = config(changed)
        with pytest.raises(RecordError, match=r"(?s)\+space\.\w+\.when\..*the search space changed") as error:
            StudyRecord.open(
                folder, "", settled.model_dump(mode="json"), Space(settled.searched), (), {}, accept_config=True
            )
        assert "-space.momentum.low" not in str(error.value)


def test_a_fixed_value_that_decides_a_condition_stays_as_it_was(tmp_path: Path) -> None:
    space = {"x": {"type": "float", "low": 0, "high": 1},
             "y": {"type": "float", "low": 0, "high": 1, "when": {"net": ["wide"]}}}  # fmt: skip
    settled = config(space, fixed={"net": "wide", "other": 1})
    written(tmp_path / "s", settled, trials(Space(settled.searched), 2))
    for fixed, reason in (
        ({"net": "deep", "other": 1}, "whether y is searched follows from it"),
        ({"net": "wide"}, ""),
    ):
        after = config(space, fixed=fixed)
        arguments = (tmp_path / "s", "", after.model_dump(mode="json"), Space(after.searched), (), {})
        if reason:
            with pytest.raises(RecordError, match=reason):
                StudyRecord.open(*arguments, accept_config=True)
        else:
            StudyRecord.open(*arguments, accept_config=True).close("interrupted")
