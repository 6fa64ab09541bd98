"""The optimizer beside the loop: a thread that proposes ahead, so that no worker waits for a model.

Commands are processed strictly in the order in which they were posted. Which results a proposal has seen therefore
depends on that order alone, never on how fast the optimizer is.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from snnhpo_mpi.trial import Outcome, Trial

N_TOLD = "n_told"  # diagnostic of every proposal: outcomes that it has seen


class Optimizer(Protocol):
    """Proposes trials; any number may be pending."""

    def adopt(self, trial: Trial) -> None:
        """A trial asked elsewhere is pending."""

    def ask(self) -> Trial:
        """The next trial."""

    def tell(self, outcome: Outcome) -> None:
        """What a pending trial gave."""

    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """Of the latest ask."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial ready to be sent.

    Attributes:
        trial: what to evaluate.
        diagnostics: the optimizer's, of this ask.
        seconds: what the ask took, with the tells since the ask before.
    """

    trial: Trial
    diagnostics: Mapping[str, float | Sequence[float]]
    seconds: float


class Proposer:
    """Runs an optimizer in a thread; all methods but the thread's own are called by the loop."""

    def __init__(self, optimizer: Optimizer, n_told: int = 0) -> None:
        """Hand in an optimizer that has been told ``n_told`` outcomes."""
        self._optimizer = optimizer
        self._n_told = n_told
        self._commands: queue.SimpleQueue[Outcome | str] = queue.SimpleQueue()
        self._proposals: deque[Proposal] = deque()
        self._error: BaseException | None = None
        self._n_asked = 0
        self._n_taken = 0
        self._thread = threading.Thread(target=self._work, name="optimizer", daemon=True)

    @property
    def n_ahead(self) -> int:
        """Proposals ready or being made."""
        return self._n_asked - self._n_taken

    @property
    def n_ready(self) -> int:
        """Proposals that can be taken at once."""
        return len(self._proposals)

    def start(self) -> None:
        """Start the thread; the optimizer is its own from here on."""
        self._thread.start()

    def post_ask(self) -> None:
        """One more proposal, made after everything posted before."""
        self._n_asked += 1
        self._commands.put("ask")

    def post_tell(self, outcome: Outcome) -> None:
        """Tell an outcome; proposals asked for later have seen it."""
        self._commands.put(outcome)

    def take(self) -> Proposal | None:
        """The oldest proposal, None if none is ready.

        Raises:
            BaseException: whatever the optimizer raised.
        """
        if self._proposals:
            self._n_taken += 1
            return self._proposals.popleft()
        self.check()
        return None

    def check(self) -> None:
        """Raise what the optimizer raised, if it did."""
        if self._error is not None:
            raise self._error

    def close(self, timeout_s: float = 5.0) -> None:
        """End the thread after its present command; a fit that takes longer is left to die with the process."""
        self._commands.put("end")
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        spent_s = 0.0
        try:
            while (command := self._commands.get()) != "end":
                began = time.perf_counter()
                if isinstance(command, Outcome):
                    self._optimizer.tell(command)
                    self._n_told += 1
                    spent_s += time.perf_counter() - began
                    continue
                trial = self._optimizer.ask()
                diagnostics = {**self._optimizer.diagnostics(), N_TOLD: self._n_told}
                spent_s += time.perf_counter() - began
                self._proposals.append(Proposal(trial, diagnostics, spent_s))
                spent_s = 0.0
        except BaseException as error:  # raised again in the loop, whatever it is
            self._error = error
