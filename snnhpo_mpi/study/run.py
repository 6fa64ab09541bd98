"""The one place where the parts meet: configuration, optimizer, messages, record.

Rank 0 leads (``_lead``), all others work (``working.py``); with MPI they are processes, without it threads of this one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from snnhpo_mpi.comm.transport import LocalWorkers, Transport, local_transports
from snnhpo_mpi.config import Document, StudyConfig
from snnhpo_mpi.errors import ConfigError, RecordError, SnnhpoError
from snnhpo_mpi.host import schedulers
from snnhpo_mpi.host.address_space import short_of_address_space
from snnhpo_mpi.host.device import cores_of_rank
from snnhpo_mpi.host.launchers import announced, local_size
from snnhpo_mpi.host.process_tuning import tune_rank_0
from snnhpo_mpi.host.provenance import provenance
from snnhpo_mpi.host.signals import StopSignals, ignore_stop_signals
from snnhpo_mpi.master.failures import Failures
from snnhpo_mpi.master.loop import Ending, Master, MasterSettings, dismiss
from snnhpo_mpi.master.proposer import N_TOLD, Optimizer, Proposer
from snnhpo_mpi.plain_text import LogFile, PlainFormatter
from snnhpo_mpi.record import StudyData, StudyRecord, exists, read
from snnhpo_mpi.snn import checkpoint
from snnhpo_mpi.space import Space
from snnhpo_mpi.study.build import build_optimizer
from snnhpo_mpi.study.check import Found, check_data
from snnhpo_mpi.study.progress import Announcer, FollowedRecord, Tally, reason, seconds_spent
from snnhpo_mpi.study.tensorboard import FOLDER as SCALARS
from snnhpo_mpi.study.tensorboard import Scalars, require_package
from snnhpo_mpi.study.worker_rank import work
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial, trial_seed
from snnhpo_mpi.worker.outcomes import shortened

log = logging.getLogger(__name__)
Say = Callable[[str], None]
RANK_0_LOG = "rank_000.log"
TRACEBACK_CHARS = 4000  # of the last failure, where it ends a search
OWN_FOLDERS = frozenset({"logs", "report", "export", SCALARS, checkpoint.FOLDER})  # of a study, in its own


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked ``snnhpo run`` for.

    Attributes:
        load: reads the configuration and the document that it stands in; called on rank 0 only.
        results: folder that holds the studies' folders.
        resume: go on with the study if there is one.
        accept_config: go on although the configuration changed.
        workers: evaluators without MPI, None for one.
        conclude: what is said of a complete study before the last line, from its folder.
        tensorboard: write TensorBoard scalars too.
        accept_damage: go on although something of the record is lost.
    """

    load: Callable[[], tuple[StudyConfig, Document]]
    results: Path = Path("results")
    resume: bool = False
    accept_config: bool = False
    workers: int | None = None
    conclude: Callable[[Path], str] | None = None
    tensorboard: bool = False
    accept_damage: bool = False


def run(request: Request, say: Say) -> int:
    """Run a search on all ranks of this job, or in this process alone.

    Args:
        request: the command line's wishes.
        say: takes the lines for the user; called on rank 0 only.

    Returns:
        The exit code of this rank, the same on all.

    Raises:
        ConfigError: without MPI only; with it rank 0 says it and all ranks end with its code.
    """
    told = announced(os.environ)
    if told is not None and not (request.workers and told.size == 1):  # such as a shell inside a Slurm job
        if request.workers is not None:
            raise ConfigError("--workers is for runs without MPI; mpiexec -n 1+N starts N workers")
        if told.rank == 0:
            schedulers.leave_exit_code(None, os.environ)
        return _run_mpi(request, say)
    ends = local_transports(1 + (request.workers or 1))
    with StopSignals() as signals, LocalWorkers(ends[1:], partial(work, request.results, {})):
        return _lead_or_dismiss(request, ends[0], say, signals)


def _run_mpi(request: Request, say: Say) -> int:
    from snnhpo_mpi.comm import mpi

    transport = mpi.connect(os.environ)
    if transport.size == 1:
        raise ConfigError("one rank cannot search: rank 0 optimises and every other trains; start mpiexec -n 2 or more")
    code = 1
    try:
        if transport.rank:
            ignore_stop_signals()
            code = work(request.results, os.environ, transport)
        else:
            with StopSignals() as signals:
                code = _lead_or_dismiss(request, transport, say, signals)
            schedulers.leave_exit_code(code, os.environ)
    except BaseException:  # a fault of the program, on whichever rank: a job must not try it again and again
        schedulers.leave_exit_code(code, os.environ)
        raise
    finally:
        transport.close(code)
    return code


# Rank 0.


def _lead_or_dismiss(request: Request, transport: Transport, say: Say, signals: StopSignals) -> int:
    """Lead; a user's mistake is said once and ends all ranks with its exit code."""
    try:
        return _lead(request, transport, say, signals)
    except SnnhpoError as error:
        dismiss(transport, error.exit_code)
        log.error("%s", error)
        return error.exit_code
    except (ImportError, MemoryError, OSError) as error:
        if (reason := short_of_address_space(error)) is None:
            raise
        dismiss(transport, ConfigError.exit_code)
        log.error("%s", reason)
        return ConfigError.exit_code


def _lead(request: Request, transport: Transport, say: Say, signals: StopSignals) -> int:
    config, document = request.load()
    with document.located():
        data = check_data(config, import_function=False)  # before any rank starts work
    if request.tensorboard:
        require_package()
    folder = request.results / config.study.name
    with document.located():
        optimizer = build_optimizer(config)
    tune_rank_0(cores_of_rank(os.environ, local_size(os.environ) or transport.size))
    record = _open_record(request, config, document.text, folder, data)
    with _kept(say, folder / "logs" / RANK_0_LOG) as say:
        return _lead_on(request, config, transport, record, optimizer, say, signals)


def _lead_on(
    request: Request,
    config: StudyConfig,
    transport: Transport,
    record: StudyRecord,
    optimizer: Optimizer,
    say: Say,
    signals: StopSignals,
) -> int:
    """Lead with an open record, which is closed whatever happens."""
    folder, closing = record.folder, "error"
    try:
        past = record.read()
        if _is_complete(config, past):
            ending, words = _ending_of_complete(config, past)
            dismiss(transport, ending.exit_code)
        else:
            ending, tally = _search(config, transport, record, past, optimizer, say, signals, request.tensorboard)
            words = _last_words(ending, tally, folder, request.resume)
        closing = ending.value
    finally:
        record.close(closing)
    if ending is Ending.COMPLETE and request.conclude:
        _conclude(request.conclude, folder, say)
    say(words)
    return ending.exit_code


def _conclude(conclude: Callable[[Path], str], folder: Path, say: Say) -> None:
    """Say what a complete study found. It is complete, whatever goes wrong with that."""
    try:
        say(conclude(folder))
    except Exception as error:
        log.error("%s is complete; only its conclusion failed: %s: %s", folder, type(error).__name__, error)


def _search(
    config: StudyConfig,
    transport: Transport,
    record: StudyRecord,
    past: StudyData,
    optimizer: Optimizer,
    say: Say,
    signals: StopSignals,
    tensorboard: bool,
) -> tuple[Ending, Tally]:
    tally = Tally(config.budget.trials, retraining=config.retrain is not None)
    failures = Failures(_most_failures(config))
    checkpoints = record.folder / checkpoint.FOLDER
    checkpoint.tidy(checkpoints, (trial.number for trial in past.unfinished()))
    time_left, time_is_budget = _clock(config, past)
    if past.n_trials:
        waiting, proposer = past.unfinished(), _restore(optimizer, tally, failures, past)
    else:
        waiting, proposer = _begin(optimizer, record, config), Proposer(optimizer)
    say(_first_words(record.folder, transport.size - 1, past))
    left_s = time_left()
    settings = MasterSettings(
        config=config.model_dump_json(),
        budget=config.budget.trials,
        n_asked=tally.n_ended + len(waiting),
        # A job that is shorter than this would otherwise train nothing, however often it is resumed.
        stop_before_end_s=min(config.budget.stop_before_end, float("inf") if left_s is None else left_s / 2),
        heartbeat_timeout_s=config.workers.heartbeat_timeout,
        time_is_budget=time_is_budget,
    )
    scalars = Scalars(record.folder / SCALARS, tally, config.constraint_names) if tensorboard else None
    followed = FollowedRecord(
        record,
        Announcer(tally, say, time_left),
        ended=lambda number: checkpoint.remove(checkpoints, [number]),
        also=scalars.note if scalars else lambda event: None,
    )
    master = Master(transport, proposer, followed, settings, waiting, time_left, failures=failures)
    signals.pass_to(master.request_stop)
    try:
        ending = master.run()
    finally:
        if scalars:
            scalars.close()
    with contextlib.suppress(RecordError, OSError):  # the next run does it too
        checkpoint.tidy(checkpoints, (trial.number for trial in record.read().unfinished()))
    return ending, tally


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


def _most_failures(config: StudyConfig) -> int | None:
    """Failures in a row that end the search; a budget that is smaller is not spent on failures alone."""
    most = config.budget.max_failures
    return min(most, config.budget.trials or most) if most else None


@contextlib.contextmanager
def _kept(say: Say, path: Path) -> Iterator[Say]:
    """Keep what is said with the log of this rank in a file, where whoever watches the study can read it."""
    with contextlib.suppress(OSError):  # the first line will say what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    handler = LogFile(path)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("snnhpo_mpi")
    logger.addHandler(handler)

    def both(text: str) -> None:
        for line in text.splitlines():
            handler.handle(logging.makeLogRecord({"msg": line, "levelno": logging.INFO, "levelname": "INFO"}))
        say(text)

    try:
        yield both
    finally:
        logger.removeHandler(handler)
        handler.close()


def _first_words(folder: Path, n_workers: int, past: StudyData) -> str:
    """Who works, and how far the study is."""
    workers, n_unfinished = _counted(n_workers, "worker"), len(past.unfinished())
    if not past.n_trials:
        return f"{folder}: {workers}, a new study"
    again = f"; {_counted(n_unfinished, 'unfinished trial')} first" if n_unfinished else ""
    return f"{folder}: {workers}, {_counted(int(past.ended.sum()), 'trial')} done{again}"


def _last_words(ending: Ending, tally: Tally, folder: Path, resumes: bool) -> str:
    trials, how = f"{_counted(tally.n_ended, 'trial')} in {folder}", "" if resumes else " with --resume"
    match ending:
        case Ending.COMPLETE:
            n_failed = tally.ended[State.FAILED]
            failed = f", {n_failed} of them failed" if n_failed else ""
            return f"complete: {trials}{failed}; next: snnhpo report {folder}"
        case Ending.NO_WORKERS:
            return f"stopped: no worker could start (why: above, and in {folder / 'logs'}); {trials}"
        case Ending.FAILURES:
            return _words_on_failures(tally, folder, how)
        case _:
            return f"stopped ({ending.value}) after {trials}; the same command{how} goes on"


def _words_on_failures(tally: Tally, folder: Path, how: str) -> str:
    """The reason of the last failure; its traceback goes to the log."""
    last = tally.last_failure
    assert last is not None
    log.error("trial %d failed: %s", last.number, shortened(last.error or "no reason given", TRACEBACK_CHARS))
    failed = f"{_counted(tally.n_failed_in_a_row, 'trial')} failed in a row"
    return (
        f"stopped: {failed}, the last with {reason(last.error or '')}\n"
        f"{folder} has every reason; when it is removed, the same command{how} goes on "
        "(budget.max_failures: how many failures end a search)"
    )


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _is_complete(config: StudyConfig, past: StudyData) -> bool:
    budget = config.budget.trials
    return budget is not None and past.n_trials >= budget and bool(past.ended.all())


def _ending_of_complete(config: StudyConfig, past: StudyData) -> tuple[Ending, str]:
    """How a study ended whose trials have all been evaluated, and what is said of it."""
    if _most_failures(config) and bool((past.state == State.FAILED.value).all()):
        return Ending.FAILURES, f"{past.folder}: all its trials failed, and the budget allows no other"
    return Ending.COMPLETE, f"{past.folder}: the study is complete; nothing is left to do"


def _begin(optimizer: Optimizer, record: StudyRecord, config: StudyConfig) -> list[Trial]:
    """A new study: its baseline, if it has one, is trial 0."""
    if config.baseline is None:
        return []
    baseline = Trial(0, Space(config.space).typed(config.baseline.params), trial_seed(config.study.seed, 0))
    optimizer.adopt(baseline)
    record.append(Asked(baseline, time.time()))
    return [baseline]


def _restore(optimizer: Optimizer, tally: Tally, failures: Failures, past: StudyData) -> Proposer:
    """Bring optimizer and counts to where the record ends.

    The optimizer proposes ahead, so results come in between a proposal and its sending. Events are replayed in the
    order in which the optimizer saw them, not in that of recording: each proposal after as many outcomes as it had
    seen. The next proposal was being made when the latest trial was sent, and is made again as it was then.
    """
    outcomes: deque[Outcome] = deque()
    n_told = 0
    latest = -1
    for event in past.events():
        match event:
            case Asked():
                n_seen = event.optimizer.get(N_TOLD)  # none: a baseline, which nobody proposed
                while outcomes and isinstance(n_seen, int | float) and n_told < n_seen:
                    optimizer.tell(outcomes.popleft())
                    n_told += 1
                optimizer.adopt(event.trial)
                latest = event.trial.number
            case Ended():
                tally.update(event)
                failures.note(event.outcome)
                outcomes.append(event.outcome)
            case Started():
                pass  # whoever had it is gone
    if failures.too_many:  # the run before ended for them: whoever resumes it has removed the cause
        failures.forgive()
    while outcomes and outcomes[0].number != latest:
        optimizer.tell(outcomes.popleft())
        n_told += 1
    proposer = Proposer(optimizer, n_told)
    if outcomes and (tally.budget is None or past.n_trials < tally.budget):
        proposer.post_ask()
    for outcome in outcomes:
        proposer.post_tell(outcome)
    return proposer


def _open_record(request: Request, config: StudyConfig, text: str, folder: Path, data: Found) -> StudyRecord:
    """The study's record, begun or gone on with."""
    resuming = exists(folder)
    if resuming and not request.resume:
        raise RecordError(
            f"{folder} holds a study already: --resume goes on with it, --results begins another elsewhere"
        )
    resolved, space, facts = config.model_dump(mode="json"), Space(config.space), provenance() | data.provenance()
    flush_every_s = config.record.flush_every
    if resuming and not request.accept_config:
        data.refuse_other(read(folder).provenance)
    if resuming:
        record = StudyRecord.open(
            folder, text, resolved, space, config.constraint_names, facts,
            flush_every_s=flush_every_s, accept_config=request.accept_config, accept_damage=request.accept_damage,
        )  # fmt: skip
    else:
        record = StudyRecord.create(
            folder, text, resolved, space, config.constraint_names, facts, flush_every_s=flush_every_s
        )
    for notice in record.notices:
        log.warning("%s", notice)
    return record
