"""What freed arrays leave behind."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import sys
import numpy as np
from snnhpo_mpi.host.process_tuning import keep_freed_memory

def used():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        [np.ones(2**17) for _ in range(10)]  # 10 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

used()
given_back = used()
keep_freed_memory()
used()
print(given_back, used())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have rules of their own")
def test_arrays_find_the_memory_of_those_before_them() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert given_back > 20 * 1000
    assert kept < 200
