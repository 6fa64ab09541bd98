"""A private Slurm, and the shipped batch files in a folder of the user's to submit to it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from jobs import CONFIG, FUNCTION, Job
from mpi_families import PERMISSIVE, ROOT, Family, families
from private_cluster import PrivateCluster, missing


@pytest.fixture(scope="session")
def cluster() -> Iterator[PrivateCluster]:
    if (reason := missing()) is not None:
        _skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # short: it holds sockets
        private = PrivateCluster(Path(folder))
        try:
            private.start()
            yield private
        finally:
            private.stop()


@pytest.fixture(scope="session")
def job(cluster: PrivateCluster, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    """Makes jobs of an MPI family (name), whose trials last so many seconds."""

    def make(family: str, seconds: float = 0.2, **variables: str) -> Job:
        folder = tmp_path_factory.mktemp("job")
        shutil.copytree(ROOT / "slurm", folder / "slurm")
        (folder / "toy.py").write_text(FUNCTION)
        (folder / "toy.yaml").write_text(CONFIG)
        chosen = {one.name: one for one in families()}.get(family)
        if chosen is None:
            _skip(f"no {family} here: make .mpi/.installed")
        return Job(cluster, folder, environment=_shell(chosen) | {"TOY_SECONDS": str(seconds)} | variables)

    return make


def _skip(reason: str) -> NoReturn:
    if "SNNHPO_SLURM_TESTS" in os.environ:  # make slurm-test skips nothing
        pytest.fail(reason)
    pytest.skip(reason)


def _shell(family: Family) -> dict[str, str]:
    """What a user's shell has after ``module load`` and ``source venv/bin/activate``."""
    folders = [Path(family.mpiexec).parent, Path(sys.executable).parent]
    path = ":".join([*map(str, dict.fromkeys(folders)), os.environ["PATH"]])
    return PERMISSIVE | {"PATH": path, "OMP_NUM_THREADS": "1", "SNNHPO_START_LIMIT": "40"} | dict(family.environment)
