"""The optimizer beside the loop: a thread that proposes ahead, so that no worker waits for a model.

Commands are processed strictly in the order in which they were posted. With one worker, which results a proposal has
seen depends on that order alone, never on how fast the optimizer is. With several, a proposal that waits while results
come in is made anew.
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
STALE_S = 5.0  # a proposal is made anew when a result that it has not seen is older
_RENEWAL_SHARE = 0.5  # of that time that making them anew may take


class Optimizer(Protocol):
    """Proposes trials; any number may be pending."""

    def adopt(self, trial: Trial) -> None:
        """A trial asked elsewhere is pending."""

    def ask(self, hurried: bool = False) -> Trial:
        """The next trial; ``hurried``: one that is cheap to find, because workers wait."""

    def withdraw(self, trial: Trial) -> None:
        """Forget the latest trial asked, which was never sent."""

    def tell(self, outcome: Outcome) -> None:
        """What a pending trial gave."""

    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """Of the latest ask."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A trial ready to be sent.

    Attributes:
        trial: what to evaluate.
        n_told: outcomes that the optimizer had seen.
        diagnostics: the optimizer's, of this ask.
        seconds: what the ask took, with the tells since the ask before.
    """

    trial: Trial
    n_told: int
    diagnostics: Mapping[str, float | Sequence[float]]
    seconds: float


class Proposer:
    """Runs an optimizer in a thread; all methods but the thread's own are called by the loop."""

    def __init__(self, optimizer: Optimizer, n_told: int = 0) -> None:
        """Hand in an optimizer that has been told ``n_told`` outcomes."""
        self._optimizer = optimizer
        self._n_told = self._n_posted = n_told
        self._told_at: deque[tuple[int, float]] = deque()  # number and moment of outcomes that some proposal lacks
        self.hurried = False  # whether workers wait for proposals; set by the loop
        self._commands: queue.SimpleQueue[Outcome | str] = queue.SimpleQueue()
        self._proposals: deque[Proposal] = deque()
        self._error: BaseException | None = None
        self._n_asked = 0
        self._n_taken = 0
        self._spent_s = 0.0  # on tells since the latest ask
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
        self._n_posted += 1
        self._told_at.append((self._n_posted, time.monotonic()))
        self._commands.put(outcome)

    def renew_stale(self, now: float) -> None:
        """Have the proposals that are ready made anew if the oldest lacks an old result, and there is time for it.

        Args:
            now: [s] of ``time.monotonic``.
        """
        try:
            oldest = self._proposals[0]
        except IndexError:
            return
        while self._told_at and self._told_at[0][0] <= oldest.n_told:
            self._told_at.popleft()
        stale = bool(self._told_at) and now - self._told_at[0][1] > STALE_S
        at_rest = self._commands.empty() and self.n_ready == self.n_ahead
        if stale and at_rest and self.n_ready * oldest.seconds < _RENEWAL_SHARE * STALE_S:
            self._commands.put("renew")

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
        try:
            while (command := self._commands.get()) != "end":
                began = time.perf_counter()
                if isinstance(command, Outcome):
                    self._optimizer.tell(command)
                    self._n_told += 1
                    self._spent_s += time.perf_counter() - began
                    continue
                for _ in range(self._take_back() if command == "renew" else 1):
                    self._make()
        except BaseException as error:  # raised again in the loop, whatever it is
            self._error = error

    def _make(self) -> None:
        began = time.perf_counter()
        trial = self._optimizer.ask(self.hurried)
        diagnostics = {**self._optimizer.diagnostics(), N_TOLD: self._n_told}
        seconds = self._spent_s + time.perf_counter() - began
        self._proposals.append(Proposal(trial, self._n_told, diagnostics, seconds))
        self._spent_s = 0.0

    def _take_back(self) -> int:
        """Withdraw the proposals that are still there, the latest first; their number."""
        n = 0
        while self._proposals:
            try:
                proposal = self._proposals.pop()
            except IndexError:  # the loop took it meanwhile
                break
            self._optimizer.withdraw(proposal.trial)
            n += 1
        return n
