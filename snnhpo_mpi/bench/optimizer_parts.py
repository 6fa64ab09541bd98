"""What each part of the optimizer costs, by our own core and by BoTorch: ``snnhpo bench optimizer --parts``.

Both engines get the same answers of a smooth function with noise, the same points, and in turn, so that a busy machine
slows both. Seconds are processor time of one thread, the median of the repetitions.

Notation
    n told    d hyperparameters    m constraints    p pending    q = 1 + m outputs    r points
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnhpo_mpi.optim.engines import Engine, engine_of
from snnhpo_mpi.optim.gp.refit import modelled_rows, outputs
from snnhpo_mpi.optim.observations import Told
from snnhpo_mpi.optim.scbo import ScboSearch
from snnhpo_mpi.optim.settings import DEFAULTS, ENGINES, ScboSettings, changed
from snnhpo_mpi.optim.single_thread import single_threaded
from snnhpo_mpi.space import Space
from snnhpo_mpi.trial import ACCURACY, Outcome, State, Trial

Array = NDArray[np.float64]
Part = Callable[[], object]
Costs = dict[str, dict[str, float]]

PARTS = {
    "fit": "hyperparameters of one output",
    "conditioning": "all outputs, given everything told and pending",
    "paths": f"values of a draw of all outputs at {DEFAULTS.candidates.n_thompson} candidates",
    "path_gradients": f"the same with gradients at {DEFAULTS.local_search.n_starts} points: a step of a climb",
    "moments": f"means and variances of all outputs at {DEFAULTS.candidates.n_improvement} candidates",
    "moment_gradients": f"the same with gradients at {DEFAULTS.local_search.n_starts} points",
    "ask": "a proposal, without fits; draws and improvements in turn",
}
N_ASKS = 6  # half of them draws
ENOUGH_S = 1.0  # of repetitions of a part
MOST_REPETITIONS = 20


@dataclass(frozen=True, slots=True)
class Size:
    """n, d, m and p."""

    n_told: int
    n_hyperparameters: int
    n_constraints: int
    n_pending: int


def measured(size: Size, progress: Callable[[str], None] = lambda line: None) -> Costs:
    """Part -> engine -> seconds; ``progress`` is told a line for each."""
    space = Space({f"x{i}": {"type": "float", "low": 0, "high": 1} for i in range(size.n_hyperparameters)})
    told = answers(size)
    prepared = {name: _parts(changed([f"engine={name}"]), space, told, size) for name in ENGINES}
    costs: Costs = {part: {} for part in PARTS}
    for part in PARTS:
        for name in ENGINES:
            with single_threaded():
                which, once = next(prepared[name])
                assert which == part
                costs[part][name] = _ask_seconds(once) if part == "ask" else _seconds(once)
        progress(f"{part}: " + ", ".join(f"{name} {seconds:.3g} s" for name, seconds in costs[part].items()))
    return costs


def answers(size: Size) -> Told:
    """Of random points: an objective with a peak, linear constraints that hold near it, and noise."""
    rng = np.random.default_rng(0)
    X = rng.random((size.n_told, size.n_hyperparameters))
    noise = 0.01 * rng.standard_normal((size.n_told, 1 + size.n_constraints))
    directions = rng.standard_normal((size.n_hyperparameters, size.n_constraints)) / np.sqrt(size.n_hyperparameters)
    Y = -((X - 0.5) ** 2).sum(axis=1, keepdims=True) + noise[:, :1]
    C = (X - 0.5) @ directions - 0.1 + noise[:, 1:]
    return Told(X, Y, C, np.zeros(size.n_told, dtype=bool), np.full(size.n_told, np.nan))


def _parts(settings: ScboSettings, space: Space, told: Told, size: Size) -> Iterator[tuple[str, Part]]:
    """The parts in their order, each a function that does it once; a part is prepared when it is asked for."""
    engine, rng = engine_of(settings), np.random.default_rng(1)
    known = told.take(modelled_rows(told, settings.refit.n_modelled))
    data = [output for output in outputs(known) if output]
    groups = np.arange(size.n_hyperparameters)

    def fitted(j: int) -> Any:
        return engine.fit_anchor(known.X[data[j].rows], data[j].y, groups, np.random.default_rng(j), settings.gp)

    yield "fit", lambda: fitted(0)
    fits = [fitted(j) for j in range(len(data))]

    def conditioned() -> list[Any]:
        pending = rng.random((size.n_pending, size.n_hyperparameters))  # others each time, so that none is known
        return [engine.condition(fit, known.X[:0], output.y, pending) for fit, output in zip(fits, data, strict=True)]

    yield "conditioning", conditioned
    yield from _evaluations(engine, settings, conditioned(), space)
    search = told_search(settings, space, told, size)
    yield "ask", search.ask


def _evaluations(
    engine: Engine, settings: ScboSettings, posteriors: list[Any], space: Space
) -> Iterator[tuple[str, Part]]:
    rng, draw = np.random.default_rng(2), engine.draw(posteriors, np.random.default_rng(3), 1.0, settings)
    candidates, few = rng.random((settings.candidates.n_thompson, space.dim)), rng.random((4, space.dim))
    few = few[: settings.local_search.n_starts]
    paths: Any = draw
    yield "paths", lambda: draw.screened(candidates, settings.candidates.n_screened)
    yield "path_gradients", lambda: paths.outputs.value_and_gradient(few)
    surrogate = engine.surrogate(posteriors)
    yield "moments", lambda: surrogate(candidates[: settings.candidates.n_improvement])
    yield "moment_gradients", lambda: surrogate.with_gradients(few)


def told_search(settings: ScboSettings, space: Space, told: Told, size: Size) -> ScboSearch:
    """A search that was told the answers, has its models fitted, and has p - 1 trials out."""
    search = ScboSearch(space, size.n_constraints, 0, 1, settings)
    for number in range(len(told)):
        search.adopt(Trial(number, space.decode(told.X[number]), number))
        values = tuple(float(c) for c in told.C[number])
        search.tell(Outcome(number, State.COMPLETED, {ACCURACY: float(told.Y[number, 0])}, values))
    for _ in range(max(size.n_pending - 1, 1)):
        search.ask(hurried=True)  # fits, and then is cheap
    return search


def _seconds(once: Part) -> float:
    once()  # what is imported, compiled or cached at the first time
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < ENOUGH_S and len(taken) < MOST_REPETITIONS):
        taken.append(_timed(once))
    return statistics.median(taken)


def _ask_seconds(once: Part) -> float:
    """Draws and improvements cost differently: the mean of the median of each."""
    once(), once()
    taken = [_timed(once) for _ in range(N_ASKS)]
    return 0.5 * (statistics.median(taken[::2]) + statistics.median(taken[1::2]))


def _timed(once: Part) -> float:
    started = time.process_time()
    once()
    return time.process_time() - started


def lines(costs: Costs, size: Size) -> Iterator[str]:
    """The table as text."""
    yield (
        f"{size.n_told} told, {size.n_hyperparameters} hyperparameters, {size.n_constraints} constraints, "
        f"{size.n_pending} pending; seconds of one thread"
    )
    yield f"{'part':18}{'fast':>10}{'library':>10}{'ratio':>8}"
    for part, seconds in costs.items():
        fast, library = (seconds[name] for name in ENGINES)
        yield f"{part:18}{fast:10.2g}{library:10.2g}{library / fast:8.3g}  {PARTS[part]}"
