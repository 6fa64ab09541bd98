"""The optimizer in a thread of its own, which proposes ahead, so that no worker waits for a model.

Commands are processed strictly in the order in which they were posted. With one worker, which results a proposal has
seen depends on that order alone, never on how fast the optimizer is. With several, a proposal that waits while results
come in is made again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import dataclass

from snnhpo_mpi.interfaces import Optimizer
from snnhpo_mpi.trial import Outcome, Proposal

STALE_S = 5.0  # a proposal is made again when a result that it has not seen is older
_RENEWAL_SHARE = 0.5  # of that time that making them again may take


@dataclass(frozen=True, slots=True)
class Ready:
    """A proposal ready to be sent.

    Attributes:
        proposal: as the optimizer gave it.
        seconds: what the ask took, with the tells since the ask before.
        hurried: whether it was made in a hurry.
    """

    proposal: Proposal
    seconds: float
    hurried: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """The command to make one more proposal, or all those again that are still ready.

    Attributes:
        hurried: whether workers wait for proposals.
        again: those that are ready are withdrawn and made again.
    """

    hurried: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """The command to learn from an outcome, and from the seconds that it cost a worker."""

    outcome: Outcome
    seconds: float


class Proposer:
    """Runs an optimizer in a thread; all methods but the thread's own are called by the loop."""

    def __init__(self, optimizer: Optimizer, n_told: int = 0) -> None:
        """Hand in an optimizer that has been told ``n_told`` outcomes."""
        self._optimizer = optimizer
        self._n_posted = n_told
        self._told_at: deque[tuple[int, float]] = deque()  # number and moment of outcomes that some proposal lacks
        self._commands: queue.SimpleQueue[Tell | Ask | None] = queue.SimpleQueue()  # None ends the thread
        self._proposals: deque[Ready] = deque()
        self._error: BaseException | None = None
        self._n_commands = self._n_done = 0  # the second is the thread's to write
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

    @property
    def at_rest(self) -> bool:
        """Whether everything posted is done."""
        return self._n_done == self._n_commands

    def start(self) -> None:
        """Start the thread; the optimizer is its own from here on."""
        self._thread.start()

    def post_ask(self, hurried: bool = False) -> None:
        """One more proposal, made after everything posted before; ``hurried``: workers wait for it."""
        self._n_asked += 1
        self._post(Ask(hurried))

    def post_tell(self, outcome: Outcome, seconds: float, now: float = float("inf")) -> None:
        """Tell an outcome; proposals asked for later have seen it.

        Args:
            outcome: of a trial.
            seconds: that it cost its worker.
            now: the moment by a steady clock. One of an earlier run has none: the proposals of that run had not seen
                it either.
        """
        self._n_posted += 1
        self._told_at.append((self._n_posted, now))
        self._post(Tell(outcome, seconds))

    def stale_at(self) -> float:
        """When the oldest of the proposals that are ready lacks an old result, by the clock of ``post_tell``."""
        try:
            n_told = self._proposals[0].proposal.n_told
        except IndexError:
            return float("inf")
        while self._told_at and self._told_at[0][0] <= n_told:
            self._told_at.popleft()
        return self._told_at[0][1] + STALE_S if self._told_at else float("inf")

    def renew_stale(self, now: float, hurried: bool = False) -> None:
        """Make the proposals that are ready again if one is stale, and there is time for it."""
        if now < self.stale_at() or not self.at_rest:
            return
        if self.n_ready * self._proposals[0].seconds < _RENEWAL_SHARE * STALE_S:
            self._post(Ask(hurried, again=True))

    def _post(self, command: Tell | Ask | None) -> None:
        self._n_commands += 1
        self._commands.put(command)

    def take(self) -> Ready | None:
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
        self._post(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while (command := self._commands.get()) is not None:
                if isinstance(command, Tell):
                    self._learn(command)
                else:
                    for _ in range(self._take_back() if command.again else 1):
                        self._make(command.hurried)
                self._n_done += 1
        except BaseException as error:  # raised again in the loop, whatever it is
            self._error = error

    def _learn(self, command: Tell) -> None:
        began = time.perf_counter()
        self._optimizer.tell(command.outcome, command.seconds)
        self._spent_s += time.perf_counter() - began

    def _make(self, hurried: bool) -> None:
        began = time.perf_counter()
        proposal = self._optimizer.ask(hurried)
        self._proposals.append(Ready(proposal, self._spent_s + time.perf_counter() - began, hurried))
        self._spent_s = 0.0

    def _take_back(self) -> int:
        """Withdraw the proposals that are still there, the latest first; their number."""
        n = 0
        while self._proposals:
            try:
                ready = self._proposals.pop()
            except IndexError:  # the loop took it meanwhile
                break
            self._optimizer.withdraw(ready.proposal.trial)
            n += 1
        return n
