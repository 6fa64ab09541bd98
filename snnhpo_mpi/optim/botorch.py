"""The engine ``library``: models, draws, improvements and their maximisation by BoTorch and GPyTorch.

Thompson sampling draws Matheron paths and climbs them; the improvement is ``qLogNoisyExpectedImprovement`` over all
trials with a score, with constraints and pending trials, maximised in the box by
``optimize_acqf_mixed_alternating``. It is several times slower than ``fast`` (``snnhpo bench optimizer --parts``); what
is shared by both is in ``engines.py``.

Source: Balandat et al., NeurIPS 2020 (BoTorch); Wilson et al., JMLR 2021 (Matheron paths); Ament et al., NeurIPS 2023
(logarithmic improvements).

Notation
    r points    d columns    h hyperparameters    q outputs: the objective, then the constraints and failure
    Z  r x d    N  r x h: a categorical as the number of its choice, the others as encoded
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from botorch.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.models import ModelListGP, SingleTaskGP
from botorch.optim.optimize_mixed import MAX_DISCRETE_VALUES, optimize_acqf_mixed_alternating
from botorch.sampling.normal import SobolQMCNormalSampler
from botorch.sampling.pathwise import draw_kernel_feature_paths, draw_matheron_paths
from botorch.sampling.pathwise.features import gen_kernel_features
from botorch.sampling.pathwise.features.maps import FeatureMap
from gpytorch.kernels import Kernel
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Acquisition, Box
from snnhpo_mpi.optim.acquisition.of_moments import FEASIBILITY, OfMoments
from snnhpo_mpi.optim.acquisition.thompson import Draw
from snnhpo_mpi.optim.gpytorch import Posterior, alone, condition, fit_anchor
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.settings import ScboSettings
from snnhpo_mpi.space import Space

__all__ = ["condition", "draw", "fit_anchor", "improvement", "surrogate"]
Array = NDArray[np.float64]
N_SAMPLES = 128  # of the outputs, that an improvement is the mean of
AT_ONCE = 256  # points


class Features(FeatureMap):  # type: ignore[misc]
    """Random features of the Matern part, and the trend's own, which are exact."""

    def __init__(self, kernel: Kernel, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        matern, self.trend = kernel.kernels
        self.matern = gen_kernel_features(matern, num_inputs=num_inputs, num_outputs=num_outputs)
        self.num_outputs = num_outputs + 2 * num_inputs
        self.input_transform = self.output_transform = None
        self.batch_shape = torch.Size()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``... x r x d`` -> ``... x r x num_outputs``."""
        return torch.cat([self.matern(x), self.trend.features(x)], dim=-1)


class Paths:
    """Functions of ``d`` columns drawn from the posteriors of q outputs."""

    def __init__(
        self, posteriors: Sequence[Posterior], rng: np.random.Generator, temperature: float, n_features: int
    ) -> None:
        """Draw them; their deviations from the means are multiplied by ``temperature``."""
        prior = partial(draw_kernel_feature_paths, map_generator=Features, num_features=n_features)
        self._means = [posterior.believed for posterior in posteriors]
        self._temperature = temperature
        with alone(rng), torch.no_grad():
            self._paths = [draw_matheron_paths(model, torch.Size(), prior_sampler=prior) for model in self._means]

    def __call__(self, Z: Array) -> Array:
        """Values ``q x r`` at the rows of Z ``r x d``."""
        with alone(), torch.no_grad():
            values: Array = self._values(torch.tensor(Z)).numpy()
        return values

    def value_and_gradient(self, Z: Array) -> tuple[Array, Array]:
        """Values ``q x r`` and gradients ``q x r x d``."""
        with alone():
            at = torch.tensor(Z, requires_grad=True)
            values = self._values(at)
            return values.detach().numpy(), _gradients(values, at)

    def _values(self, at: torch.Tensor) -> torch.Tensor:
        drawn = torch.stack([path(at) for path in self._paths])
        if self._temperature == 1.0:
            return drawn
        means = torch.stack([model.posterior(at).mean[:, 0] for model in self._means])
        return means + self._temperature * (drawn - means)


class Moments:
    """Means and variances of q outputs."""

    def __init__(self, models: Sequence[SingleTaskGP]) -> None:
        self._models = models

    def __call__(self, Z: Array) -> tuple[Array, Array]:
        """Means and variances, each ``q x r``, at the rows of Z ``r x d``."""
        with alone(), torch.no_grad():
            pairs = [self._of(torch.tensor(block)) for block in _blocks(Z)]
        means, variances = (torch.cat(parts, dim=1).numpy() for parts in zip(*pairs, strict=True))
        return means, variances

    def with_gradients(self, Z: Array) -> tuple[Array, Array, Array, Array]:
        """Means and variances ``q x r``, then their gradients ``q x r x d``."""
        with alone():
            at = torch.tensor(Z, requires_grad=True)
            means, variances = self._of(at)
            gradients = _gradients(means, at), _gradients(variances, at)
        return means.detach().numpy(), variances.detach().numpy(), *gradients

    def _of(self, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        posteriors = [model.posterior(at) for model in self._models]
        means, variances = ([getattr(p, name)[:, 0] for p in posteriors] for name in ("mean", "variance"))
        return torch.stack(means), torch.stack(variances)


def _gradients(values: torch.Tensor, at: torch.Tensor) -> Array:
    """Gradients ``q x r x d`` of values ``q x r``, each of which depends on its own row of the points alone."""
    rows = [torch.autograd.grad(row.sum(), at, retain_graph=True)[0] for row in values]
    return torch.stack(rows).numpy()


def _blocks(Z: Array) -> list[Array]:
    return [Z[start : start + AT_ONCE] for start in range(0, max(len(Z), 1), AT_ONCE)]


@dataclass(frozen=True, slots=True)
class Improvement:
    """An acquisition function of the library.

    Attributes:
        function: of ``... x 1 x d`` points.
        rng: of the search for its maximum.
        settings: how many candidates and starts that search has.
    """

    function: AcquisitionFunction
    rng: np.random.Generator
    settings: ScboSettings

    def __call__(self, Z: Array) -> Array:
        """Values ``r``."""
        with alone(), torch.no_grad():
            values = [self.function(torch.tensor(block)[:, None]) for block in _blocks(Z)]
        return torch.cat(values).numpy()

    def screened(self, X: Array, n: int) -> Array:
        """The n best rows of X in order."""
        return self.best_first(X)[:n]

    def best_first(self, X: Array) -> Array:
        """The rows of X in order, the best first."""
        return X[np.argsort(-self(X), kind="stable")]

    def climbed(self, X: Array, box: Box, n_evaluations: int) -> Array:
        """The point ``1 x d`` where the library's own search of the box ends; it chooses its starts by itself."""
        lower, upper, discrete, choices, fixed = _native(box)
        with alone(self.rng):
            found, _ = optimize_acqf_mixed_alternating(
                _OfNative(self.function, box.space),
                torch.tensor(np.stack([lower, upper])),
                discrete_dims=discrete,
                cat_dims=choices,
                fixed_features=fixed,
                raw_samples=self.settings.candidates.n_improvement,
                num_restarts=self.settings.local_search.n_starts,
                options={"maxiter_continuous": n_evaluations, "num_spray_points": 0},
            )
            return box.space.snap(_encoded(found, box.space).numpy())


class _OfNative(AcquisitionFunction):  # type: ignore[misc]
    """A function of encoded points as one of N, which is how the library's search wants categoricals."""

    def __init__(self, function: AcquisitionFunction, space: Space) -> None:
        super().__init__(function.model)
        self._function, self._space = function, space
        self.X_pending = None  # the function has them

    def forward(self, N: torch.Tensor) -> torch.Tensor:
        """``... x 1 x h`` -> ``...``."""
        values: torch.Tensor = self._function(_encoded(N, self._space))
        return values


def _encoded(N: torch.Tensor, space: Space) -> torch.Tensor:
    """``... x h`` -> ``... x d``; what does not exist in a row has its one value there, whatever the search tried."""
    parts = []
    for i, name in enumerate(space.names):
        width = space.columns[name].stop - space.columns[name].start
        one_hot = width > 1
        column = torch.nn.functional.one_hot(N[..., i].round().long(), width).to(N) if one_hot else N[..., i : i + 1]
        parts.append(column)
    X = torch.cat(parts, dim=-1)
    if not space.needs:
        return X
    there = space.existing(X.detach().reshape(-1, space.dim).numpy()).reshape(X.shape)
    return torch.where(torch.from_numpy(there), X, torch.from_numpy(space.absent))


Values = dict[int, list[float]]


def _native(box: Box) -> tuple[Array, Array, Values, Values, dict[int, float]]:
    """A box as the library's search takes it.

    Returns:
        Corners ``h``; the values of ints that have few in the box, and the numbers of choices, by index; the value of
        an int that has one. An int of many values moves as a float and is rounded at the end.
    """
    space = box.space
    first = np.array([space.columns[name].start for name in space.names])
    lower, upper = box.lower[first], box.upper[first]
    discrete: Values = {}
    choices: Values = {}
    fixed: dict[int, float] = {}
    for i, name in enumerate(space.names):
        column = space.columns[name]
        if (width := column.stop - column.start) > 1:
            lower[i], upper[i] = 0.0, width - 1.0
            choices[i] = [float(choice) for choice in range(width)]
        elif column.start in space.integer_columns:
            points = space.int_points(column.start, float(lower[i]), float(upper[i])).tolist()
            lower[i], upper[i] = points[0], points[-1]
            if len(points) == 1:
                fixed[i] = points[0]
            elif len(points) <= MAX_DISCRETE_VALUES:
                discrete[i] = points
    return lower, upper, discrete, choices, fixed


def draw(
    posteriors: list[Posterior | None], rng: np.random.Generator, temperature: float, settings: ScboSettings
) -> Acquisition:
    """One joint draw of all outputs; its spread is multiplied by ``temperature``."""
    used = [posterior for posterior in posteriors if posterior]
    paths = Paths(used, rng, temperature, settings.gp.n_features)
    return Draw(paths, paths, posteriors[0] is not None, settings.thompson, settings.local_search)


def surrogate(posteriors: list[Posterior | None]) -> Moments:
    """Means and variances of the outputs that have a model, given what is believed of pending trials."""
    return Moments([posterior.believed for posterior in posteriors if posterior])


def improvement(
    posteriors: list[Posterior | None],
    known: Told,
    center: Array,
    rng: np.random.Generator,
    settings: ScboSettings,
) -> Acquisition:
    """The noisy improvement over all trials with a score, or feasibility while no trial was feasible.

    Args:
        posteriors: of all outputs.
        known: the answers that they were made of.
        center: of the box; not needed.
        rng: of the samples and of the search.
        settings: of the search.
    """
    objective, *constraints = posteriors
    if objective is None or not known.feasible.any():
        outputs = surrogate(constraints)
        return OfMoments(FEASIBILITY, outputs, outputs, -np.inf, settings.local_search)
    n_pending = objective.n_pending
    pending = torch.tensor(objective.X[len(objective.X) - n_pending :]) if n_pending else None
    told = [posterior.told for posterior in posteriors if posterior]
    with alone(rng):
        function = qLogNoisyExpectedImprovement(
            ModelListGP(*told),
            X_baseline=torch.tensor(known.X[known.scored]),
            sampler=SobolQMCNormalSampler(torch.Size([N_SAMPLES]), seed=int(rng.integers(2**31))),
            objective=GenericMCObjective(lambda samples, X=None: samples[..., 0]),
            constraints=[partial(_output, j) for j in range(1, len(told))] or None,
            X_pending=pending,
        )
    return Improvement(function, rng, settings)


def _output(j: int, samples: torch.Tensor) -> torch.Tensor:
    return samples[..., j]
