"""BoTorch's SCBO tutorial, and FuRBO's idea, behind the same ask and tell as ours, to compare with.

``BotorchScbo`` is the algorithm of the tutorial, with BoTorch's own parts: exact joint draws at 2,000 candidates, one
length rule for a whole batch, perturbation probability min(20/d, 1), a queue that is refilled with a batch when it is
empty, pending trials ignored. Three things are added so that it can run here: after a restart it draws a new design
and goes on; ints and categoricals are rounded when evaluated, and told where they were evaluated; a trial without a
number is told as nothing. Stopped trials give it constraints and, as published, their running accuracy as objective.

``Furbo`` differs in the region alone, which its models place: it is the box of the best tenth of the points of a ball.

Source: Eriksson & Poloczek, AISTATS 2021 (SCBO); Ascia et al., AutoML 2025, arXiv 2506.14619 (FuRBO).
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from typing import Any

import numpy as np
import torch
from botorch.exceptions import BotorchWarning, ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.generation.sampling import ConstrainedMaxPosteriorSampling
from botorch.models import ModelListGP, SingleTaskGP
from botorch.models.transforms.outcome import Standardize
from gpytorch.constraints import Interval
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.warnings import NumericalWarning
from numpy.typing import NDArray
from torch.quasirandom import SobolEngine

from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Proposal, Trial, trial_seed

Array = NDArray[np.float64]
N_CANDIDATES = 2000
N_INSPECTORS, BEST_SHARE = 1000, 0.1
LENGTH_INIT, LENGTH_MIN, LENGTH_MAX, SUCCESS_TOLERANCE = 0.8, 0.5**7, 1.6, 3


class BotorchScbo:
    """The tutorial's SCBO for batches of ``batch`` trials."""

    def __init__(self, space: Space, n_constraints: int, seed: int, n_initial: int, batch: int, noisy: bool) -> None:
        """Nothing told yet.

        Args:
            space: of the searched hyperparameters.
            n_constraints: m.
            seed: of the study.
            n_initial: size of each initial design.
            batch: proposals made at once.
            noisy: lets the noise variance exceed the tutorial's 1e-3.
        """
        self._space, self._seed, self._n_initial, self._batch = space, seed, n_initial, batch
        self._noise = Interval(1e-8, 1.0 if noisy else 1e-3)
        self._number = self._n_told = 0
        self._asked: dict[int, Array] = {}
        self._X: list[Array] = []
        self._Y: list[tuple[float, Array]] = []
        self._told_in_batch = 0
        self._queue: deque[Array] = deque()
        self._restart()

    def _restart(self) -> None:
        self._length, self._successes, self._failures = LENGTH_INIT, 0, 0
        self._tolerance = math.ceil(max(4.0 / self._batch, self._space.dim / self._batch))
        self._queue.extend(self._sobol(self._n_initial).numpy())
        self._X, self._Y, self._best = [], [], None

    _best: tuple[float, Array] | None

    def adopt(self, trial: Trial) -> None:
        """A trial that was asked before, by another process, is pending; it takes the place of one of the queue."""
        if self._queue:
            self._queue.popleft()
        self._asked[trial.number] = self._space.encode(trial.params)
        self._number = max(self._number, trial.number + 1)

    def ask(self) -> Proposal:
        """Next of the queue, refilled by the models when empty."""
        if not self._queue:
            self._queue.extend(self._proposals() if self._Y else self._sobol(self._batch).numpy())
        x = self._space.snap(self._queue.popleft()[None])[0]
        trial = Trial(self._number, self._space.decode(x), trial_seed(self._seed, self._number))
        self._asked[trial.number] = x
        self._number += 1
        return Proposal(trial, self._n_told, {"length": self._length})

    def tell(self, outcome: Outcome) -> None:
        """Learn; once a whole batch is told the length may change."""
        self._n_told += 1
        if outcome.objective is None:
            return
        self._X.append(self._asked.pop(outcome.number))
        self._Y.append((outcome.objective, np.array(outcome.constraints)))
        if len(self._Y) >= self._n_initial + self._batch and (len(self._Y) - self._n_initial) % self._batch == 0:
            self._resize(self._Y[-self._batch :])
        elif len(self._Y) == self._n_initial:
            self._best = min(self._Y, key=_rank)

    def _resize(self, batch: list[tuple[float, Array]]) -> None:
        challenger, best = min(batch, key=_rank), self._best
        assert best is not None
        if (challenger[1] <= 0).all() and (best[1] <= 0).all():
            better = challenger[0] > best[0] + 1e-3 * math.fabs(best[0])
        else:
            better = _rank(challenger) < _rank(best)
        self._successes, self._failures = (self._successes + 1, 0) if better else (0, self._failures + 1)
        if self._successes == SUCCESS_TOLERANCE:
            self._length, self._successes = min(2.0 * self._length, LENGTH_MAX), 0
        elif self._failures == self._tolerance:
            self._length, self._failures = self._length / 2.0, 0
        self._best = min(best, challenger, key=_rank)
        if self._length < LENGTH_MIN:
            self._restart()

    def _proposals(self) -> list[Array]:
        X = torch.tensor(np.array(self._X))
        columns = [torch.tensor([y for y, _ in self._Y], dtype=torch.double)]
        columns += list(torch.tensor(np.array([c for _, c in self._Y])).T)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # Constant outputs, added jitter, fits that stop early: all expected here, none is ours to mend.
            warnings.simplefilter("ignore", (BotorchWarning, NumericalWarning, FutureWarning, UserWarning))
            torch.manual_seed(trial_seed(self._seed, self._number))
            models = [self._model(X, column) for column in columns]
            sampler = ConstrainedMaxPosteriorSampling(models[0], ModelListGP(*models[1:]), replacement=False)
            with torch.no_grad():
                chosen = sampler(self._candidates(X, models), num_samples=self._batch)
        return list(chosen.numpy())

    def _model(self, X: torch.Tensor, values: torch.Tensor) -> Any:
        kernel = ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=X.shape[1], lengthscale_constraint=Interval(0.005, 4.0)))
        likelihood = GaussianLikelihood(noise_constraint=self._noise)
        model = SingleTaskGP(
            X, values[:, None], covar_module=kernel, likelihood=likelihood, outcome_transform=Standardize(m=1)
        )
        start = {name: value.clone() for name, value in model.state_dict().items()}
        try:
            fit_gpytorch_mll(ExactMarginalLogLikelihood(likelihood, model))
        except ModelFittingError:  # after all of BoTorch's own attempts: with the kernel it starts from
            model.load_state_dict(start)
        return model

    def _candidates(self, X: torch.Tensor, models: list[Any]) -> torch.Tensor:
        d = X.shape[1]
        center = X[min(range(len(self._Y)), key=lambda i: _rank(self._Y[i]))]
        lower, upper = self._box(center, models)
        sobol = self._sobol(N_CANDIDATES)
        mask = torch.rand(N_CANDIDATES, d) <= min(20.0 / d, 1.0)
        empty = torch.where(mask.sum(dim=1) == 0)[0]
        mask[empty, torch.randint(0, d, (len(empty),))] = True
        return torch.where(mask, lower + (upper - lower) * sobol, center)

    def _box(self, center: torch.Tensor, models: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Corners of the region, each ``d``."""
        half = self._length / 2.0
        return (center - half).clamp(0.0, 1.0), (center + half).clamp(0.0, 1.0)

    def _sobol(self, n: int) -> torch.Tensor:
        seed = trial_seed(self._seed, self._number)
        engine = SobolEngine(self._space.dim, scramble=True, seed=seed)  # type: ignore[no-untyped-call]
        return engine.draw(n, dtype=torch.double)


class Furbo(BotorchScbo):
    """SCBO in the region that the models find best around the incumbent, feasible first."""

    def _box(self, center: torch.Tensor, models: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Corners of the box of the best inspectors: points of the ball around the tutorial's box, cut to the cube."""
        d = len(center)
        steps = torch.randn(N_INSPECTORS, d, dtype=torch.double)
        reach = self._length * math.sqrt(d) / 2.0 * torch.rand(N_INSPECTORS, 1, dtype=torch.double) ** (1.0 / d)
        inspectors = (center + steps / steps.norm(dim=1, keepdim=True) * reach).clamp(0.0, 1.0)
        objective, *constraints = (model.posterior(inspectors).mean[:, 0].numpy() for model in models)
        violation = sum((np.maximum(c, 0.0) for c in constraints), np.zeros(N_INSPECTORS))
        order = np.lexsort((np.where(violation > 0.0, 0.0, -objective), violation))
        best = inspectors[torch.as_tensor(order[: int(BEST_SHARE * N_INSPECTORS)])]
        return best.amin(dim=0), best.amax(dim=0)


def _rank(answer: tuple[float, Array]) -> tuple[float, float]:
    """Smaller is better: least violation first, then the best objective."""
    violation = float(np.maximum(answer[1], 0.0).sum())
    return violation, -answer[0] if violation == 0.0 else 0.0
