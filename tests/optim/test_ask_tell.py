"""The optimizer as a program of one's own uses it."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_study
import numpy as np
import pytest

import snnhpo_mpi
from snnhpo_mpi import Scbo, Space
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import Trial

RATE = {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
SPACE = Space({"rate": RATE, "size": {"type": "int", "low": 1, "high": 50}})


def optimizer(*constraints: str, **options: Any) -> Scbo:
    return Scbo(SPACE, list(constraints), **{"seed": 1, "initial": 4, **options})


def test_the_names_are_there_without_pytorch_and_other_names_are_not() -> None:
    program = (
        "import sys; from snnhpo_mpi import Scbo, Space, read; import snnhpo_mpi; "
        "assert {'Scbo', 'Space', 'read'} <= set(dir(snnhpo_mpi)); "
        "print([name for name in ('torch', 'scipy', 'mpi4py') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="module 'snnhpo_mpi' has no attribute 'Scb'"):
        snnhpo_mpi.Scb  # type: ignore[attr-defined]  # noqa: B018


def test_the_example_of_the_package_runs() -> None:
    example = re.search(r"::\n\n(.*?)\n\n    frame", snnhpo_mpi.__doc__ or "", re.DOTALL)
    assert example
    rates: list[float] = []

    def train(rate: float) -> tuple[float, float]:
        rates.append(rate)
        return -abs(math.log10(rate) + 2.0), float(rate > 0.1)

    exec("\n".join(line[4:] for line in example[1].splitlines()), {"train": train})
    assert len(rates) == 30
    assert min(abs(math.log10(rate) + 2.0) for rate in rates) < 0.02


def test_a_recorded_study_is_read_as_a_frame(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "study")
    frame = snnhpo_mpi.read(tmp_path / "study").frame()
    assert len(frame) and {"number", "state", "objective"} <= set(frame.columns)


def test_trials_are_told_in_any_order_and_the_same_calls_give_the_same_trials() -> None:
    def search() -> list[Trial]:
        mine, out, asked = optimizer("silent"), [], []
        for i in range(14):
            asked.append(mine.ask())
            out.append(asked[-1])
            if i % 3:
                trial = out.pop(i % len(out))
                mine.tell(trial, float(trial.params["size"]), [float(trial.params["rate"]) - 0.1], seconds=2.0)
        return asked

    first = search()
    assert first == search()
    assert [trial.number for trial in first] == list(range(14))
    assert len({tuple(trial.params.items()) for trial in first}) == 14


def test_it_learns_from_stopped_and_failed_trials() -> None:
    mine, values = optimizer("silent", "weak", initial=6), []
    for _ in range(30):
        trial = mine.ask()
        rate, size = float(trial.params["rate"]), float(trial.params["size"])
        if size > 45:
            mine.tell(trial, failed=True)
        elif rate > 0.1:
            mine.tell(trial, constraints={"weak": -1.0, "silent": rate - 0.1}, stopped=True)
        else:
            mine.tell(trial, np.float32(size), np.array([rate - 0.1, -1.0]))
            values.append(size)
    assert max(values) >= 44
    assert len(values) > 15


def test_constraints_by_name_are_those_by_position() -> None:
    by_name, by_position = optimizer("a", "b"), optimizer("a", "b")
    for _ in range(7):
        one, other = by_name.ask(), by_position.ask()
        assert one == other
        by_name.tell(one, 1.0, {"b": 0.3, "a": -float(one.params["rate"])})
        by_position.tell(other, 1.0, [-float(one.params["rate"]), 0.3])


Tell = Callable[[Scbo, Trial], None]


@pytest.mark.parametrize(
    ("tell", "expected"),
    [
        (lambda o, t: o.tell(t), "trial 0: an objective is needed, or stopped=True or failed=True"),
        (lambda o, t: o.tell(t, math.nan, [0.1]), "trial 0, objective: expected a finite number, found nan"),
        (lambda o, t: o.tell(t, math.inf, [0.1]), "trial 0, objective: expected a finite number, found inf"),
        (lambda o, t: o.tell(t, "0.9", [0.1]), "trial 0, objective: expected a finite number, found '0.9'"),
        (lambda o, t: o.tell(t, math.nan, [0.1], stopped=True), "objective: expected a finite number, found nan"),
        (lambda o, t: o.tell(t, 0.9), "trial 0, constraints: expected 1 (silent), found 0"),
        (lambda o, t: o.tell(t, stopped=True), "trial 0, constraints: expected 1 (silent), found 0"),
        (lambda o, t: o.tell(t, 0.9, [0.1, 0.2]), "trial 0, constraints: expected 1 (silent), found 2"),
        (lambda o, t: o.tell(t, 0.9, [math.nan]), "trial 0, constraints, silent: expected a finite number, found nan"),
        (lambda o, t: o.tell(t, 0.9, [None]), "trial 0, constraints, silent: expected a finite number, found None"),
        (lambda o, t: o.tell(t, 0.9, 0.1), "trial 0, constraints: expected a list or a mapping of names to values"),
        (lambda o, t: o.tell(t, 0.9, {"loud": 0.1}), "constraints: expected a value of silent, found loud"),
        (lambda o, t: o.tell(t, 0.9, [0.1], seconds=-1), "trial 0, seconds: expected at least 0, found -1"),
        (lambda o, t: o.tell(t, 0.9, failed=True), "trial 0: failed=True takes no objective, constraints or stopped"),
        (lambda o, t: o.tell(t, failed=True, stopped=True), "trial 0: failed=True takes no objective"),
        (lambda o, t: o.tell(0, 0.9, [0.1]), "tell: expected a trial that ask gave, found 0"),
        (lambda o, t: o.tell(Trial(7, t.params, 1), 0.9, [0.1]), "trial 7 with these params was not asked of this"),
        (lambda o, t: o.tell(Trial(0, {"rate": 1.0, "size": 1}, t.seed), 0.9, [0.1]), "trial 0 with these params was"),
    ],
)
def test_a_wrong_answer_is_refused_and_the_right_one_still_taken(tell: Tell, expected: str) -> None:
    mine = optimizer("silent")
    trial = mine.ask()
    with pytest.raises(ValueError, match=re.escape(expected)):
        tell(mine, trial)
    mine.tell(trial, 0.9, [0.1])
    with pytest.raises(ValueError, match="trial 0 was told already"):
        mine.tell(trial, 0.9, [0.1])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"constraints": "silent"}, "constraints: expected a list of names, found 'silent'"),
        ({"constraints": ["a", "a"]}, "constraints: a name stands twice in ['a', 'a']"),
        ({"seed": -1}, "seed: expected an integer of at least 0, found -1"),
        ({"seed": 1.5}, "seed: expected an integer of at least 0, found 1.5"),
        ({"initial": 0}, "initial: expected an integer of at least 1, found 0"),
        ({"space": {"rate": RATE}}, "space: expected a Space, found {"),
    ],
)
def test_a_wrong_optimizer_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        Scbo(**{"space": SPACE, **options})


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "key space"),
        ({"x": {"type": "float", "low": 2, "high": 1}}, "key space.x: low (2) must be below high (1)"),
        ({"x": {"type": "flaot", "low": 0, "high": 1}}, "key space.x.type: 'flaot' is unknown; did you mean float?"),
        ({"x": {"type": "float", "low": 0, "high": 1, "scale": "log"}}, "scale log needs low > 0, found 0"),
        ({"x": {**RATE, "hgih": 1}}, "key space.x.hgih: unknown key; did you mean high?"),
        ({"x": {"type": "int", "low": 1.5, "high": 3}}, "key space.x.low: should be a valid integer, found 1.5"),
        ({"x": {"type": "categorical", "choices": [object(), 1]}}, "numbers, text and lists of them are needed"),
    ],
)
def test_a_wrong_space_is_refused_in_the_words_of_a_configuration(parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        Space(parameters)


def test_plain_dicts_of_numpys_numbers_make_the_same_space() -> None:
    plain = Space(
        {
            "size": {"type": "int", "low": np.int64(1), "high": np.int32(9)},
            "kind": {"type": "categorical", "choices": ("a", 2)},
        }
    )
    x = np.array([0.5, 0.0, 1.0])
    assert plain.decode(x) == {"size": 5, "kind": 2}
    assert (plain.encode(plain.decode(x)) == x).all()
