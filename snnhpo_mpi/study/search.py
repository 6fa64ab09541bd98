"""Rank 0 of a search: where configuration, optimizer, record and messages meet."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from snnhpo_mpi.comm.transport import Transport
from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.errors import ConfigError, RecordError, SnnhpoError
from snnhpo_mpi.extras import absent
from snnhpo_mpi.host import schedulers
from snnhpo_mpi.host.address_space import short_of_address_space
from snnhpo_mpi.host.device import cores_of_rank
from snnhpo_mpi.host.launchers import local_size
from snnhpo_mpi.host.process_tuning import tune_rank_0
from snnhpo_mpi.host.signals import StopSignals
from snnhpo_mpi.interfaces import Optimizer
from snnhpo_mpi.master.dismissal import dismiss
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.master.loop import Master, MasterSettings
from snnhpo_mpi.record import StudyData, StudyRecord
from snnhpo_mpi.snn import checkpoint
from snnhpo_mpi.study.assignment import Assignment
from snnhpo_mpi.study.build import build_optimizer
from snnhpo_mpi.study.check import check_data
from snnhpo_mpi.study.progress import Announcer, FollowedRecord, Tally, seconds_spent
from snnhpo_mpi.study.request import Request, Say
from snnhpo_mpi.study.resume import Start, ending_already, open_record, starting_point
from snnhpo_mpi.study.tensorboard import FOLDER as SCALARS
from snnhpo_mpi.study.tensorboard import Scalars, require_package
from snnhpo_mpi.study.words import first_words, kept, last_words, nothing_left, say_conclusion

RANK_0_LOG = "rank_000.log"
OWN_FOLDERS = frozenset({"logs", "report", "export", SCALARS, checkpoint.FOLDER})  # of a study, in its own

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Search:
    """What rank 0 leads a search with.

    Attributes:
        request: what the user asked for.
        config: of the study.
        record: of the study, open for writing.
        past: what the runs before this one recorded.
        optimizer: that was told nothing yet.
        transport: to the workers.
        signals: that stop the search.
        say: takes the lines for the user.
    """

    request: Request
    config: StudyConfig
    record: StudyRecord
    past: StudyData
    optimizer: Optimizer
    transport: Transport
    signals: StopSignals
    say: Say

    @property
    def checkpoints(self) -> Path:
        """Folder of the running trials' checkpoints."""
        return self.record.folder / checkpoint.FOLDER


def lead(request: Request, transport: Transport, say: Say, signals: StopSignals) -> int:
    """Lead a search as rank 0; the exit code of all ranks. A user's mistake is said once and ends them all."""
    try:
        return _lead(request, transport, say, signals)
    except SnnhpoError as error:
        dismiss(transport, error.exit_code)
        log.error("%s", error)
        return error.exit_code
    except (ImportError, MemoryError, OSError) as error:
        reason = short_of_address_space(error) or (isinstance(error, ImportError) and absent(error, "this search"))
        if not reason:
            raise
        dismiss(transport, ConfigError.exit_code)
        log.error("%s", reason)
        return ConfigError.exit_code


def _lead(request: Request, transport: Transport, say: Say, signals: StopSignals) -> int:
    task = request.load()
    config, again = task.config, task.retraining
    with task.document.located():
        data = check_data(
            config, import_function=False, final=again is not None, read_own=True
        )  # before any rank works
    if request.tensorboard:
        require_package()
    with task.document.located():
        optimizer = build_optimizer(config, again.candidates if again else ())
    tune_rank_0(cores_of_rank(os.environ, local_size(os.environ) or transport.size))
    record = open_record(request, task, data)
    folder, closing = record.folder, "error"
    with kept(say, folder / "logs" / RANK_0_LOG) as say:
        try:
            search = Search(request, config, record, record.read(), optimizer, transport, signals, say)
            ending, words = _search(search)
            closing = ending.value
        finally:
            record.close(closing)
        if ending is Ending.COMPLETE and request.conclude:
            say_conclusion(request.conclude, folder, say)
        say(words)
    return ending.exit_code


def _search(search: Search) -> tuple[Ending, str]:
    """Go on with the study as far as this job can; how it ended, and what is said of that."""
    folder = search.record.folder
    if (ending := ending_already(search.config, search.past)) is not None:
        dismiss(search.transport, ending.exit_code)
        return ending, nothing_left(ending, folder)
    time_left, time_is_budget = _clock(search.config, search.past)
    start = starting_point(search.config, search.optimizer, search.record, search.past)
    _tidy(search, search.past, start)
    search.say(first_words(folder, search.transport.size - 1, search.past))
    settings = _master_settings(search, start, time_left(), time_is_budget)
    with _followed(search, start.tally, time_left) as record:
        master = Master(
            search.transport,
            start.proposer,
            record,
            settings,
            start.waiting,
            time_left,
            failures=start.failures,
            prune=start.pruner.note,
            finalists=start.finalists,
            as_told=start.pruner.as_told,
        )
        search.signals.pass_to(master.request_stop)
        ending = master.run()
    with contextlib.suppress(RecordError, OSError):  # the next run does it too
        _tidy(search, search.record.read(), start)
    return ending, last_words(ending, start.tally, folder, search.request.resume)


def _tidy(search: Search, data: StudyData, start: Start) -> None:
    """Remove the checkpoints of what has ended."""
    unfinished = [*data.unfinished(), *start.finalists.left()]
    checkpoint.tidy(search.checkpoints, (trial.number for trial in unfinished))


def _clock(config: StudyConfig, past: StudyData) -> tuple[Callable[[], float | None], bool]:
    """The time left of this job or of its wall time, and whether its end is that of the whole budget.

    A wall time that is all the budget there is goes on over the runs of a job that was cut and put back into the queue.
    """
    wall_time_s, is_all = config.budget.wall_time, config.budget.trials is None
    if wall_time_s is not None and is_all:
        wall_time_s -= seconds_spent(past, Ending.COMPLETE.value)
    of_budget, of_job = schedulers.job_clock(wall_time_s, {}), schedulers.job_clock(None, os.environ)

    def time_left() -> float | None:
        return min((left for left in (of_budget(), of_job()) if left is not None), default=None)

    budget_s, job_s = of_budget(), of_job()
    return time_left, is_all and budget_s is not None and (job_s is None or budget_s <= job_s)


def _master_settings(search: Search, start: Start, left_s: float | None, time_is_budget: bool) -> MasterSettings:
    config, again = search.config, search.past.retraining
    assignment = Assignment(config, again is not None, again.networks if again else None)
    return MasterSettings(
        config=assignment.as_text(),
        budget=config.budget.trials,
        n_asked=start.tally.n_ended + len(start.waiting),
        # A job that is shorter than this would otherwise train nothing, however often it is resumed.
        stop_before_end_s=min(config.budget.stop_before_end, float("inf") if left_s is None else left_s / 2),
        heartbeat_timeout_s=config.workers.heartbeat_timeout,
        time_is_budget=time_is_budget,
    )


@contextlib.contextmanager
def _followed(search: Search, tally: Tally, time_left: Callable[[], float | None]) -> Iterator[FollowedRecord]:
    """The record as the loop sees it: what is written is counted, said, drawn, and its checkpoint removed."""
    scalars = None
    if search.request.tensorboard:
        scalars = Scalars(search.record.folder / SCALARS, tally, search.config.constraint_names)
    try:
        yield FollowedRecord(
            search.record,
            Announcer(tally, search.say, time_left),
            ended=lambda number: checkpoint.remove(search.checkpoints, [number]),
            also=scalars.note if scalars else lambda event: None,
        )
    finally:
        if scalars:
            scalars.close()
