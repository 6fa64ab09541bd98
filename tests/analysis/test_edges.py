from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.analysis.edges import Edge, edges, used_up
from snnhpo_mpi.analysis.summary import summarise
from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.record import StudyData, StudyRecord, read
from snnhpo_mpi.report import conclusion, page, terminal
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial


def placed(folder: Path, parameters: dict[str, object], asked: list[dict[str, float | int | str]]) -> StudyData:
    """A search in which exactly these configurations were asked and completed, the first the best."""
    space = Space(parameters)  # type: ignore[arg-type]
    config = fake_study.config(space={name: one.model_dump() for name, one in parameters.items()})  # type: ignore[attr-defined]
    record = StudyRecord.create(folder, "", config, space, ("c",), {})
    for number, params in enumerate(asked):
        outcome = Outcome(number, State.COMPLETED, {"accuracy": 0.9 - 0.01 * number}, (-0.1,))
        record.append(Asked(Trial(number, params, number), 1.0), Started(number, 1, 2.0), Ended(outcome, 1, 3.0, 1.0))
    record.close("complete")
    return read(folder)


NUMBERS = {
    "linear": FloatParameter(type="float", low=0, high=100),
    "logged": FloatParameter(type="float", low=1e-4, high=1, scale="log"),
    "mirrored": FloatParameter(type="float", low=1e-4, high=1, scale="reverse_log"),
    "whole": IntParameter(type="int", low=1, high=500),
    "kind": CategoricalParameter(type="categorical", choices=("a", "b")),
}


@pytest.mark.parametrize(
    ("params", "keys"),
    [
        ({"linear": 99.5, "logged": 0.95, "mirrored": 0.5, "whole": 500}, ["linear.high", "logged.high", "whole.high"]),
        ({"linear": 0.9, "logged": 1.05e-4, "mirrored": 0.001, "whole": 1},
         ["linear.low", "logged.low", "mirrored.low", "whole.low"]),
        ({"linear": 1.1, "logged": 2e-4, "mirrored": 0.5, "whole": 499}, []),
    ],
)  # fmt: skip
def test_a_float_is_at_the_edge_within_a_hundredth_of_its_scaled_range_and_an_int_at_its_end(
    tmp_path: Path, params: dict[str, float], keys: list[str]
) -> None:
    data = placed(tmp_path / "s", dict(NUMBERS), [{**params, "kind": "b"}])
    assert [edge.key for edge in edges(data, 0)] == [f"space.{key}" for key in keys]


def test_the_edge_is_said_in_status_report_and_last_lines(tmp_path: Path) -> None:
    inside = {"linear": 50.0, "logged": 0.01, "mirrored": 0.5, "whole": 9, "kind": "a"}
    data = placed(tmp_path / "s", dict(NUMBERS), [inside | {"logged": 1.0, "whole": 1}, inside])
    assert summarise(data).edges == (Edge("logged", "high", 1.0), Edge("whole", "low", 1))
    for text in (terminal.as_text(data, 200), conclusion.conclusion(data), conclusion.last_words(data)):
        said = " ".join(text.split())
        assert "at the end of 2 of 4 ranges" in said and "space.logged.high (1), space.whole.low (1)" in said
    assert "space.logged.high (1), space.whole.low (1)" in page.render_page(data)
    middle = placed(tmp_path / "t", dict(NUMBERS), [inside])
    assert "edge" not in conclusion.conclusion(middle) and "edge" not in terminal.as_text(middle)


FINITE = {
    "n": IntParameter(type="int", low=1, high=3),
    "kind": CategoricalParameter(type="categorical", choices=("a", "b")),
}


def test_a_finite_space_that_is_used_up_is_said(tmp_path: Path) -> None:
    every = [{"n": n, "kind": kind} for n in (1, 2, 3) for kind in "ab"]
    data = placed(tmp_path / "s", dict(FINITE), [*every, every[0]])
    assert used_up(data) == 6
    for text in (
        terminal.as_text(data),
        conclusion.conclusion(data),
        conclusion.last_words(data),
        page.render_page(data),
    ):
        assert "ll 6 configurations" in text
    repeated = placed(tmp_path / "t", dict(FINITE), [every[0]] * 9)  # as many, not all
    assert used_up(repeated) is None and "configurations of the space" not in conclusion.conclusion(repeated)
    assert used_up(placed(tmp_path / "u", dict(NUMBERS), [])) is None
    assert used_up(replace(data, config={})) is None
    assert np.all(data.completed)
