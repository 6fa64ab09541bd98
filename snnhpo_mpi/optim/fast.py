"""The engine ``fast``: our own Gaussian processes and acquisitions (``gp/``, ``acquisition/``)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.interfaces import Acquisition
from snnhpo_mpi.optim.acquisition import thompson
from snnhpo_mpi.optim.acquisition.of_moments import of_moments
from snnhpo_mpi.optim.acquisition.table import ACQUISITIONS
from snnhpo_mpi.optim.gp.batched import Moments
from snnhpo_mpi.optim.gp.conditioning import condition, fit_anchor
from snnhpo_mpi.optim.gp.posterior import Posterior
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.settings import ScboSettings

__all__ = ["condition", "draw", "fit_anchor", "improvement", "surrogate"]
Array = NDArray[np.float64]


def draw(
    posteriors: list[Posterior | None], rng: np.random.Generator, temperature: float, settings: ScboSettings
) -> Acquisition:
    """One joint draw of all outputs; its spread is multiplied by ``temperature``."""
    return thompson.draw(posteriors, rng, temperature, settings.thompson, settings.local_search)


def improvement(
    posteriors: list[Posterior | None],
    known: Told,
    center: Array,
    rng: np.random.Generator,
    settings: ScboSettings,
) -> Acquisition:
    """The acquisition of the settings: a formula of means and variances, with nothing random in it."""
    formula = ACQUISITIONS[settings.acquisition]
    return of_moments(formula, posteriors, known, center, settings.refit.n_near, settings.local_search)


def surrogate(posteriors: list[Posterior | None]) -> Moments:
    """Means and variances of the outputs that have a model."""
    return Moments([posterior for posterior in posteriors if posterior])
