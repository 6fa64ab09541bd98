"""What a process sets for the whole of itself, once, at the beginning of its main function.

Nothing else in the program changes such a thing for longer than a ``with`` block; signals are in ``signals.py``.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import sys

from snnhpo_mpi.plain_text import PlainFormatter

SWITCH_S = 0.0005  # for which the loop waits for Python's lock while the optimizer computes; by default ten times that
LARGEST_FREED = 31 * 2**20  # bytes; blocks beyond 32 MiB are not followed. At most twice as much stays with the process


def log_to_stderr(verbose: bool) -> None:
    """Log to standard error: the program's own news, and warnings of the libraries.

    Args:
        verbose: details too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter())
    logging.raiseExceptions = False  # a full disk is no reason for a traceback a line
    logging.basicConfig(level=logging.WARNING, handlers=[handler])  # libraries tell of every font that they write
    logging.getLogger("snnhpo_mpi").setLevel(logging.DEBUG if verbose else logging.INFO)
    quiet_libraries()


def quiet_libraries() -> None:
    """Leave out what libraries warn of and no user can use: fonts without a weight, CUDA tools without a GPU."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    logging.getLogger("torch.utils.cpp_extension").addFilter(_of_use)


def _of_use(record: logging.LogRecord) -> bool:
    return "No CUDA runtime" not in str(record.msg)


def tune_rank_0(n_cores: int) -> None:
    """Make a process fit for a loop that answers at once while an optimizer computes in another thread.

    Args:
        n_cores: of this rank. More threads than cores make linear algebra many times slower, and the workers with it.
    """
    from threadpoolctl import threadpool_limits  # this and NumPy: not for every command to load

    threadpool_limits(n_cores)
    sys.setswitchinterval(SWITCH_S)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Freed memory stays with the process, so that the arrays of an ask need not fetch it again.

    The C library of Linux gives freed memory back to the system as soon as it is more than twice the largest block that
    it has ever mapped and unmapped by itself; the system zeroes every page before it hands it out again. Some ten
    megabytes are freed and needed again during an ask. One large block, mapped and unmapped but never touched, raises
    that bound; under other C libraries than glibc it changes nothing.

    Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, which follow the blocks that are freed.
    """
    import numpy as np

    np.empty(LARGEST_FREED, dtype=np.uint8)


def tune_evaluator() -> None:
    """Make a process fit for evaluations that may crash it: a fatal signal leaves a traceback in the log."""
    faulthandler.enable()
    quiet_libraries()


def freeze_imports() -> None:
    """Leave what was imported by now out of later garbage collections.

    Trainers collect before each trial; going through all imported objects took as long as a short trial.
    """
    gc.collect()
    gc.freeze()
