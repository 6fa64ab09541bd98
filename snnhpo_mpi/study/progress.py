"""A line now and then on how the search stands, from the events that pass to the record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from snnhpo_mpi.analysis.progress_line import progress_line
from snnhpo_mpi.analysis.summary import reason as reason
from snnhpo_mpi.analysis.timeline import windows
from snnhpo_mpi.record import StudyData, StudyRecord
from snnhpo_mpi.trial import Asked, Ended, Event, Outcome, Progress, Repeated, Reported, Started, State


@dataclass
class Tally:
    """Running counts of a study, updated event by event.

    Attributes:
        budget: trials to ask, None if only time is limited.
        ended: trials ended, by state.
        running: numbers of the trials that are out.
        best: feasible outcome with the largest objective.
        last_failure: the latest trial that failed.
        n_failed_in_a_row: failures since a trial ended in another way.
        retraining: the trials are trainings of given candidates: none is the best.
        stopped_as: what the trials stopped early are called.
        repeats_planned: trainings of finalists at the end of the budget.
        repeats: of them, those that ended.
    """

    budget: int | None
    retraining: bool = False
    stopped_as: str = "silent"
    repeats_planned: int = 0
    repeats: int = 0
    ended: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    running: set[int] = field(default_factory=set)
    feasible: int = 0
    best: Outcome | None = None
    last_failure: Outcome | None = None
    n_failed_in_a_row: int = 0

    @property
    def n_ended(self) -> int:
        """Trials ended, in whatever state."""
        return sum(self.ended.values())

    def update(self, event: Event) -> bool:
        """Count one event; True if it brought a new best trial."""
        match event:
            case Asked() | Reported():
                return False
            case Repeated():
                self.repeats += 1
                return False
            case Started():
                self.running.add(event.number)
                return False
            case Ended():
                return self._end(event.outcome)

    def _end(self, outcome: Outcome) -> bool:
        self.running.discard(outcome.number)
        self.ended[outcome.state] += 1
        if outcome.state is State.FAILED:
            self.last_failure = outcome
            self.n_failed_in_a_row += 1
        elif outcome.state is not State.LOST:
            self.n_failed_in_a_row = 0
        if not outcome.feasible or outcome.objective is None:
            return False
        self.feasible += 1
        if self.retraining:
            return False
        if self.best is not None and self.best.objective is not None and outcome.objective <= self.best.objective:
            return False
        self.best = outcome
        return True


class Announcer:
    """Says a line at every new best trial, and otherwise every ``interval_s`` while trials end.

    The first few failures are said with their reason: a mistake in an evaluation shows at once, not in the report.
    What of an answer could not be used is said once, not with each trial.
    """

    MAX_FAILURES_SAID = 3
    MAX_NOTES_SAID = 10

    def __init__(
        self,
        tally: Tally,
        say: Callable[[str], None],
        time_left: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = 10.0,
    ) -> None:
        self._tally = tally
        self._say = say
        self._time_left = time_left
        self._clock = clock
        self._interval_s = interval_s
        self._start = self._last = clock()
        self._n_at_start = tally.n_ended
        self._n_said = -1
        self._notes_said: set[str] = set()

    def note(self, event: Event) -> None:
        """Count an event; says a line if it is a new best or one of the first failures."""
        if self._tally.update(event):
            self._line()
        if isinstance(event, Ended):
            self._say_notes(event.outcome)
            if event.outcome.state is State.FAILED:
                self._say_failure(event)

    def _say_notes(self, outcome: Outcome) -> None:
        for note in outcome.notes:
            subject = note.partition(" is ")[0]  # the values differ from trial to trial
            if subject not in self._notes_said and len(self._notes_said) < self.MAX_NOTES_SAID:
                self._notes_said.add(subject)
                self._say(f"trial {outcome.number}: {note} (said once)")

    def _say_failure(self, event: Ended) -> None:
        n_failed = self._tally.ended[State.FAILED]
        if n_failed <= self.MAX_FAILURES_SAID:
            last = "; further failures are in the record only" if n_failed == self.MAX_FAILURES_SAID else ""
            why = reason(event.outcome.error or "")
            self._say(f"trial {event.outcome.number} failed on rank {event.rank}: {why}{last}")

    def maintain(self) -> None:
        """Say a line if one is due."""
        if self._clock() - self._last >= self._interval_s and self._tally.n_ended + self._tally.repeats != self._n_said:
            self._line()

    def _line(self) -> None:
        self._last = self._clock()
        self._n_said = self._tally.n_ended + self._tally.repeats
        self._say(tally_line(self._tally, self._seconds_left()))

    def _seconds_left(self) -> float | None:
        """Seconds to the end of the budget: by the mean pace of this job so far, and by the clock."""
        limits = [self._time_left()]
        n_done = self._tally.n_ended - self._n_at_start
        if self._tally.budget is not None and n_done:
            pace_s = (self._clock() - self._start) / n_done
            limits.append(pace_s * max(0, self._tally.budget - self._tally.n_ended))
        return min((limit for limit in limits if limit is not None), default=None)


class FollowedRecord:
    """The record as the loop sees it: written first, then said and acted on."""

    def __init__(
        self,
        record: StudyRecord,
        announcer: Announcer,
        ended: Callable[[int], None] = lambda number: None,
        also: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """Hand in the parts.

        Args:
            record: of the study.
            announcer: says how the search stands.
            ended: called with the number of each trial whose end is recorded.
            also: called with each event after it was counted.
        """
        self._record = record
        self._announcer = announcer
        self._ended = ended
        self._also = also

    def append(self, *events: Event) -> None:
        """Record events, then count them."""
        self._record.append(*events)
        for event in events:
            self._announcer.note(event)
            self._also(event)
            if isinstance(event, Ended):
                self._ended(event.outcome.number)

    def progress(self, rank: int, progress: Progress) -> None:
        """Pass on how far a trial is."""
        self._record.progress(rank, progress)

    def joined(self, rank: int, host: str, device: str) -> None:
        """Record where a worker is."""
        self._record.worker(rank, host, device)

    def maintain(self) -> None:
        """Let record and announcer do what is due."""
        self._record.maintain()
        self._announcer.maintain()


def seconds_spent(past: StudyData, complete: str) -> float:
    """Of the runs [s] since the last one that closed as ``complete``: what a job with its requeues has used."""
    spent_s = 0.0
    for run, span in zip(windows(past), past.sessions, strict=True):
        spent_s = 0.0 if span.closed and span.closed.state == complete else spent_s + run.seconds
    return spent_s


def tally_line(tally: Tally, seconds_left: float | None) -> str:
    """The counts as one line of text."""
    best = tally.best
    return progress_line(
        ended=tally.n_ended,
        budget=tally.budget,
        feasible=tally.feasible,
        stopped=tally.ended[State.STOPPED],
        pruned=tally.ended[State.PRUNED],
        failed=tally.ended[State.FAILED] + tally.ended[State.LOST],
        running=len(tally.running),
        best=None if best is None or best.objective is None else (best.objective, best.number),
        seconds_left=seconds_left,
        stopped_as=tally.stopped_as,
        retraining=tally.retraining,
        repeats=(tally.repeats, tally.repeats_planned),
    )
