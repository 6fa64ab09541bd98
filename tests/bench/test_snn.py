"""What the problems made of tables say, and that a configuration of a table can be trained again to the same values."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats.qmc import Sobol

from snnhpo_mpi.bench.optimizer import PROBLEMS, make_problem, run_benchmark
from snnhpo_mpi.bench.snn import MODELS, SnnProblem, _reported, quantities
from snnhpo_mpi.bench.surrogate import Forest, Kernel, Smooth
from snnhpo_mpi.bench.tabulated import NAMES, read_table, size_of
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.trial import State, Trial

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def snn() -> SnnProblem:
    return SnnProblem("snn_stdp")


def best(snn: SnnProblem) -> dict[str, object]:
    """The configuration that is expected to be best."""
    return dict(known()["optimum"]["mean"]["params"])


def known(name: str = "snn_stdp") -> dict[str, Any]:
    """What was found out of a table."""
    return dict(json.loads((ROOT / f"results/reference/curves/{name}.json").read_text()))


def dead(snn: SnnProblem) -> dict[str, object]:
    """The training of the table that was most silent from its first sample on."""
    row = int(np.argmax(sum(shares.min(1) for shares in snn.table.silent.values())))
    return snn.table.space.decode(snn.table.X[row])


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"snn_stdp.yaml is not in"):
        read_table("snn_stdp", tmp_path)


def test_a_forest_and_a_smooth_regressor_find_a_line_between_their_points() -> None:
    X = np.linspace(0.0, 1.0, 101)[:, None]
    Y = np.concatenate([2.0 * X, 3.0 - X], 1)
    for regressor in (Forest(X, Y, np.ones(2)), Smooth(X, Y, [(Kernel([0.5], 1e-4), [0, 1])])):
        assert regressor(np.array([[0.305]])) == pytest.approx(np.array([[0.61, 2.695]]), abs=0.03)


def test_a_smooth_regressor_of_two_points_is_the_one_computed_by_hand() -> None:
    # Covariance over a distance of one length: (1 + sqrt 3) exp(-sqrt 3) = 0.48336; the weights of (1, -1) are +-1 /
    # (1.25 - 0.48336).
    smooth = Smooth(np.array([[0.0], [1.0]]), np.array([[1.0], [-1.0]]), [(Kernel([1.0], 0.25), [0])])
    assert smooth(np.array([[0.0]]))[0, 0] == pytest.approx((1.0 - 0.48336) / (1.25 - 0.48336), abs=1e-4)


def test_operations_are_spikes_times_the_synapses_that_they_go_to(snn: SnnProblem) -> None:
    spikes = {"spikes_input": 100.0, "spikes_excitatory": 3.0, "spikes_inhibitory": 2.0}
    assert size_of(snn.table.config, {"map_size": 10}, spikes) == {
        "parameters": 785.0 * 10,
        "synops": 100.0 * 10 + 3.0 + 2.0 * 9,
    }


def test_running_scores_are_shares_of_half_the_samples_seen() -> None:
    expected, ends = np.array([np.nan, 0.5, 1.0]), np.array([64.0, 128.0, 3000.0])
    scores, counted = _reported(expected, ends, 0.0, np.random.default_rng(0))
    assert counted.tolist() == [0, 64, 1500]
    assert np.isnan(scores[0]) and scores[2] == 1.0
    assert 64 * scores[1] == round(64 * scores[1])


def test_the_same_trial_is_the_same_training_and_another_seed_another(snn: SnnProblem) -> None:
    params = best(snn)
    first, again, other = (snn.train(Trial(0, params, seed)) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert first.outcome == again.outcome
    assert first.outcome.objective != other.outcome.objective


def test_the_best_configuration_is_trained_to_its_end_and_scores_near_what_is_stated(snn: SnnProblem) -> None:
    trainings = [snn.train(Trial(seed, best(snn), seed)) for seed in range(20)]  # type: ignore[arg-type]
    assert snn.optimum == pytest.approx(snn.expected(best(snn)).score, abs=1e-3)  # type: ignore[arg-type]
    completed = [one.outcome.objective for one in trainings if one.outcome.state is State.COMPLETED]
    assert len(completed) > 10
    assert np.mean([score for score in completed if score is not None]) == pytest.approx(snn.optimum, abs=0.03)
    assert all(one.samples[-1] == one.outcome.metrics["n_samples_planned"] for one in trainings if one.scores[-1] > 0.5)


def test_a_dead_network_is_stopped_within_an_epoch_and_costs_little(snn: SnnProblem) -> None:
    training = snn.train(Trial(0, dead(snn), 3))  # type: ignore[arg-type]
    assert training.outcome.state is State.STOPPED and not training.outcome.feasible
    assert max(training.outcome.constraints) > 0.5
    assert training.outcome.metrics["stopped_at"] == training.samples[-1] < 300
    whole = snn.train(Trial(0, best(snn), 3))  # type: ignore[arg-type]
    assert training.seconds < 0.3 * whole.seconds


def test_as_many_imagined_trainings_are_stopped_as_real_ones(snn: SnnProblem) -> None:
    X = snn.table.X[::5]
    imagined = [
        snn.train(Trial(i, snn.table.space.decode(x), i)).outcome.state is State.STOPPED for i, x in enumerate(X)
    ]
    layers = {one.layer: one.beta for one in snn.table.config.stopping}
    real = np.any([snn.table.silent[layer][::5, -1] > beta for layer, beta in layers.items()], axis=0)
    assert np.mean(imagined) == pytest.approx(np.mean(real), abs=0.12)


def test_no_point_near_the_best_trainings_is_expected_to_beat_the_stated_optimum(snn: SnnProblem) -> None:
    space, rng = snn.table.space, np.random.default_rng(7)
    X = snn.table.X[np.argsort(-snn.table.score)[:100]].repeat(20, axis=0)
    X = space.snap(np.clip(X + 0.1 * rng.standard_normal(X.shape) * (rng.random(X.shape) < 0.3), 0.0, 1.0))
    predicted = snn.predicted(X)
    assert snn.optimum is not None
    better = np.flatnonzero(quantities(snn.table).score(predicted) > snn.optimum + 1e-3)
    assert not any(snn.is_feasible(snn.said(predicted[row]), int(space.decode(X[row])["epochs"])) for row in better)


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name.startswith("snn_")])
def test_every_model_has_a_problem_of_its_own(name: str) -> None:
    problem = make_problem(name)
    assert (problem.n_constraints, problem.minimised) == (2, False)
    assert problem.optimum is not None and 0.5 < problem.optimum < 1.0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_no_surface_promises_more_than_trainings_gave_and_the_regressor_may_err(name: str, model: str) -> None:
    found = known(name)
    error = found["errors"][model]["score_rmse_best_quarter"]
    promised, given = SnnProblem(name, model).optimum, found["table"]["best_score"]
    assert promised is not None
    assert given - error < promised < given + math.hypot(error, found["table"]["best_score_sd"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_random_points_are_as_often_feasible_as_those_that_were_trained(name: str, model: str) -> None:
    problem, trained = SnnProblem(name, model), known(name)["table"]
    points = Sobol(problem.table.space.dim, seed=11).random(512)
    params = [problem.table.space.decode(x) for x in points]
    told = [problem.train(Trial(i, one, i)).outcome.feasible for i, one in enumerate(params)]
    noise = math.sqrt(trained["feasible_share"] * (1.0 - trained["feasible_share"]) / len(told))
    assert trained["feasible_share"] == problem.table.feasible[problem.table.designed].mean().round(4)
    assert abs(np.mean(told) - trained["feasible_share"]) < math.hypot(trained["feasible_share_se"], noise)


def test_verdicts_of_the_monitors_are_those_of_the_table() -> None:
    """The rules applied to the real shares of silent samples give what was measured sample by sample."""
    snn = SnnProblem("snn_stdp")
    snn.shift = 0.0
    Y = quantities(snn.table).Y
    epochs = [int(snn.table.space.decode(x)["epochs"]) for x in snn.table.X]
    said = [snn.is_feasible(snn.said(row), n) for row, n in zip(Y, epochs, strict=True)]
    assert np.mean(said == snn.table.feasible) > 0.98


def test_a_search_runs_on_it_in_simulated_time_without_torch_having_trained() -> None:
    result = run_benchmark("snn_stdp", "random", budget=120, pending=15, seeds=[0])
    assert result["optimum"] == make_problem("snn_stdp").optimum
    assert result["virtual_hours"][0] > 0.0  # type: ignore[index]
    assert 0.0 < result["feasible_share"] < 0.5  # type: ignore[operator]


def test_the_problem_is_made_without_loading_a_trainer() -> None:
    program = (
        "import sys; from snnhpo_mpi.bench.optimizer import make_problem; make_problem('snn_stdp');"
        "print([name for name in sys.modules if name.startswith(('bindsnet', 'numba', 'snnhpo_mpi.snn.stdp'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
