"""What freed arrays leave behind."""

from __future__ import annotations

import logging
import platform
import subprocess
import sys

import pytest

from snnhpo_mpi.host.process_tuning import quiet_libraries

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


def test_only_the_librarys_warning_that_no_user_can_use_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        quiet_libraries()
    logger = logging.getLogger("torch.utils.cpp_extension")
    logger.warning("No CUDA runtime is found, using CUDA_HOME='/usr/local/cuda'")
    logger.warning("the compiler is too old")
    assert caplog.messages == ["the compiler is too old"] and len(logger.filters) == 1
