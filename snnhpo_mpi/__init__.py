"""Asynchronous constrained Bayesian optimization of spiking neural networks over MPI.

For programs of one's own, without MPI, files or a configuration::

    from snnhpo_mpi import Scbo, Space, read

    space = Space({"rate": {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}})
    optimizer = Scbo(space, constraints=["silent"], seed=1)
    for _ in range(30):
        trial = optimizer.ask()  # ask for more before telling, and tell in any order, to evaluate several at once
        accuracy, silent_share = train(**trial.params)
        optimizer.tell(trial, objective=accuracy, constraints=[silent_share - 0.1])

    frame = read("results/mine").frame()  # of a study that ``snnhpo run`` recorded

These names are imported when they are first used, and PyTorch when the first ``Scbo`` is made.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snnhpo_mpi.optim.ask_tell import Scbo
    from snnhpo_mpi.record import read
    from snnhpo_mpi.space import Space

__all__ = ["Scbo", "Space", "read"]

_HOMES = {"Scbo": "optim.ask_tell", "Space": "space", "read": "record"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
