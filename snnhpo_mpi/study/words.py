"""What rank 0 says first and last, and where it is kept."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.plain_text import LogFile, PlainFormatter
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.study.progress import Tally, reason
from snnhpo_mpi.study.request import Say
from snnhpo_mpi.trial import State
from snnhpo_mpi.worker.outcomes import shortened

TRACEBACK_CHARS = 4000  # of the last failure, where it ends a search

log = logging.getLogger(__name__)


@contextlib.contextmanager
def kept(say: Say, path: Path) -> Iterator[Say]:
    """Keep what is said, with the log of this rank, in a file where anybody who watches the study can read it."""
    with contextlib.suppress(OSError):  # the first line will say what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    handler = LogFile(path)
    handler.setFormatter(PlainFormatter())
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


def first_words(folder: Path, n_workers: int, past: StudyData) -> str:
    """Who works, and how far the study is."""
    workers, n_unfinished = _counted(n_workers, "worker"), len(past.unfinished())
    if not past.n_trials:
        return f"{folder}: {workers}, a new study"
    again = f"; {_counted(n_unfinished, 'unfinished trial')} first" if n_unfinished else ""
    return f"{folder}: {workers}, {_counted(int(past.ended.sum()), 'trial')} done{again}"


def last_words(ending: Ending, tally: Tally, folder: Path, resumes: bool) -> str:
    """How a search ended, and what to do next.

    Args:
        ending: of the search.
        tally: counts of the study.
        folder: of the study.
        resumes: whether the same command would go on.
    """
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


def nothing_left(ending: Ending, folder: Path) -> str:
    """What is said of a study that had ended before this run."""
    if ending is Ending.FAILURES:
        return f"{folder}: all its trials failed, and the budget allows no other"
    return f"{folder}: the study is complete; nothing is left to do"


def say_conclusion(conclude: Callable[[Path], str], folder: Path, say: Say) -> None:
    """Say what a complete study found. It is complete, whatever goes wrong with that."""
    try:
        say(conclude(folder))
    except Exception as error:
        log.error("%s is complete; only its conclusion failed: %s: %s", folder, type(error).__name__, error)


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
