"""How a search goes as TensorBoard scalars, one step an ended trial: for people who have a TensorBoard open anyway."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.progress import Tally
from snnhpo_mpi.trial import Ended, Event, State

FOLDER = "tensorboard"
FLUSH_EVERY_S = 10


def require_package() -> None:
    """Find the package that writes event files.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise ConfigError("--tensorboard needs the package tensorboardX: pip install tensorboardX")


class Scalars:
    """Writes what each trial gave, and how the search stands after it."""

    def __init__(self, folder: Path, tally: Tally, constraint_names: Sequence[str]) -> None:
        """Begin an event file in a folder.

        Args:
            folder: of the event files; a resumed search adds another.
            tally: of the search; already updated when ``note`` is called.
            constraint_names: of the study.

        """
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), flush_secs=FLUSH_EVERY_S)
        self._tally = tally
        self._constraint_names = tuple(constraint_names)

    def note(self, event: Event) -> None:
        """Write the end of a trial; other events say nothing here."""
        if not isinstance(event, Ended):
            return
        for name, value in self._values(event).items():
            self._writer.add_scalar(name, value, global_step=self._tally.n_ended, walltime=event.at)

    def _values(self, event: Ended) -> dict[str, float]:
        tally, outcome = self._tally, event.outcome
        n_trained = tally.ended[State.COMPLETED] + tally.ended[State.STOPPED]
        values = {"search/feasible": float(tally.feasible), "search/failed": float(tally.ended[State.FAILED])}
        if n_trained:
            values["search/silent_share"] = tally.ended[State.STOPPED] / n_trained
        if tally.best is not None and tally.best.objective is not None:
            values["search/best"] = tally.best.objective
        if outcome.objective is not None:
            values["trial/objective"] = outcome.objective
        named = zip(self._constraint_names, outcome.constraints, strict=False)
        values |= {f"constraint/{name}": value for name, value in named}
        values |= {f"metric/{name}": float(value) for name, value in outcome.metrics.items()}
        return values | {"trial/seconds": event.seconds}

    def close(self) -> None:
        """Write what is still held back."""
        self._writer.close()
