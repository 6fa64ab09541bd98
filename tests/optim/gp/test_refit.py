"""When models are fitted, and on what."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from snnhpo_mpi.optim.gp.refit import (
    Anchor,
    Models,
    anchors,
    modelled_rows,
    outputs,
)
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.settings import DEFAULTS

REFIT = DEFAULTS.refit
NOTHING = np.zeros((0, 2))


def told(n: int, failed: int = 0, scored: bool = True) -> Told:
    rng = np.random.default_rng(0)
    X = rng.random((n, 2))
    lost = np.arange(n) < failed
    Y = np.where(lost | (not scored), np.nan, X[:, 0])
    return Told(X, Y[:, None], np.where(lost, np.nan, X[:, 1] - 0.5)[:, None], lost, np.ones(n))


def test_fits_come_with_every_answer_at_first_and_then_geometrically() -> None:
    in_use, latest = (sorted({anchors(n, REFIT)[i] for n in range(1, 2001)}) for i in range(2))
    assert in_use[:20] == list(range(1, 21))
    assert len(in_use) < 120
    assert set(in_use) <= set(latest)


def test_long_fits_come_into_use_later_than_they_can_be_begun() -> None:
    for n in range(1, 2001):
        in_use, latest = anchors(n, REFIT)
        assert in_use <= latest <= n
        assert in_use == latest or latest >= REFIT.n_concurrent
    begun = min(n for n in range(500, 2001) if anchors(n, REFIT)[1] == n)
    used = min(n for n in range(begun, 2001) if anchors(n, REFIT)[0] == begun)
    assert used - begun >= 10
    assert anchors(used - 1, REFIT)[0] == anchors(begun - 1, REFIT)[1]


def test_an_output_without_data_has_no_model() -> None:
    objective, constraint, failure = outputs(told(5, scored=False))
    assert objective is None and constraint is not None and failure is None


def test_failed_trials_are_in_the_failure_model_only() -> None:
    objective, constraint, failure = outputs(told(6, failed=2))
    assert objective is not None and constraint is not None and failure is not None
    assert objective.rows.tolist() == constraint.rows.tolist() == [2, 3, 4, 5]
    assert (failure.y > 0).tolist() == [True, True, False, False, False, False]


def test_the_first_score_and_the_first_failure_after_an_anchor_are_modelled_at_once() -> None:
    late = told(101, scored=False)
    assert anchors(101, REFIT) == anchors(102, REFIT)
    grown = Told(
        np.concatenate([late.X, [[0.5, 0.5]]]),
        np.concatenate([late.Y, [[1.0]]]),
        np.concatenate([late.C, [[0.1]]]),
        np.append(late.failed, False),
        np.ones(102),
    )
    models = Models(np.array([0, 1]), 0, DEFAULTS)
    assert models.posteriors(late, NOTHING)[0] is None
    assert models.posteriors(grown, NOTHING)[0] is not None


def test_a_fit_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    models, everything, begun = Models(np.array([0, 1]), 0, DEFAULTS), told(30), []
    fit_all = models._fit_all
    monkeypatch.setattr(models, "_fit_all", lambda first: begun.append(len(first)) or fit_all(first))
    for n in (10, 20, 30):
        models.posteriors(everything.first(n), NOTHING)
    assert begun == [10, 20, anchors(30, REFIT)[0]]


def test_in_a_hurry_the_latest_fit_that_is_ready_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    models, everything = Models(np.array([0, 1]), 0, DEFAULTS), told(REFIT.n_concurrent)
    free, begun = threading.Event(), []
    fit_all = models._fit_all

    def slowly(first: Told) -> Anchor:
        begun.append(len(first))
        assert len(begun) == 1 or free.wait(60)
        return fit_all(first)

    monkeypatch.setattr(models, "_fit_all", slowly)
    models.posteriors(everything.first(10), NOTHING, hurried=True)  # the first is waited for
    for n in range(11, 41):
        [objective, *_] = models.posteriors(everything.first(n), NOTHING, hurried=True)
        assert objective is not None
        assert len(objective.fitted.X) == 10
        assert len(objective.X) == n  # what was told since is in it
    free.set()
    assert begun == [10, 20]  # the second waits for its turn
    models._fits[20].result()
    [objective, *_] = models.posteriors(everything.first(30), NOTHING, hurried=True)
    assert objective is not None
    assert len(objective.fitted.X) == 20


def test_after_a_hurry_no_fit_is_waited_for_and_the_schedule_is_met_again() -> None:
    models, scheduled = (Models(np.array([0, 1]), 0, DEFAULTS) for _ in range(2))
    everything = told(60)
    for n in range(10, 31):
        models.posteriors(everything.first(n), NOTHING, hurried=True)
        models._fits[max(models._fits)].result()
    assert anchors(31, REFIT)[0] not in models._fits
    models.posteriors(everything.first(31), NOTHING)
    assert models._anchor is not None and models._anchor.n < anchors(31, REFIT)[0]
    for n in range(32, 61):
        [late, *_] = models.posteriors(everything.first(n), NOTHING)
        models._fits[max(models._fits)].result()
    [right, *_] = scheduled.posteriors(everything, NOTHING)
    assert late is not None and right is not None
    assert (late.factor.inverse() == right.factor.inverse()).all()


def test_in_a_hurry_a_fit_that_failed_is_tried_again_and_the_one_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    models, everything = Models(np.array([0, 1]), 0, DEFAULTS), told(60)
    models.posteriors(everything.first(20), NOTHING, hurried=True)
    fit_all = models._fit_all
    monkeypatch.setattr(models, "_fit_all", lambda first: 1 / 0)
    models.posteriors(everything.first(45), NOTHING, hurried=True)
    assert isinstance(models._fits[max(models._fits)].exception(), ZeroDivisionError)
    monkeypatch.setattr(models, "_fit_all", fit_all)
    [objective, *_] = models.posteriors(everything.first(48), NOTHING, hurried=True)
    assert objective is not None and len(objective.fitted.X) == 20
    models._fits[max(models._fits)].result()
    [objective, *_] = models.posteriors(everything.first(49), NOTHING, hurried=True)
    assert objective is not None and len(objective.fitted.X) > 20


def test_models_do_not_depend_on_when_they_were_asked_for() -> None:
    often, once = Models(np.array([0, 1]), 0, DEFAULTS), Models(np.array([0, 1]), 0, DEFAULTS)
    everything = told(REFIT.n_concurrent + 20)
    for n in range(1, len(everything)):
        often.posteriors(everything.first(n), NOTHING)
    for a, b in zip(often.posteriors(everything, NOTHING), once.posteriors(everything, NOTHING), strict=True):
        if a is None or b is None:
            assert a is b
            continue
        assert (a.factor.inverse() == b.factor.inverse()).all() and (a.residual == b.residual).all()


def test_each_output_has_a_kernel_of_its_own() -> None:
    objective, constraint, _ = Models(np.array([0, 1]), 0, DEFAULTS).posteriors(told(30), NOTHING)
    assert objective is not None and constraint is not None
    ells = objective.fitted.hyper.kernel.lengthscales, constraint.fitted.hyper.kernel.lengthscales
    assert ells[0][0] < ells[0][1] and ells[1][1] < ells[1][0]


def test_too_many_answers_leave_the_nearest_to_the_incumbent() -> None:
    everything = told(REFIT.n_modelled + 500)
    rows = modelled_rows(everything, REFIT.n_modelled)
    center = everything.X[everything.incumbent()]
    distance = np.abs(everything.X - center).sum(axis=1)
    left_out = np.setdiff1d(np.arange(len(everything)), rows)
    assert len(rows) == REFIT.n_modelled
    assert distance[rows].max() <= distance[left_out].min()
