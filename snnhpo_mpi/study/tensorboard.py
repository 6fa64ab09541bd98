"""How a search goes as TensorBoard scalars, one step an ended trial: for people who have a TensorBoard open anyway.

A thread writes them. The search hands them over without waiting, and goes on without them when that thread fails or
falls far behind: on a full, slow or dead disk, for example.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from snnhpo_mpi.extras import require
from snnhpo_mpi.study.progress import Tally
from snnhpo_mpi.trial import Ended, Event, State

FOLDER = "tensorboard"
FLUSH_EVERY_S = 10.0
MOST_WAITING = 1000  # ended trials that are not written yet
CLOSING_S = 3.0

log = logging.getLogger(__name__)


def require_package() -> None:
    """Find the package that writes event files.

    Raises:
        ConfigError: it is not installed.
    """
    require("tensorboardX", "--tensorboard")


@dataclass(frozen=True, slots=True)
class Step:
    """Scalars after so many ended trials, and when [Unix s]."""

    number: int
    at: float
    values: Mapping[str, float]


class Writer(Protocol):
    """Writes steps; may wait and may raise."""

    def write(self, step: Step) -> None:
        """Take a step."""

    def flush(self) -> None:
        """Bring what was taken to the disk."""

    def close(self) -> None:
        """Flush and end."""


class EventFile:
    """A new TensorBoard event file in a folder."""

    def __init__(self, folder: Path) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._file = EventsWriter(str(folder / "events"), f".{os.getpid()}")

    def write(self, step: Step) -> None:
        """Add all values of a step as one event."""
        from tensorboardX.proto.event_pb2 import Event as TensorBoardEvent
        from tensorboardX.summary import scalar

        event = TensorBoardEvent(wall_time=step.at, step=step.number)
        for name, value in step.values.items():
            event.summary.value.extend(scalar(name, value).value)
        self._file.write_event(event)

    def flush(self) -> None:
        """Bring what was written to the disk."""
        self._file.flush()

    def close(self) -> None:
        """Flush and end."""
        self._file.close()


class Scalars:
    """Writes what each trial gave, and how the search stands after it."""

    def __init__(
        self,
        folder: Path,
        tally: Tally,
        constraint_names: Sequence[str],
        open_writer: Callable[[Path], Writer] = EventFile,
    ) -> None:
        """Begin an event file in a folder.

        Args:
            folder: of the event files; a resumed search adds another.
            tally: of the search; already updated when ``note`` is called.
            constraint_names: of the study.
            open_writer: opens the file; called in the thread.
        """
        self._tally = tally
        self._constraint_names = tuple(constraint_names)
        self._steps: queue.Queue[Step | None] = queue.Queue(MOST_WAITING)
        self._is_off = False
        self._thread = threading.Thread(target=self._work, args=(folder, open_writer), name="tensorboard", daemon=True)
        self._thread.start()

    def note(self, event: Event) -> None:
        """Hand over the end of a trial; other events say nothing here. Never waits, never raises."""
        if self._is_off or not isinstance(event, Ended):
            return
        try:
            self._steps.put_nowait(Step(self._tally.n_ended, event.at, self._values(event)))
        except queue.Full:
            self._turn_off(f"{MOST_WAITING} trials wait to be written")

    def close(self) -> None:
        """Write what is still held back, for a few seconds at most."""
        with contextlib.suppress(queue.Full):
            self._steps.put_nowait(None)
        self._thread.join(CLOSING_S)
        if self._thread.is_alive():
            self._turn_off(f"the last trials were not written within {CLOSING_S:g} s")

    def _turn_off(self, reason: str) -> None:
        if not self._is_off:
            self._is_off = True
            log.warning("no more TensorBoard scalars are written (%s); the search goes on without them", reason)

    def _work(self, folder: Path, open_writer: Callable[[Path], Writer]) -> None:
        writer: Writer | None = None
        try:
            writer = open_writer(folder)
            self._write(writer)
            writer.close()
        except Exception as error:  # of the disk or of the package
            self._turn_off(f"{type(error).__name__}: {error}")
            if writer is not None:
                with contextlib.suppress(Exception):  # it would try again when it is collected
                    writer.close()

    def _write(self, writer: Writer) -> None:
        flush_at = 0.0  # the first step shows at once
        while not self._is_off:
            try:
                step = self._steps.get(timeout=FLUSH_EVERY_S)
            except queue.Empty:
                writer.flush()
                continue
            if step is None:
                return
            writer.write(step)
            if time.monotonic() >= flush_at:
                writer.flush()
                flush_at = time.monotonic() + FLUSH_EVERY_S

    def _values(self, event: Ended) -> dict[str, float]:
        tally, outcome = self._tally, event.outcome
        n_trained = sum(tally.ended[state] for state in (State.COMPLETED, State.STOPPED, State.PRUNED))
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
