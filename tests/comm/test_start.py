"""Ranks that wait for one that never comes."""

import os
import subprocess
import sys

import pytest
from mpi_families import families

PROGRAM = """
import os, sys, time
if os.environ.get("PMI_RANK") == "1" or os.environ.get("OMPI_COMM_WORLD_RANK") == "1":
    time.sleep(60)
from snnhpo_mpi.comm.mpi import connect
connect(os.environ)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("family", families(), ids=str)
def test_a_missing_rank_does_not_keep_the_others_up_to_the_walltime(family) -> None:
    done = subprocess.run(
        [family.mpiexec, "-n", "2", sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=50,
        env=dict(os.environ) | family.variables() | {"SNNHPO_START_LIMIT": "2"}, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "in _initialise" in done.stderr, done.stderr
