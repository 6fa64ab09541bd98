"""Who computes the models and what points are worth: our own core, or BoTorch and GPyTorch. Chosen by a setting.

An engine is a module with the functions below. Both have the same covariance, priors, starts of a fit and schedule of
fits; the trust region, the candidates and everything that decides what is modelled are shared.
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.extras import absent
from snnhpo_mpi.interfaces import Acquisition, Surrogate
from snnhpo_mpi.optim import fast
from snnhpo_mpi.optim.acquisition.table import ACQUISITIONS
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.settings import DEFAULTS, ENGINES, GpSettings, ScboSettings

Array = NDArray[np.float64]
Generator = np.random.Generator


class Engine(Protocol):
    """A fitted model has its points ``X``; a posterior has ``X``, the pending ones included, and ``lengthscales``."""

    def fit_anchor(self, X: Array, y: Array, groups: NDArray[np.intp], rng: Generator, settings: GpSettings) -> Any:
        """A model fitted to ``n x d`` points and ``n`` values; columns of a group share a lengthscale."""
        ...

    def condition(self, fitted: Any, X_new: Array, y: Array, X_pending: Array) -> Any:
        """Its posterior given the values y of its own and of new points, and what is believed of pending points."""
        ...

    def draw(self, posteriors: list[Any], rng: Generator, temperature: float, settings: ScboSettings) -> Acquisition:
        """One joint draw of all outputs."""
        ...

    def improvement(
        self, posteriors: list[Any], known: Told, center: Array, rng: Generator, settings: ScboSettings
    ) -> Acquisition:
        """The improvement over the best known, or feasibility while nothing feasible is known."""
        ...

    def surrogate(self, posteriors: list[Any]) -> Surrogate:
        """Means and variances of the outputs that have a model."""
        ...


def engine_of(settings: ScboSettings) -> Engine:
    """The engine that the settings name; BoTorch is imported only where it is asked for.

    Raises:
        ConfigError: there is no such engine, it is not installed, or it has no such acquisition.
    """
    if settings.engine not in ENGINES:
        raise ConfigError(f"engine: {settings.engine!r} is unknown; allowed: {', '.join(ENGINES)}")
    if settings.acquisition not in ACQUISITIONS:
        raise ConfigError(f"acquisition: {settings.acquisition!r} is unknown; allowed: {', '.join(ACQUISITIONS)}")
    if settings.engine == "fast":
        return fast
    if settings.acquisition != DEFAULTS.acquisition:
        raise ConfigError(
            f"acquisition: {settings.acquisition} is computed by engine fast only; the engine library has "
            "qLogNoisyExpectedImprovement"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch.jit, which GPyTorch's dependency uses
        try:
            from snnhpo_mpi.optim import botorch
        except ModuleNotFoundError as error:
            if (reason := absent(error, "engine: library")) is None:
                raise
            raise ConfigError(reason) from error
    return botorch
