"""The engine ``library``, and ours held against it: the same numbers to 1e-8 from the same hyperparameters."""

from __future__ import annotations

import logging
import random
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import CategoricalParameter, FloatParameter, IntParameter
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.interfaces import Box
from snnhpo_mpi.optim import fast
from snnhpo_mpi.optim.acquisition.log_cei import log_cei
from snnhpo_mpi.optim.acquisition.of_moments import OfMoments
from snnhpo_mpi.optim.engines import engine_of
from snnhpo_mpi.optim.gp.conditioning import factorize
from snnhpo_mpi.optim.gp.fit import dimension_prior, loss, unpack, weights
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.settings import DEFAULTS, changed
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ACCURACY, Outcome, State, Trial

SETTINGS = changed(["engine=library"])
LIBRARY: Any = engine_of(SETTINGS)  # imports BoTorch without its warnings

from botorch.acquisition.analytic import LogConstrainedExpectedImprovement  # noqa: E402
from botorch.models import ModelListGP  # noqa: E402
from gpytorch.mlls import ExactMarginalLogLikelihood  # noqa: E402

from snnhpo_mpi.optim import gpytorch as library_model  # noqa: E402

GP = DEFAULTS.gp
GROUPS = np.array([0, 1, 1, 2])  # the middle columns are a choice
THETAS = [np.array([-0.3, 0.4, 0.1, 0.2, -0.5, -1.0, -5.0]), np.array([0.5, -1.0, 1.0, -0.7, -2.0, 0.3, -2.0])]
NOTHING = np.zeros((0, 4))
EXACT = {"rel": 1e-8, "abs": 1e-8}


def data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.random((n, 4))
    y = np.sin(5.0 * X[:, 0]) + X[:, 1] - X[:, 3] ** 2 + 0.05 * rng.standard_normal(n)
    return X, (y - y.mean()) / y.std()


def both(theta: np.ndarray, n: int, n_new: int, n_pending: int, seed: int = 0) -> tuple[Any, Any]:
    """Posteriors of both engines at the same hyperparameters."""
    X, y = data(n + n_new, seed)
    pending = np.random.default_rng(seed + 9).random((n_pending, 4))
    ours = factorize(X[:n], unpack(theta, GROUPS, GP), 512, np.random.default_rng(2))
    theirs = library_model.Fitted(X[:n], theta, GROUPS, GP)
    return fast.condition(ours, X[n:], y, pending), LIBRARY.condition(theirs, X[n:], y, pending)


@pytest.mark.parametrize("theta", THETAS)
def test_the_likelihood_and_its_gradient_are_the_librarys(theta: np.ndarray) -> None:
    X, y = data(40)
    prior = dimension_prior(3, GP)
    value, gradient = loss(theta, X, y, GROUPS, prior, GP)
    hyper = unpack(theta, GROUPS, GP)
    K = hyper.kernel(X, X) + hyper.noise * np.eye(40)
    model = library_model.gaussian_process(X, y, theta, GROUPS, GP)
    model.mean_module.constant.data.fill_(weights(np.linalg.cholesky(K), y, GP.mean_variance)[1])
    with library_model.alone():
        likelihood = ExactMarginalLogLikelihood(model.likelihood, model).train()
        theirs = -40.0 * likelihood(model(model.train_inputs[0]), model.train_targets)
        theirs.backward()
    # Ours leaves out what does not depend on theta: the normalisers of the likelihood and of all normal priors.
    deviations = np.append(prior.deviation, GP.mean_variance**0.5)
    constant = 0.5 * np.log(2.0 * np.pi) * (40 + len(deviations)) + np.log(deviations).sum()
    assert value == pytest.approx(theirs.item() - constant, **EXACT)
    slopes = np.concatenate([p.grad.reshape(-1).numpy() for p in library_model.raw_parameters(model)])
    assert gradient == pytest.approx(slopes, **EXACT)


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize(("n_new", "n_pending"), [(0, 0), (6, 0), (0, 4), (6, 4)])
def test_means_variances_and_their_gradients_are_the_librarys_told_later_and_pending_included(
    theta: np.ndarray, n_new: int, n_pending: int
) -> None:
    ours, theirs = both(theta, 30, n_new, n_pending)
    assert (ours.X == theirs.X).all() and (ours.lengthscales == theirs.lengthscales).all()
    Z = np.concatenate([np.random.default_rng(1).random((300, 4)), ours.X])
    mine, its = fast.surrogate([ours, None]), LIBRARY.surrogate([theirs, None])
    for a, b in zip(mine(Z), its(Z), strict=True):
        assert a == pytest.approx(b, **EXACT)
    Z = Z[:20]
    for a, b in zip(mine.with_gradients(Z), its.with_gradients(Z), strict=True):
        assert a == pytest.approx(b, **EXACT)


def test_what_is_believed_at_told_and_pending_points_is_the_librarys_mean() -> None:
    ours, theirs = both(THETAS[0], 30, 6, 4)
    means = LIBRARY.surrogate([theirs])(ours.X)[0][0]
    assert np.concatenate([ours.mean_at_told(), ours.mean_at_pending()]) == pytest.approx(means, **EXACT)


@pytest.mark.parametrize("best", [-3.0, 0.5, 4.0])
def test_the_constrained_improvement_is_the_librarys(best: float) -> None:
    pairs = [both(theta, 30, 6, 0, seed) for seed, theta in enumerate([*THETAS, THETAS[0]])]
    Z = np.random.default_rng(1).random((50, 4))
    ours = fast.surrogate([mine for mine, _ in pairs])
    constraints = {1: (None, 0.0), 2: (None, 0.0)}
    with library_model.alone(), torch.no_grad():
        model = ModelListGP(*[its.told for _, its in pairs])
        theirs = LogConstrainedExpectedImprovement(model, best, 0, constraints)(torch.tensor(Z)[:, None]).numpy()
    assert log_cei(*ours(Z), best) == pytest.approx(theirs, **EXACT)


def test_a_fit_of_the_library_ends_where_ours_does() -> None:
    X, y = data(40)
    its = LIBRARY.fit_anchor(X, y, GROUPS, np.random.default_rng(0), GP)
    mine = fast.fit_anchor(X, y, GROUPS, np.random.default_rng(0), GP).hyper
    theta = np.log([*mine.kernel.lengthscales[[0, 1, 3]], mine.kernel.variance, mine.kernel.linear,
                    mine.kernel.quadratic, mine.noise])  # fmt: skip
    prior = dimension_prior(3, GP)
    values = [loss(at, X, y, GROUPS, prior, GP)[0] for at in (its.theta, theta)]
    assert values[0] == pytest.approx(values[1], abs=0.01)
    assert its.hyper.kernel.lengthscales[1] == its.hyper.kernel.lengthscales[2]


def test_a_single_point_has_the_hyperparameters_of_the_prior_in_both_engines() -> None:
    X, y = data(2)[0][:1], np.zeros(1)
    its, mine = (engine.fit_anchor(X, y, GROUPS, np.random.default_rng(0), GP).hyper for engine in (LIBRARY, fast))
    assert its.kernel.lengthscales == pytest.approx(mine.kernel.lengthscales)
    assert its.noise == pytest.approx(mine.noise)


def paths(theirs: Any, seed: int, temperature: float = 1.0) -> Any:
    return LIBRARY.Paths([theirs], np.random.default_rng(seed), temperature, 512)


def test_paths_have_the_posterior_mean_and_covariance_of_our_model() -> None:
    ours, theirs = both(THETAS[1], 8, 2, 2)
    Z = np.random.default_rng(1).random((3, 4))
    draws = np.stack([paths(theirs, seed)(Z)[0] for seed in range(250)])
    means, variances = fast.surrogate([ours])(Z)
    assert draws.mean(axis=0) == pytest.approx(means[0], abs=0.2)
    assert draws.var(axis=0) == pytest.approx(variances[0], rel=0.35)


def test_the_gradient_of_a_path_agrees_with_finite_differences_and_temperature_shrinks_it_to_the_mean() -> None:
    ours, theirs = both(THETAS[0], 20, 0, 0)
    Z = np.random.default_rng(1).random((3, 4))
    for temperature in (1.0, 0.5):
        path = paths(theirs, 3, temperature)
        values, gradients = path.value_and_gradient(Z)
        assert values == pytest.approx(path(Z))
        for i, h in enumerate(1e-6 * np.eye(4)):
            assert gradients[:, :, i] == pytest.approx((path(Z + h) - path(Z - h)) / 2e-6, rel=1e-4, abs=1e-5)
    mean = fast.surrogate([ours])(Z)[0]
    whole, half = paths(theirs, 3)(Z), paths(theirs, 3, 0.5)(Z)
    assert half - mean == pytest.approx(0.5 * (whole - mean), **EXACT)


MIXED = Space(
    {
        "rate": FloatParameter(type="float", low=1e-4, high=1.0, scale="log"),
        "size": IntParameter(type="int", low=1, high=50),
        "depth": IntParameter(type="int", low=1, high=4),
        "decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram")),
    }
)


def improvement(pending: np.ndarray, feasible: bool = True, n: int = 24) -> tuple[Any, Told]:
    """Of an objective that is best at rate 0.6, constrained to a small size; and the answers."""
    X = MIXED.snap(np.random.default_rng(0).random((n, MIXED.dim)))
    C = X[:, 1:2] - 0.7 if feasible else 1.0 + X[:, 1:2]
    told = Told(X, -((X[:, :1] - 0.6) ** 2), C, np.zeros(n, dtype=bool), np.ones(n))
    groups = np.array([0, 1, 2, 3, 3, 3])
    outputs = [(told.Y[:, 0] - told.Y.mean()) / told.Y.std(), C[:, 0]]
    fits = [LIBRARY.fit_anchor(X, y, groups, np.random.default_rng(1), GP) for y in outputs]
    posteriors = [LIBRARY.condition(fit, X[:0], y, pending) for fit, y in zip(fits, outputs, strict=True)]
    return LIBRARY.improvement([*posteriors, None], told, X[0], np.random.default_rng(2), SETTINGS), told


def test_an_improvement_ends_in_the_box_at_the_best_feasible_point_and_the_seed_decides_it() -> None:
    lower, upper = np.array([0.1, 0.0, 0.0, 0, 0, 0]), np.array([1.0, 1.0, 0.6, 1, 1, 1])
    found = []
    for _ in range(2):
        aim, _ = improvement(np.zeros((0, MIXED.dim)))
        found.append(aim.climbed(np.zeros((1, MIXED.dim)), Box(MIXED, lower, upper), 40))
    assert (found[0] == found[1]).all()
    assert (found[0] == MIXED.snap(found[0])).all()
    assert found[0][0, 0] == pytest.approx(0.6, abs=0.1) and found[0][0, 1] < 0.7
    ends = MIXED.snap(np.stack([lower, upper]))  # an int may be at the value in whose cell its bound lies
    assert (ends[0, :3] <= found[0][0, :3]).all() and (found[0][0, :3] <= ends[1, :3]).all()
    candidates = MIXED.snap(np.random.default_rng(5).random((64, MIXED.dim)))
    assert aim(found[0])[0] > aim(candidates).max()


def test_a_pending_trial_takes_the_improvement_away_from_where_it_is() -> None:
    pending = MIXED.snap(np.array([[0.6, 0.1, 0.4, 1, 0, 0]]))
    with_it, _ = improvement(pending)
    without, _ = improvement(pending[:0])
    away = MIXED.snap(np.array([[0.5, 0.5, 0.9, 0, 1, 0]]))
    assert with_it(pending)[0] < without(pending)[0] - 1.0
    assert with_it(away)[0] - with_it(pending)[0] > without(away)[0] - without(pending)[0]


def test_while_nothing_is_feasible_the_probability_of_it_is_climbed() -> None:
    aim, told = improvement(np.zeros((0, MIXED.dim)), feasible=False)
    assert isinstance(aim, OfMoments)
    best = aim.best_first(told.X)[0]
    assert best[1] == told.X[:, 1].min()


def test_a_box_is_told_to_the_librarys_search_in_its_own_columns() -> None:
    lower, upper = np.array([0.1, 0.4, 0.3, 0, 0, 0]), np.array([0.6, 0.5, 0.35, 1, 1, 1])
    corners_low, corners_high, discrete, choices, fixed = LIBRARY._native(Box(MIXED, lower, upper))
    sizes = [(size - 0.5) / 50 for size in range(21, 27)]  # cells of 0.02
    assert discrete == {1: pytest.approx(sizes)} and fixed == {2: pytest.approx(0.375)}
    assert choices == {3: [0.0, 1.0, 2.0]}
    assert corners_low == pytest.approx([0.1, sizes[0], 0.375, 0]) and corners_high == pytest.approx(
        [0.6, sizes[-1], 0.375, 2]
    )
    whole = LIBRARY._native(Box(MIXED, np.zeros(6), np.ones(6)))
    assert list(whole[2]) == [2]  # fifty sizes move as a float
    N = torch.tensor([[0.3, sizes[2], 0.375, 1.0]])
    assert LIBRARY._encoded(N, MIXED).numpy() == pytest.approx(np.array([[0.3, sizes[2], 0.375, 0, 1, 0]]))


def evaluate(trial: Trial) -> Outcome:
    size, rate = float(trial.params["size"]), float(trial.params["rate"])
    state = State.COMPLETED if rate < 0.1 else State.STOPPED
    return Outcome(
        trial.number, state, {ACCURACY: size / 50 + 0.5 * (trial.params["decoder"] == "vote")}, (rate - 0.1,)
    )


def test_a_search_rebuilt_from_its_events_proposes_the_same_bits_and_touches_no_global_generator() -> None:
    torch.manual_seed(5)
    random.seed(5)
    states = torch.get_rng_state(), random.getstate()
    original, rebuilt = (ScboSearch(MIXED, 1, 3, 5, SETTINGS) for _ in range(2))
    events: list[Trial | Outcome] = []
    for number in range(7):
        events.append(original.ask().trial)
        if number != 5:  # one stays pending
            events.append(evaluate(events[-1]))
            original.tell(events[-1])
    for event in events:
        if isinstance(event, Trial):
            rebuilt.adopt(event)
        else:
            rebuilt.tell(event)
    random.seed(6)  # another process has others
    torch.manual_seed(6)
    assert [original.ask().trial for _ in range(2)] == [rebuilt.ask().trial for _ in range(2)]
    random.setstate(states[1])
    torch.set_rng_state(states[0])
    original.ask()
    assert (torch.get_rng_state() == states[0]).all() and random.getstate() == states[1]


CHOICE = Space({"decoder": CategoricalParameter(type="categorical", choices=("all", "vote", "2gram", "3gram"))})
ANSWERS = {
    "failures": (
        MIXED,
        1,
        lambda n: Outcome(n, State.COMPLETED, {ACCURACY: float(n)}, (-1.0,)) if n % 3 else failed(n),
    ),
    "no score": (MIXED, 2, lambda n: Outcome(n, State.STOPPED, {ACCURACY: 0.1}, (0.4, 0.1 * n))),
    "nothing feasible": (MIXED, 1, lambda n: Outcome(n, State.COMPLETED, {ACCURACY: float(n)}, (1.0 + n,))),
    "extremes": (
        MIXED,
        1,
        lambda n: Outcome(n, State.COMPLETED, {ACCURACY: 1e300 * (-1.0) ** n}, (-1e300 if n % 2 else 1e300,)),
    ),
    "choices alone": (CHOICE, 0, lambda n: Outcome(n, State.COMPLETED, {ACCURACY: float(n)})),
}


def failed(number: int) -> Outcome:
    return Outcome(number, State.FAILED, error="out of memory")


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_models_propose_whatever_is_answered(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    space, m, answer = ANSWERS[kind]
    search = ScboSearch(space, m, 1, 2, SETTINGS)
    with caplog.at_level(logging.WARNING, "snnhpo_mpi.optim"):
        for number in range(5):
            space.encode(search.ask(hurried=number == 3).trial.params)
            if number:
                search.tell(answer(number - 1))
    assert not caplog.records  # no fallback was needed


def test_the_fit_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = library_model.fit_gpytorch_mll_scipy
    monkeypatch.setattr(
        library_model,
        "fit_gpytorch_mll_scipy",
        lambda *a, **k: (seen.append(torch.get_num_threads()), real(*a, **k))[1],
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    search = ScboSearch(MIXED, 1, 3, 2, SETTINGS)
    for _ in range(3):
        search.tell(evaluate(search.ask().trial))
    assert set(seen) == {1} and torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_one_thread_is_in_the_library_at_a_time() -> None:
    order: list[str] = []

    def second() -> None:
        with library_model.alone():
            order.append("second")

    with library_model.alone():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]


def test_what_the_library_cannot_factorise_is_an_error_that_the_search_knows() -> None:
    from linear_operator.utils.errors import NotPSDError

    with pytest.raises(np.linalg.LinAlgError, match="BoTorch: no factor"), library_model.alone():
        raise NotPSDError("no factor")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["engine=botorch"], "engine: 'botorch' is unknown; allowed: fast, library"),
        (["acquisition=ei"], "acquisition: 'ei' is unknown; allowed: log_cei"),
    ],
)
def test_an_unknown_engine_or_acquisition_is_answered_with_the_known_ones(assignments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ScboSearch(MIXED, 1, 0, 4, changed(assignments))


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import snnhpo_mpi.optim

    for name in ("snnhpo_mpi.optim.botorch", "snnhpo_mpi.optim.gpytorch"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(snnhpo_mpi.optim, "botorch")
    monkeypatch.setitem(sys.modules, "gpytorch", None)
    with pytest.raises(
        ConfigError, match=r"engine: library needs the package gpytorch, .*: pip install 'snnhpo_mpi\[library\]'"
    ):
        engine_of(SETTINGS)


def test_an_acquisition_of_ones_own_is_for_our_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.optim.acquisition.table import ACQUISITIONS

    monkeypatch.setitem(ACQUISITIONS, "mine", ACQUISITIONS["log_cei"])
    with pytest.raises(ConfigError, match="acquisition: mine is computed by engine fast only"):
        ScboSearch(MIXED, 1, 0, 4, changed(["engine=library", "acquisition=mine"]))
