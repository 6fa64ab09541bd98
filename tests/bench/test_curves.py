"""The scripts that make the tables: what they say of a training, computed by hand; and trainings that are repeated."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from snnhpo_mpi.config import load_config
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.trial import Trial

FOLDER = Path(__file__).parents[2] / "results" / "reference" / "curves"
CONFIG = load_config(FOLDER / "snn_stdp.yaml")  # excitatory: fewer than 5 spikes, at most 10 %; inhibitory: 1, 10 %
SPACE = Space(CONFIG.space)
N_RETRAINED = 10


def script(name: str) -> ModuleType:
    """A module of the folder, which is no package."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


measure = script("measure")


def looks(excitatory: list[int], inhibitory: list[int], right: list[int | None]) -> list[object]:
    """Looks of 32 samples each; a sample's spikes are those of its look."""
    return [
        measure.Look(
            {"excitatory": np.full(32, e), "inhibitory": np.full(32, i)},
            None if r is None else np.array([1] * r + [0] * (32 - r)),
            {},
            0.1 * (turn + 1),
        )
        for turn, (e, i, r) in enumerate(zip(excitatory, inhibitory, right, strict=True))
    ]


def test_counts_of_a_curve_are_those_since_the_start_at_geometric_positions() -> None:
    curve = measure.curve(CONFIG, looks([4, 9, 9, 9, 0], [1, 1, 0, 1, 1], [None, None, 8, 16, 32]), 160)
    assert curve["samples"] == [64, 96, 128, 160]
    assert curve["predicted"] == [0, 32, 64, 96]
    assert curve["right"] == [0, 8, 24, 56]
    assert curve["silent_excitatory"] == [32, 32, 32, 64]
    assert curve["silent_inhibitory"] == [0, 32, 32, 32]
    assert curve["spikes_excitatory"] == [32 * 13, 32 * 22, 32 * 31, 32 * 31]
    assert curve["seconds"] == pytest.approx([0.2, 0.3, 0.4, 0.5])


def test_each_rule_says_when_it_would_have_stopped_the_training() -> None:
    # An epoch of 320 samples: published checks come every 8 samples, and 33 silent samples exceed a tenth of them.
    seen = looks([9, 0, 0] + [9] * 7, [1] * 10, [3] * 10)
    stops = measure.stops(CONFIG, seen, 320)
    assert stops["published_excitatory"] == 32 + 40
    assert stops["sequential_excitatory"] == 64  # 32 silent ones of 64 at the second look
    assert stops["published_inhibitory"] is None and stops["sequential_inhibitory"] is None
    assert stops["chance"] == 320  # 30 right ones of 320
    assert measure.stopped(CONFIG, seen, 320) == {"at": 64, "score": 3 / 32, "constraints": [0.4, -0.1]}


def test_a_training_that_nothing_stops_has_the_constraints_of_its_last_epoch() -> None:
    seen = looks([9] * 10 + [9] * 10, [1] * 20, [16] * 20)
    assert measure.stopped(CONFIG, seen, 320) == {"at": None, "score": 0.5, "constraints": [-0.1, -0.1]}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")
def test_a_table_goes_on_where_it_was_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured is not asked again, and every search goes on with it, on another processor too."""
    make = [script(name) for name in ("fit", "tables", "make")][-1]
    monkeypatch.setattr(make, "N_INITIAL", 3)

    def planned(known: list[dict[str, Any]]) -> list[dict[str, Any]]:
        past: list[dict[str, Any]] = []
        for asked in make.plan(CONFIG, past, known):
            score = float(SPACE.encode(asked["params"]).mean())
            seen = {"at": None, "score": score, "constraints": [score - 0.5, -0.1]}
            past.append(asked | {"seed": 0, "state": "completed", "score": score, "stopped": seen})
            if len(past) == 30:
                return past
        raise AssertionError

    whole = planned([])
    known = [row | {"params": row["params"] | {"norm": row["params"]["norm"] * (1.0 + 1e-12)}} for row in whole[:20]]
    continued = planned(known)
    assert [row["params"] for row in continued[:20]] == [row["params"] for row in known]
    assert [row["source"] for row in continued] == [row["source"] for row in whole]
    assert [row["params"] for row in continued[20::2]] == [row["params"] for row in whole[20::2]]  # the design
    params = [tuple(row["params"].values()) for row in continued]
    assert len(set(params)) == len(params)


def test_tabulated_trainings_are_found_again() -> None:
    """The same seed gives the same score, curve and moments of stopping; the first is trained without the script."""
    rows = pd.read_csv(FOLDER / "snn_stdp.csv.gz")
    points = pd.read_csv(FOLDER / "snn_stdp_curves.csv.gz")
    trainer = build_trainer(CONFIG, "cpu", lambda progress: None)
    rows = rows[
        ~rows["decoder"].isin(["log", "svm"]) & (rows["epochs"] == 1)
    ]  # scikit-learn's sums differ by processor
    places = np.linspace(0, len(rows) - 1, N_RETRAINED).astype(int)
    unstopped = rows[rows["stop_sequential_excitatory"].isna() & rows["stop_sequential_inhibitory"].isna()]
    for number, (_, row) in enumerate([(0, unstopped.iloc[0]), *rows.iloc[places].iterrows()]):
        trial = Trial(int(row["trial"]), SPACE.typed(row), int(row["seed"]))
        if number == 0:
            assert trainer.evaluate(trial).objective == row["score"]
            continue
        again = measure.measured(trainer, CONFIG, trial)
        curve = points[points["trial"] == row["trial"]]
        assert again["score"] == row["score"]
        for name in ("samples", "right", "silent_excitatory", "spikes_excitatory", "silent_inhibitory"):
            assert again["curve"][name] == curve[name].to_list(), name
        for name, moment in again["stops"].items():
            assert moment == row[f"stop_{name}"] or (moment is None and np.isnan(row[f"stop_{name}"])), name


def test_tabulated_gradients_are_found_again_within_the_noise() -> None:
    """Sums of floating-point numbers differ by processor, so the same seed is not asked for the same bits here."""
    config = load_config(FOLDER / "snn_slayer.yaml")
    rows = pd.read_csv(FOLDER / "snn_slayer.csv.gz")
    noise = rows[rows["source"] == "repeat"].groupby("repeats")["score"].var().mean() ** 0.5
    assert 0.001 < noise < 0.1
    trainer = build_trainer(config, "cpu", lambda progress: None)
    unstopped = rows[rows["stop_sequential_hidden"].isna() & rows["stop_sequential_output"].isna()]
    for place in np.linspace(0, len(unstopped) - 1, N_RETRAINED // 3).astype(int):
        row = unstopped.sort_values("score").iloc[place]
        trial = Trial(int(row["trial"]), Space(config.space).typed(row), int(row["seed"]))
        score = trainer.evaluate(trial).objective
        assert score is not None and abs(score - row["score"]) <= 4 * noise, (int(row["trial"]), score, row["score"])
