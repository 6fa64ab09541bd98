"""CMA-ES with constraints, by the library ``cma``, as one more method to compare with.

CMA-ES uses only the order of a population, so constraints enter by the order: feasible trials by their objective
before infeasible ones by their total violation. More trials than a population may be out.

Source: Hansen, arXiv 1604.00772 (CMA-ES); Deb, CMAME 2000 (the order).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.extras import require
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import Outcome, Proposal, Trial, trial_seed

Array = NDArray[np.float64]
SIGMA = 0.3  # of the cube's side, at the start


class CmaEs:
    """Ask and tell; ints and choices are rounded when evaluated."""

    def __init__(self, space: Space, seed: int) -> None:
        """Nothing told yet.

        Raises:
            ConfigError: the library is not installed.
        """
        require("cma", "--method pycma")
        import cma

        options = {"bounds": [0, 1], "seed": trial_seed(seed, 0) % 2**31 + 1, "verbose": -9}
        self._es: Any = cma.CMAEvolutionStrategy(np.full(space.dim, 0.5), SIGMA, options)
        self._space, self._seed, self._number, self._n_told = space, seed, 0, 0
        self._queue: deque[Array] = deque()
        self._out: dict[int, Array] = {}
        self._told: list[tuple[Array, tuple[float, float]]] = []

    def ask(self) -> Proposal:
        """Next of the population, or one more of the same distribution."""
        if not self._queue:
            self._queue.extend(self._es.ask())
        x = self._queue.popleft()
        params = self._space.decode(self._space.snap(np.asarray(x)[None])[0])
        trial = Trial(self._number, params, trial_seed(self._seed, self._number))
        self._out[trial.number] = x
        self._number += 1
        return Proposal(trial, self._n_told)

    def tell(self, outcome: Outcome) -> None:
        """Learn; the distribution moves when a population is told."""
        self._n_told += 1
        x = self._out.pop(outcome.number)
        if outcome.objective is None and not outcome.constraints:
            rank = (math.inf, 0.0)
        else:
            violation = sum(max(c, 0.0) for c in outcome.constraints)
            rank = (violation, -(outcome.objective or 0.0) if outcome.feasible else 0.0)
        self._told.append((x, rank))
        if len(self._told) == self._es.popsize:
            self._told.sort(key=lambda answer: answer[1])
            self._es.tell([x for x, _ in self._told], list(range(len(self._told))))
            self._told.clear()
            self._queue.clear()
