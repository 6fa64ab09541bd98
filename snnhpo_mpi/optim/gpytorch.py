"""The model of one output in GPyTorch and BoTorch: covariance, priors and bounds are those of ``gp/``.

The fit and the conditioning are the library's. Hyperparameters have the same names and units in both engines, so that
each can be checked with what the other found (``tests/optim/test_botorch.py``).

Source: Gardner et al., NeurIPS 2018 (GPyTorch); Balandat et al., NeurIPS 2020 (BoTorch). The formulas are cited in
``gp/kernel.py`` and ``gp/fit.py``.

Notation
    n told    p pending    d columns    g lengthscales (one a hyperparameter)    X  n x d    y  n of about unit spread
"""

from __future__ import annotations

import math
import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gpytorch
import numpy as np
import torch
from botorch import settings as botorch_settings
from botorch.exceptions.errors import BotorchError
from botorch.models import SingleTaskGP
from botorch.optim.fit import fit_gpytorch_mll_scipy
from botorch.utils.constraints import LogTransformedInterval
from gpytorch.kernels import Kernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import NormalPrior
from linear_operator.utils.errors import NanError, NotPSDError
from numpy.typing import NDArray

from snnhpo_mpi.optim.gp.conditioning import chosen_rows
from snnhpo_mpi.optim.gp.fit import N_SCALARS, Hyperparameters, best_theta, centred, dimension_prior, unpack
from snnhpo_mpi.optim.settings import GpSettings, Pair

Array = NDArray[np.float64]
Groups = NDArray[np.intp]

_one_at_a_time = threading.RLock()


@contextmanager
def alone(rng: np.random.Generator | None = None) -> Iterator[None]:
    """While the block runs, the library is exact and quiet, and no other thread is in it.

    GPyTorch's settings, PyTorch's generator and Python's warnings belong to the whole process: an ask and a fit that
    run at the same time would get each other's.

    Args:
        rng: where everything random of the block comes from; the process's generators are as before afterwards.

    Raises:
        numpy.linalg.LinAlgError: the library found no factor or no candidate.
    """
    exact = gpytorch.settings.fast_computations(covar_root_decomposition=False, log_prob=False, solves=False)
    with _one_at_a_time, warnings.catch_warnings(), botorch_settings.validate_input_scaling(False), exact:
        warnings.simplefilter("ignore")  # a jitter, a fit that ends at its last step: both are meant
        try:
            with _seeded(rng):
                yield
        except (BotorchError, NanError, NotPSDError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
            raise np.linalg.LinAlgError(f"BoTorch: {error}") from error


@contextmanager
def _seeded(rng: np.random.Generator | None) -> Iterator[None]:
    if rng is None:
        yield
        return
    state = random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**62)))
        random.seed(int(rng.integers(2**62)))
        try:
            yield
        finally:
            random.setstate(state)


class GroupedMatern(MaternKernel):  # type: ignore[misc]
    """Matern-5/2 in which the columns of a group, such as those of a categorical, share a lengthscale."""

    def __init__(self, groups: Groups, bounds: Pair, prior: NormalPrior) -> None:
        super().__init__(
            2.5, ard_num_dims=int(groups.max()) + 1, lengthscale_constraint=LogTransformedInterval(*bounds)
        )
        self.ard_num_dims = len(groups)  # of the columns; the parameter has one for each group
        self.groups = torch.as_tensor(groups)
        self.register_prior("lengthscale_prior", prior, lambda kernel: kernel.raw_lengthscale)

    @property
    def lengthscale(self) -> torch.Tensor:
        """``1 x d``."""
        own: torch.Tensor = self.raw_lengthscale_constraint.transform(self.raw_lengthscale)
        return own[..., self.groups]


class Trend(Kernel):  # type: ignore[misc]
    """The additive linear and quadratic trend of ``gp/kernel.py``."""

    def __init__(self, bounds: Pair, prior: NormalPrior) -> None:
        super().__init__()
        self.register_parameter("raw_variances", torch.nn.Parameter(torch.zeros(2, dtype=torch.double)))
        self.register_constraint("raw_variances", LogTransformedInterval(*bounds))
        self.register_prior("variances_prior", prior, lambda kernel: kernel.raw_variances)

    def features(self, X: torch.Tensor) -> torch.Tensor:
        """``... x n x d`` -> ``... x n x 2d``; their products are the covariance."""
        linear, quadratic = self.raw_variances_constraint.transform(self.raw_variances).sqrt()
        u = 2.0 * X - 1.0
        return torch.cat([linear * u, quadratic * (1.5 * u * u - 0.5)], dim=-1)

    def forward(self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **params: Any) -> torch.Tensor:
        """Covariance ``... x n x r`` of two sets of points, or its diagonal."""
        first, second = self.features(x1), self.features(x2)
        return (first * second).sum(dim=-1) if diag else first @ second.transpose(-1, -2)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model at its anchor: its points ``n x d`` and what the fit found.

    Attributes:
        theta: ``g + 4`` logarithms of the hyperparameters, in the order of ``gp/fit.py``.
        groups: ``d`` index of the lengthscale that each column uses.
        settings: priors and bounds.
    """

    X: Array
    theta: Array
    groups: Groups
    settings: GpSettings

    @property
    def hyper(self) -> Hyperparameters:
        """The same, by their names."""
        return unpack(self.theta, self.groups, self.settings)


@dataclass(frozen=True, slots=True)
class Posterior:
    """A model given everything told and pending.

    Attributes:
        X: ``(n + p) x d`` told, then pending points.
        lengthscales: ``d``.
        told: the library's model given what was told.
        believed: the same given also the mean at each pending point, as if it had been told.
        n_pending: p.
    """

    X: Array
    lengthscales: Array
    told: SingleTaskGP
    believed: SingleTaskGP
    n_pending: int


def gaussian_process(X: Array, y: Array, theta: Array, groups: Groups, settings: GpSettings) -> SingleTaskGP:
    """The library's model of ``n x d`` points and ``n`` values, at given hyperparameters and with mean 0."""
    prior = dimension_prior(int(groups.max()) + 1, settings)
    g = len(theta) - N_SCALARS
    normal = [NormalPrior(torch.tensor(m), torch.tensor(s)) for m, s in zip(prior.mean, prior.deviation, strict=True)]
    of_lengthscales = NormalPrior(torch.tensor(prior.mean[:g]), torch.tensor(prior.deviation[:g]))
    matern = ScaleKernel(
        GroupedMatern(groups, settings.lengthscale_bounds, of_lengthscales),
        outputscale_constraint=LogTransformedInterval(*settings.variance_bounds),
    )
    matern.register_prior("outputscale_prior", normal[g], lambda kernel: kernel.raw_outputscale)
    likelihood = GaussianLikelihood(noise_constraint=LogTransformedInterval(*settings.noise_bounds))
    likelihood.noise_covar.register_prior("noise_prior", normal[-1], lambda noise: noise.raw_noise)
    deviation = torch.tensor(math.sqrt(settings.mean_variance), dtype=torch.double)
    model = SingleTaskGP(
        torch.tensor(X),
        torch.tensor(y)[:, None],
        likelihood=likelihood,
        covar_module=matern + Trend(settings.trend_bounds, normal[g + 1]),
        mean_module=ConstantMean(NormalPrior(torch.zeros_like(deviation), deviation)),
        outcome_transform=None,  # the values were transformed already (``transforms.py``)
    ).double()
    _set(model, torch.tensor(theta))
    return model


def _set(model: SingleTaskGP, theta: torch.Tensor) -> None:
    """Hyperparameters of a model; its parameters are logarithms already."""
    for parameter, value in zip(raw_parameters(model), _split(theta), strict=True):
        parameter.data = value.reshape(parameter.shape).clone()


def raw_parameters(model: SingleTaskGP) -> list[torch.nn.Parameter]:
    """Those that make up theta, in its order: lengthscales, variance, the two of the trend, noise."""
    matern, trend = model.covar_module.kernels
    noise = model.likelihood.noise_covar.raw_noise
    return [matern.base_kernel.raw_lengthscale, matern.raw_outputscale, trend.raw_variances, noise]


def _split(theta: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.split(theta, [len(theta) - N_SCALARS, 1, 2, 1])


def fit_anchor(X: Array, y: Array, groups: Groups, rng: np.random.Generator, settings: GpSettings) -> Fitted:
    """Fit a model to the points told up to the anchor, by the library's likelihood and its L-BFGS-B.

    Args:
        X: ``n x d``.
        y: ``n`` values of about unit spread.
        groups: ``d`` index of the lengthscale that each column uses.
        rng: of the choice of points.
        settings: of the fit: priors, bounds, starts and numbers of steps are those of the fast engine.
    """
    rows, g = chosen_rows(len(X), settings.n_fitted, rng), int(groups.max()) + 1

    def improved(theta: Array, steps: int) -> tuple[float, Array]:
        model = gaussian_process(X[rows], y[rows], theta, groups, settings)
        mll = ExactMarginalLogLikelihood(model.likelihood, model).train()
        options = {"maxiter": steps, "ftol": settings.tolerance}
        result = fit_gpytorch_mll_scipy(mll, options=options)
        found = torch.cat([parameter.detach().reshape(-1) for parameter in raw_parameters(model)])
        return float(result.fval), found.numpy()

    with alone():
        return Fitted(X, best_theta(improved, len(rows), g, settings), groups, settings)


def condition(fitted: Fitted, X_new: Array, y: Array, X_pending: Array) -> Posterior:
    """Posterior given what was told after the anchor and what is pending.

    Args:
        fitted: model of the first trials told.
        X_new: ``(n - a) x d`` told after the anchor's a.
        y: ``n`` values of all told.
        X_pending: ``p x d``.
    """
    X = np.concatenate([fitted.X, X_new])
    with alone(), torch.no_grad():
        told = gaussian_process(X, y, fitted.theta, fitted.groups, fitted.settings)
        covariance = told.likelihood(told(told.train_inputs[0])).lazy_covariance_matrix  # in training mode, the prior
        solved = covariance.solve(torch.tensor(np.stack([y, np.ones_like(y)], axis=1)))
        told.mean_module.constant.fill_(centred(solved.numpy(), fitted.settings.mean_variance)[1])
        told.eval()
        believed, pending = told, torch.tensor(X_pending)
        if len(pending):
            believed = told.condition_on_observations(pending, told.posterior(pending).mean)
    return Posterior(np.concatenate([X, X_pending]), fitted.hyper.kernel.lengthscales, told, believed, len(X_pending))
