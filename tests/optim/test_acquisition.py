"""The worth of a point, with functions and posteriors whose best point is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from snnhpo_mpi.optim.acquisition import Draw, Improvement, log_h, order
from snnhpo_mpi.optim.climb import climb


@dataclass(frozen=True)
class Quadratic:
    """offset + sign sum (x - at)^2: a sample path that can be computed by hand."""

    at: np.ndarray
    sign: float = -1.0
    offset: float = 0.0

    def __call__(self, X: np.ndarray) -> np.ndarray:
        return self.offset + self.sign * ((X - self.at) ** 2).sum(axis=1)

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self(Z), 2.0 * self.sign * (Z - self.at)


@dataclass(frozen=True)
class Functions:
    """Several of them, as the paths of a draw."""

    outputs: tuple[Quadratic, ...]

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        return np.stack([output(Z) for output in self.outputs])

    def value_and_gradient(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [output.value_and_gradient(Z) for output in self.outputs]
        return np.stack([value for value, _ in pairs]), np.stack([gradient for _, gradient in pairs])


@dataclass(frozen=True)
class Normals:
    """Posteriors whose means are functions and whose variances are linear in the first column."""

    means: Functions
    variances: tuple[float, ...]
    slopes: tuple[float, ...]

    def __call__(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        variances = [v + slope * Z[:, 0] for v, slope in zip(self.variances, self.slopes, strict=True)]
        return self.means(Z), np.stack(variances)

    def with_gradients(self, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        by_variance = np.stack([np.tile([slope, 0.0], (len(Z), 1)) for slope in self.slopes])
        return *self(Z), self.means.value_and_gradient(Z)[1], by_variance


def draw(objective: Quadratic | None, *constraints: Quadratic) -> Draw:
    outputs = Functions(constraints if objective is None else (objective, *constraints))
    return Draw(outputs, outputs, scored=objective is not None)


PEAK = Quadratic(np.array([0.8, 0.5]))
DISC = Quadratic(np.array([0.3, 0.5]), sign=1.0, offset=-0.04)  # feasible within 0.2 of (0.3, 0.5)
UNIT = (np.zeros(2), np.ones(2))


def test_feasible_rows_come_first_by_objective_and_the_rest_by_clipped_violation() -> None:
    F = np.array([9.0, 1.0, 2.0, 5.0])
    G = np.array([[0.1, -5.0], [-1.0, -1.0], [-0.1, 0.0], [0.2, -99.0]])
    assert order(F, G).tolist() == [2, 1, 0, 3]


def test_without_constraints_the_largest_objective_wins() -> None:
    assert order(np.array([1.0, 3.0, 2.0]), np.zeros((3, 0)))[0] == 1


def test_climbing_a_draw_ends_inside_at_the_boundary_of_the_constraint() -> None:
    joint = draw(PEAK, DISC)
    found = np.array([[0.3, 0.45], [0.9, 0.9]])
    for merit in joint.merits():
        found = climb(merit, found, *UNIT)
    assert found == pytest.approx(np.array([[0.5, 0.5]] * 2), abs=5e-3)
    assert (joint.values(found)[1] <= 0).all()


def test_a_draw_without_an_objective_climbs_to_the_deepest_point() -> None:
    (depth,) = draw(None, DISC, DISC).merits()
    found = climb(depth, np.array([[0.9, 0.9]]), *UNIT)
    assert found[0] == pytest.approx([0.3, 0.5], abs=1e-3)


def test_without_a_scored_trial_the_objective_is_the_depth() -> None:
    F, G = draw(None, DISC).values(np.array([[0.3, 0.5], [0.9, 0.5]]))
    assert pytest.approx(-G[:, 0]) == F
    assert F[0] > F[1]


def test_the_logarithm_of_the_gain_is_that_of_its_integral_and_has_no_step() -> None:
    for u in (-4.0, -1.01, -0.99, 0.0, 2.5):
        gain = quad(lambda z, u=u: max(u + z, 0.0) * norm.pdf(z), -u, 40.0)[0]
        assert log_h(np.array([u]))[0] == pytest.approx(np.log(gain), rel=1e-6)
    u = np.linspace(-40.0, 3.0, 20_001)
    assert np.abs(np.diff(log_h(u), 2)).max() < 1e-4
    assert np.isfinite(log_h(np.array([-1e8, -1e150]))).all()


def test_improvement_is_the_product_of_the_gain_and_the_probabilities() -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.0, 0.0))
    z = np.array([[0.4, 0.5]])
    expected = np.log(0.2) + log_h(np.array([(-0.16 + 0.3) / 0.2]))[0] + norm.logcdf(0.03 / 0.1)
    assert Improvement(outputs, outputs, -0.3)(z)[0] == pytest.approx(expected)


def test_without_a_best_value_the_safest_point_wins() -> None:
    outputs = Normals(Functions((DISC,)), (0.01,), (0.0,))
    found = climb(Improvement(outputs, outputs, None), np.array([[0.7, 0.9]]), *UNIT)
    assert found[0] == pytest.approx([0.3, 0.5], abs=1e-2)


@pytest.mark.parametrize("best", [-0.5, 3.0])
def test_the_gradients_agree_with_finite_differences(best: float) -> None:
    outputs = Normals(Functions((PEAK, DISC)), (0.04, 0.01), (0.02, 0.03))
    merits = [
        Improvement(outputs, outputs, best),
        *draw(PEAK, DISC, PEAK).merits(),
        *draw(None, DISC, PEAK).merits(),
    ]
    Z = np.array([[0.4, 0.6], [0.9, 0.1]])
    for merit in merits:
        gradient = merit.value_and_gradient(Z)[1]
        for i in range(2):
            h = 1e-6 * np.eye(2)[i]
            slope = (merit.value_and_gradient(Z + h)[0] - merit.value_and_gradient(Z - h)[0]) / 2e-6
            assert gradient[:, i] == pytest.approx(slope, rel=1e-4)
    assert merits[0].value_and_gradient(Z)[0] == pytest.approx(merits[0](Z))  # type: ignore[operator]
