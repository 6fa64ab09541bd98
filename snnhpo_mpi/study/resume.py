"""Where a run of a study begins: its record opened, optimizer and counts brought to where the record ends."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from snnhpo_mpi.analysis.summary import stopped_as
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.host.provenance import provenance
from snnhpo_mpi.interfaces import Optimizer
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.master.failures import Failures
from snnhpo_mpi.master.finalists import Finalists
from snnhpo_mpi.master.proposer import Proposer
from snnhpo_mpi.optim.stopping import PruningSettings
from snnhpo_mpi.record import StudyData, StudyRecord, exists, read
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.check import Found
from snnhpo_mpi.study.progress import Tally
from snnhpo_mpi.study.pruning import Pruner
from snnhpo_mpi.study.request import Request, Task
from snnhpo_mpi.trial import Asked, Ended, Event, Repeated, State, Trial, trial_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a run begins.

    Attributes:
        proposer: its optimizer has adopted and been told everything recorded.
        waiting: trials that were asked and have not ended; sent before any new one.
        tally: counts of the study.
        failures: those that end the search when they are too many.
        pruner: knows everything recorded.
        finalists: that are trained again in the end; knows everything recorded.
    """

    proposer: Proposer
    waiting: list[Trial]
    tally: Tally
    failures: Failures
    pruner: Pruner
    finalists: Finalists


def open_record(request: Request, task: Task, data: Found) -> StudyRecord:
    """Begin the study's record, or go on with it.

    Args:
        request: what the user asked for.
        task: what the study is about.
        data: what trials are evaluated on.

    Raises:
        ConfigError: the study was begun with other data.
        RecordError: the record is there and not to be resumed, in use, another study's, or damaged.
    """
    config, text = task.config, task.document.text
    folder = request.results / config.study.name
    resuming = exists(folder)
    if resuming and not request.resume:
        raise RecordError(
            f"{folder} holds a study already: --resume goes on with it, --results begins another elsewhere"
        )
    resolved, space, facts = config.model_dump(mode="json"), Space(config.searched), provenance() | data.provenance()
    flush_every_s = config.record.flush_every
    if resuming and not request.accept_config:
        data.refuse_other(read(folder).provenance)
    if resuming:
        record = StudyRecord.open(
            folder, text, resolved, space, config.constraint_names, facts,
            retraining=task.retraining, flush_every_s=flush_every_s,
            accept_config=request.accept_config, accept_damage=request.accept_damage,
        )  # fmt: skip
    else:
        record = StudyRecord.create(
            folder, text, resolved, space, config.constraint_names, facts,
            retraining=task.retraining, flush_every_s=flush_every_s,
        )  # fmt: skip
    for notice in record.notices:
        log.warning("%s", notice)
    return record


def ending_already(config: StudyConfig, past: StudyData) -> Ending | None:
    """How a study ended whose trials have all been evaluated, and its finalists again; None while any is left."""
    budget = config.budget.trials
    if budget is None or past.n_trials < budget or not past.ended.all():
        return None
    if config.finalists is not None:
        finalists = _finalists(config)
        for event in past.events():
            finalists.note(event)
        if not finalists.done:
            return None
    all_failed = bool((past.state == State.FAILED.value).all())
    return Ending.FAILURES if _most_failures(config) and all_failed else Ending.COMPLETE


def starting_point(config: StudyConfig, optimizer: Optimizer, record: StudyRecord, past: StudyData) -> Start:
    """Where this run begins: at the end of the runs before it, or with a new study."""
    n_repeats = config.finalists.count * config.finalists.repeats if config.finalists else 0
    tally = Tally(config.budget.trials, past.retraining is not None, stopped_as(past.config), n_repeats)
    failures = Failures(_most_failures(config))
    pruner = Pruner(PruningSettings(config.pruning.rule, config.pruning.spare))
    finalists = _finalists(config)
    if not past.n_trials:
        waiting = _begin(optimizer, record, config, finalists)
        return Start(Proposer(optimizer), waiting, tally, failures, pruner, finalists)
    asks_on = config.budget.trials is None or past.n_trials < config.budget.trials
    proposer = _replay(optimizer, _counted(past.events(), tally, failures, pruner, finalists), asks_on)
    if failures.too_many:  # they ended the run before: the user who resumes it has removed the cause
        failures.forgive()
    return Start(proposer, past.unfinished(), tally, failures, pruner, finalists)


def _finalists(config: StudyConfig) -> Finalists:
    if config.finalists is None:
        return Finalists()
    return Finalists(config.finalists.count, config.finalists.repeats, config.study.seed)


def _most_failures(config: StudyConfig) -> int | None:
    """Failures in a row that end the search; a budget that is smaller is not spent on failures alone."""
    most = config.budget.max_failures
    return min(most, config.budget.trials or most) if most else None


def _begin(optimizer: Optimizer, record: StudyRecord, config: StudyConfig, finalists: Finalists) -> list[Trial]:
    """A new study: its baseline, if it has one, is trial 0."""
    if config.baseline is None:
        return []
    baseline = Trial(0, Space(config.searched).typed(config.baseline.params), trial_seed(config.study.seed, 0))
    optimizer.adopt(baseline)
    asked = Asked(baseline, time.time())
    record.append(asked)
    finalists.note(asked)
    return [baseline]


def _counted(
    events: Iterable[Event], tally: Tally, failures: Failures, pruner: Pruner, finalists: Finalists
) -> Iterator[Event]:
    """The events as the optimizer is told of them, each seen by all who decide by them, and each end counted."""
    for event in events:
        pruner.note(event)
        finalists.note(event)
        if isinstance(event, Ended | Repeated):
            tally.update(event)
        if isinstance(event, Ended):
            failures.note(event.outcome)
            yield replace(event, outcome=pruner.as_told(event.outcome))
        else:
            yield event


def _replay(optimizer: Optimizer, events: Iterable[Event], asks_on: bool) -> Proposer:
    """Bring an optimizer to where the record ends.

    The optimizer proposes ahead, so results come in between a proposal and its sending. Events are replayed in the
    order in which the optimizer saw them, not in that of recording: each proposal after as many outcomes as it had
    seen. The next proposal was being made when the latest trial was sent, and is made again as it was then.

    Args:
        optimizer: that was told nothing.
        events: of the record, in order.
        asks_on: whether the budget allows another trial.
    """
    ends: deque[Ended] = deque()
    n_told, latest = 0, -1

    def tell_next() -> None:
        ended = ends.popleft()
        optimizer.tell(ended.outcome, ended.seconds)

    for event in events:
        if isinstance(event, Asked):
            n_seen = event.n_told or 0  # None of a baseline, which nobody proposed
            while ends and n_told < n_seen:
                tell_next()
                n_told += 1
            optimizer.adopt(event.trial)
            latest = event.trial.number
        elif isinstance(event, Ended):
            ends.append(event)
    while ends and ends[0].outcome.number != latest:
        tell_next()
        n_told += 1
    proposer = Proposer(optimizer, n_told)
    if ends and asks_on:
        proposer.post_ask()
    for ended in ends:
        proposer.post_tell(ended.outcome, ended.seconds)
    return proposer
