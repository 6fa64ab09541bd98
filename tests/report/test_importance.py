from __future__ import annotations

from dataclasses import replace

import fake_study
import numpy as np
import pytest

from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report.importance import FEWEST_TRIALS, importances, permutation


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read(fake_study.written(tmp_path_factory.mktemp("done") / "s", 150))


def test_shuffling_takes_all_that_one_deciding_column_gives() -> None:
    X = np.random.default_rng(0).random((400, 3))
    lost = permutation(X, (X[:, 1] > 0.5).astype(float))
    # shuffled halves agree by chance only: the error becomes twice the variance, from none
    assert lost[1] == pytest.approx(2.0, abs=0.25)
    assert lost[0] < 0.02 and lost[2] < 0.02


def test_an_interaction_is_seen_in_both_of_its_columns() -> None:
    X = np.random.default_rng(1).random((600, 3))
    lost = permutation(X, ((X[:, 0] > 0.5) ^ (X[:, 2] > 0.5)).astype(float))
    assert min(lost[0], lost[2]) > 0.5 > 0.1 > lost[1]


@pytest.mark.parametrize("scale", [1e-300, 1e-5, -1e-5, 9e299, 1.7e308])
def test_the_scale_of_the_objective_does_not_matter(scale: float) -> None:
    X = np.random.default_rng(0).random((100, 3))
    y = np.round(X[:, 1] + 0.3 * X[:, 0], 3)
    np.testing.assert_allclose(permutation(X, y / 2 * scale), permutation(X, y), rtol=1e-6, atol=1e-9)


def test_infinite_objectives_are_left_out() -> None:
    X = np.random.default_rng(0).random((100, 3))
    y = X[:, 1].copy()
    strange = np.concatenate([y, [np.inf, -np.inf, np.nan]])
    np.testing.assert_array_equal(permutation(np.concatenate([X, X[:3]]), strange), permutation(X, y))


@pytest.mark.parametrize("y", [np.zeros(60), np.empty(0), np.arange(FEWEST_TRIALS - 1.0)])
def test_too_little_is_not_judged(y: np.ndarray) -> None:
    assert np.isnan(permutation(np.random.default_rng(0).random((len(y), 2)), y)).all()


def test_the_threshold_that_makes_networks_silent_is_found(data: StudyData) -> None:
    by_name = {one.name: one.silence for one in importances(data)}
    assert max(by_name, key=lambda name: by_name[name]) == "e_thresh"


def test_sensitivity_is_the_inverse_lengthscale_of_the_latest_model(data: StudyData) -> None:
    # lengthscales of the columns are 0.5, 0.6, ...; a hyperparameter before the categorical has one column
    told = [one.sensitivity for one in importances(data)]
    expected = 0.5 / (0.5 + 0.1 * np.arange(len(fake_study.PARAMETERS)))
    assert told == pytest.approx(expected)
    without = replace(data, optimizer={})
    assert np.isnan([one.sensitivity for one in importances(without)]).all()
    assert importances(replace(data, config={})) == []
