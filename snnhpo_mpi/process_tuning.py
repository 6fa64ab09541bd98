"""Freed memory stays with the process, so that the arrays of an ask need not fetch it anew.

The C library of Linux gives freed memory back to the system as soon as it is more than twice the largest block that it
has ever mapped and unmapped by itself; the system zeroes every page before it hands it out again. Some ten megabytes
are freed and needed again during an ask.

Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, which follow the blocks that are freed.
"""

from __future__ import annotations

import numpy as np

LARGEST = 31 * 2**20  # bytes; blocks beyond 32 MiB are not followed. At most twice as much stays with the process


def keep_freed() -> None:
    """Map and unmap one large block, which is never touched; elsewhere than under glibc it changes nothing."""
    np.empty(LARGEST, dtype=np.uint8)
