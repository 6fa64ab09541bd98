"""Rank 0: the one loop of the search. ask -> send -> evaluate -> send -> record -> tell.

Everything it needs is handed in; it owns nothing but the bookkeeping of ranks and trials. It never evaluates and never
waits: not for a model (``proposer``), not for a rank (``transport``).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from snnhpo_mpi.comm.messages import (
    Beat,
    Goodbye,
    Hello,
    Message,
    MessageError,
    Prune,
    Reached,
    Ready,
    Report,
    Result,
    Run,
    Welcome,
    decode,
    encode,
)
from snnhpo_mpi.comm.transport import Transport
from snnhpo_mpi.master.backlog import Backlog
from snnhpo_mpi.master.dismissal import dismiss
from snnhpo_mpi.master.ending import Ending, Stopping
from snnhpo_mpi.master.failures import Failures
from snnhpo_mpi.master.finalists import Finalists
from snnhpo_mpi.master.proposal_buffer import PoolSize
from snnhpo_mpi.master.proposer import Proposer
from snnhpo_mpi.master.roster import Roster, Standing
from snnhpo_mpi.trial import (
    Asked,
    Ended,
    Event,
    Interim,
    Outcome,
    Progress,
    Reported,
    Started,
    State,
    Trial,
    repeat_of,
)

_log = logging.getLogger(__name__)
MESSAGES_PER_TURN = 256
PAUSE_S = 0.02  # of the loop where nothing happened; a message ends it
PAUSE_FOR_PROPOSALS_S = 0.002  # while workers wait for them


class Record(Protocol):
    """Where the search is written down."""

    def append(self, *events: Event) -> None:
        """Write events, in order and with one write; durable when it returns."""

    def progress(self, rank: int, progress: Progress) -> None:
        """A running trial of a rank reported; need not be durable."""

    def joined(self, rank: int, host: str, device: str) -> None:
        """A worker rank is ready for trials."""

    def maintain(self) -> None:
        """Called every turn of the loop: whatever is due (snapshot, sign of life)."""


@dataclass(frozen=True, slots=True)
class MasterSettings:
    """How rank 0 behaves.

    Attributes:
        config: resolved configuration, sent to every worker.
        budget: trials to ask in all, None for no limit.
        n_asked: trials asked by earlier runs, those that wait included.
        stop_before_end_s: what running trials are given to finish when the search is stopped.
        heartbeat_timeout_s: a worker silent for longer is lost.
        beat_s: longest time between signs of life, of rank 0 and of workers.
        max_sendings: a trial whose worker was lost so often ends as lost.
        closing_s: how long rank 0 waits for answers at the end, and what it leaves of the time left for closing.
        time_is_budget: the end of the time is the end of the budget, so that nothing is left to resume.
    """

    config: str = ""
    budget: int | None = None
    n_asked: int = 0
    stop_before_end_s: float = 600.0
    heartbeat_timeout_s: float = 60.0
    beat_s: float = 5.0
    max_sendings: int = 3
    closing_s: float = 10.0
    time_is_budget: bool = False


class Master:
    """Rank 0 of a search."""

    def __init__(
        self,
        transport: Transport,
        proposer: Proposer,
        record: Record,
        settings: MasterSettings,
        waiting: Sequence[Trial] = (),
        time_left: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        failures: Failures | None = None,
        prune: Callable[[Event], bool] = lambda event: False,
        finalists: Finalists | None = None,
        as_told: Callable[[Outcome], Outcome] = lambda outcome: outcome,
    ) -> None:
        """Hand in the parts.

        Args:
            transport: to the workers.
            proposer: not started; its optimizer has adopted and been told everything recorded.
            record: where events go.
            settings: how to behave.
            waiting: trials asked by an earlier run that did not end; sent first.
            time_left: seconds until the job ends, None if nobody knows; called about once a second.
            clock: steady seconds; another one where a benchmark imitates days.
            failures: counts those that end the search, and knows the earlier runs'; none do by default.
            prune: given every event in the order of the record, says whether it is a report after which its trial is to
                stop; knows the events of earlier runs.
            finalists: what is trained again when the budget is spent, and knows the earlier runs' events; nothing by
                default.
            as_told: what the optimizer is told of an outcome that ``prune`` was given last.
        """
        self._clock = clock
        self._transport, self._proposer, self._record, self._settings = transport, proposer, record, settings
        self._backlog = Backlog(waiting, settings.n_asked, settings.budget, settings.max_sendings)
        self._roster = Roster(range(1, transport.size), self._clock())
        self._pool = PoolSize()
        self._events: list[Event] = []
        self._held: tuple[int, bytes] | None = None  # a message for the next turn
        self._failures = Failures(None) if failures is None else failures
        self._prune, self._as_told = prune, as_told
        self._finalists = Finalists() if finalists is None else finalists
        self._beat_s = min(settings.beat_s, settings.heartbeat_timeout_s / 4)
        self._stopping = Stopping(time_left, settings.stop_before_end_s, settings.closing_s, settings.time_is_budget)
        self._beat_at = float("-inf")
        self._turn_at = self._clock()

    def request_stop(self) -> None:
        """Stop: no new trials, running ones may finish. A second call stops at once. For signal handlers."""
        self._stopping.request()

    def run(self) -> Ending:
        """Search until the budget is spent, the time is over, somebody stops it or no worker is left.

        Raises:
            SnnhpoError: from the record; the workers are still there to be dismissed.
            BaseException: whatever the optimizer raises.
        """
        self._proposer.start()
        try:
            while (ending := self._ending()) is None:
                heard = self._hear()
                self._watch()
                sent = self._dispatch()
                self._commit()
                self._replenish()
                self._record.maintain()
                if not (heard or sent):
                    longest_s = PAUSE_FOR_PROPOSALS_S if self._roster.n_idle else PAUSE_S
                    self._transport.wait(longest_s, self._pool.look_s)
            self._dismiss(ending)
            return ending
        finally:
            self._proposer.close()

    @property
    def _sends(self) -> bool:
        """Whether new trials may leave. After too many failures the running ones first: one may still finish."""
        return self._stopping.ending is None and not self._failures.too_many

    def _hear(self) -> bool:
        """Handle the messages that are there, up to a number and to one result a rank; whether there were any.

        A second result of a rank waits for the next turn, so that with one worker the optimizer sees the same order of
        asks and tells whatever the timing.
        """
        answered: set[int] = set()
        for n_heard in range(MESSAGES_PER_TURN):
            received, self._held = self._held or self._transport.receive(), None
            if received is None:
                return n_heard > 0
            if received[0] in answered:
                self._held = received
                return True
            if self._handle(*received):
                answered.add(received[0])
        return True

    def _handle(self, rank: int, data: bytes) -> bool:
        """Act on a message; whether it was a result."""
        if not data:
            if self._roster[rank].standing is not Standing.GONE:  # it said why it leaves
                self._leave(rank, "its connection broke", Standing.LOST)
            return False
        try:
            message = decode(data)
        except MessageError as error:
            _log.error("rank %d sent nonsense: %s", rank, error)
            return False
        self._roster[rank].heard_at = self._clock()
        match message:
            case Hello(host, pid):
                self._roster[rank].host = host
                _log.info("rank %d is process %d on %s", rank, pid, host)
                if self._stopping.ending is None:
                    self._send(rank, Welcome(self._settings.config, self._beat_s))
            case Ready(device):
                self._roster.update(rank, Standing.WORKING, self._roster[rank].running)
                self._record.joined(rank, self._roster[rank].host, device)
                _log.info("rank %d (%s) evaluates on %s", rank, self._roster[rank].host, device)
            case Report(progress):
                self._record.progress(rank, progress)
            case Reached(interim):
                self._note_interim(rank, interim)
            case Beat(running):
                self._welcome_back(rank, running)
            case Result(outcome, seconds):
                self._welcome_back(rank, None)
                self._receive_result(rank, outcome, seconds)
            case Goodbye(reason):
                self._leave(rank, reason, Standing.GONE)
            case _:
                _log.error("rank %d sent %s, which is no worker's to send", rank, type(message).__name__)
        return isinstance(message, Result)

    def _note_interim(self, rank: int, interim: Interim) -> None:
        """Interim results of a trial that ended meanwhile, or was sent elsewhere, are nobody's any more.

        Those of a repeat decide nothing.
        """
        if self._roster[rank].running == interim.number and interim.number >= 0:
            self._events.append(Reported(interim, rank, time.time()))

    def _receive_result(self, rank: int, outcome: Outcome, seconds: float) -> None:
        """The next trial leaves before the result is looked at further."""
        now = time.time()
        if self._roster[rank].running == outcome.number:
            self._roster.update(rank, self._roster[rank].standing, None)
        self._backlog.reclaim(outcome.number)
        is_first = self._backlog.end(outcome.number)
        if is_first and outcome.number >= 0:
            self._count_failure(outcome)
        if self._sends and self._roster[rank].idle:
            self._send_next(rank)
        if not is_first:
            _log.warning("rank %d: another result of trial %d is discarded", rank, outcome.number)
            return
        if outcome.number >= 0:
            self._pool.observe_arrival(self._clock())
        self._end(outcome, rank, now, seconds)

    def _end(self, outcome: Outcome, rank: int, at: float, seconds: float) -> None:
        """A trial or a repeat has ended."""
        if outcome.number >= 0:
            self._events.append(Ended(outcome, rank, at, seconds))
            return
        if outcome.state in (State.FAILED, State.LOST):
            number, repeat = repeat_of(outcome.number)
            reason = (outcome.error or "no reason given").partition("\n")[0]
            _log.warning("repeat %d of trial %d is %s: %s", repeat, number, outcome.state.value, reason)
        self._events.append(self._finalists.repeated(outcome, rank, at, seconds))

    def _count_failure(self, outcome: Outcome) -> None:
        had_too_many = self._failures.too_many
        self._failures.note(outcome)
        if self._failures.too_many and not had_too_many and (n := self._roster.n_running):
            waited_for = "the one that is running" if n == 1 else f"one of the {n} that are running"
            row = self._failures.in_a_row
            _log.warning("%d trials failed in a row: no other is sent until %s finishes", row, waited_for)

    def _dispatch(self) -> bool:
        """Send trials to all idle workers, as far as there are any; whether one was sent."""
        if not self._sends:
            return False
        n_sent = 0
        for rank in self._roster.idle:
            if not self._send_next(rank):
                break
            n_sent += 1
        return n_sent > 0

    def _send_next(self, rank: int) -> bool:
        trial = self._backlog.take_waiting() or (self._take_new() if self._backlog.n_left else self._take_repeat())
        if trial is None:
            return False
        self._send(rank, Run(trial))
        self._roster.update(rank, Standing.WORKING, trial.number)
        if not trial.repeat:
            self._events.append(Started(trial.number, rank, time.time()))
        return True

    def _take_new(self) -> Trial | None:
        ready = self._proposer.take()
        if ready is None:
            return None
        proposal, trial = ready.proposal, ready.proposal.trial
        self._pool.observe_ask(ready.seconds, ready.hurried)
        self._backlog.add(trial)
        self._events.append(Asked(trial, time.time(), proposal.diagnostics, proposal.n_told))
        return trial

    def _take_repeat(self) -> Trial | None:
        """The next training of a finalist; not before the record has all that is known of who the finalists are."""
        trial = None if self._events else self._finalists.take()
        if trial is not None:
            self._backlog.add(trial)
        return trial

    def _commit(self) -> None:
        """The disk first, then the model, and trials that cannot win."""
        if not self._events:
            return
        events, self._events = self._events, []
        self._record.append(*events)
        for event in events:
            self._finalists.note(event)
            is_to_stop = self._prune(event)
            match event:
                case Reported(interim, rank) if is_to_stop and self._roster[rank].running == event.number:
                    self._send(rank, Prune(interim.number, interim.position))
                case Ended(outcome, seconds=seconds):
                    self._proposer.post_tell(self._as_told(outcome), seconds, self._clock())

    def _replenish(self) -> None:
        """Keep proposals ahead: one for each idle worker that no waiting trial serves, and the pool."""
        self._proposer.check()
        if not self._sends or not self._backlog.n_left:
            return
        demand = max(0, self._roster.n_idle - self._backlog.n_waiting)
        hurried = self._pool.hurried(self._roster.n_present, demand)
        wanted = min(self._backlog.n_left, demand + self._pool.target(self._roster.n_present))
        while self._proposer.n_ahead < wanted:
            self._proposer.post_ask(hurried)
        self._proposer.renew_stale(self._clock(), hurried)

    def _watch(self) -> None:
        """Give and look for signs of life."""
        now = self._clock()
        if now - self._turn_at > self._beat_s:  # this process itself stood still: nobody else is to blame
            for worker in self._roster:
                worker.heard_at = now
        self._turn_at = now
        if now - self._beat_at < self._beat_s:
            return
        self._beat_at = now
        for rank in self._roster.silent(now, self._settings.heartbeat_timeout_s):
            self._leave(rank, f"silent for {self._settings.heartbeat_timeout_s:g} s", Standing.LOST)
        beat = encode(Beat())
        for rank in tuple(self._transport.peers):  # sending may find one gone
            self._transport.send(rank, beat)

    def _leave(self, rank: int, reason: str, standing: Standing) -> None:
        """A rank works no more: its trial waits for another, or has waited too often."""
        worker = self._roster[rank]
        number = worker.running
        self._roster.update(rank, standing, None)
        _log.warning("rank %d (%s) is %s: %s", rank, worker.host, standing.name.lower(), reason)
        if number is None or self._roster.runs(number):
            return
        if standing is Standing.GONE:
            self._backlog.give_back(number)
        elif self._backlog.lose(number):
            self._backlog.end(number)
            error = (
                f"its worker was lost {self._settings.max_sendings} times, last rank {rank} ({worker.host}): {reason}"
            )
            self._end(Outcome(number, State.LOST, error=error), rank, time.time(), 0.0)

    def _welcome_back(self, rank: int, running: int | None) -> None:
        """A rank thought lost speaks: what it runs is its own again."""
        worker = self._roster[rank]
        if worker.standing is Standing.LOST:
            _log.warning("rank %d (%s) is back", rank, worker.host)
            self._roster.update(rank, Standing.WORKING, running)
            if running is not None:
                self._backlog.reclaim(running)

    def _ending(self) -> Ending | None:
        if self._failures.too_many and not self._roster.n_running and not self._events:
            return Ending.FAILURES
        if self._backlog.done and not self._events and self._finalists.done:
            return Ending.COMPLETE
        if self._stopping.at_once:
            return Ending.INTERRUPTED
        if not self._roster.n_present:
            return Ending.WORKERS_LOST if self._roster.n_lost else Ending.NO_WORKERS
        now = self._clock()
        n = self._roster.n_running
        if (reason := self._stopping.begins(now)) is not None:
            rest = "nothing is running" if n == 0 else f"{n} running trial{'s' * (n > 1)} may finish"
            _log.warning("stopping (%s): %s", reason.value, rest)
        self._close_in_time(now)
        return self._stopping.ending if not n or self._stopping.is_over(now) else None

    def _close_in_time(self, now: float) -> None:
        """Ask no more trials when the rest of the time is needed for the finalists."""
        if not self._sends or not self._backlog.n_left or math.isinf(left_s := self._stopping.time_left_s(now)):
            return
        needed_s = self._finalists.seconds(self._roster.n_present)
        if needed_s and left_s <= needed_s:
            _log.info("no more trials: the rest of the time is for training the best again")
            self._backlog.close()

    def _dismiss(self, ending: Ending) -> None:
        """Send all workers away; results that still come are recorded."""
        self._stopping.ending = ending
        if self._held is not None:
            self._handle(*self._held)
        self._commit()
        self._prune = lambda event: False  # a worker is sent nothing after Stop
        lost = {worker.rank for worker in self._roster if worker.standing is Standing.LOST}
        dismiss(self._transport, ending.exit_code, self._settings.closing_s, self._handle, lost)
        self._commit()

    def _send(self, rank: int, message: Message) -> None:
        self._transport.send(rank, encode(message))
