"""What rank 0 sets for its whole process, once, in its main function."""

from __future__ import annotations

import sys

import numpy as np
from threadpoolctl import threadpool_limits

SWITCH_S = 0.0005  # for which the loop waits for Python's lock while the optimizer computes; by default ten times that
LARGEST_FREED = 31 * 2**20  # bytes; blocks beyond 32 MiB are not followed. At most twice as much stays with the process


def tune_rank_0(n_cores: int) -> None:
    """Make a process fit for a loop that answers at once while an optimizer computes in another thread.

    Args:
        n_cores: of this rank. More threads than cores make linear algebra many times slower, and the workers with it.
    """
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
    np.empty(LARGEST_FREED, dtype=np.uint8)
