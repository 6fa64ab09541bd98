"""A GPU that is not there or does not work costs its rank, not the search and no trial."""

import subprocess
import sys
from pathlib import Path

import pytest
from mpi_families import families

from snnhpo_mpi.record import read

RANK_1_SEES_A_GPU = (
    'if [ "${PMI_RANK:-$OMPI_COMM_WORLD_RANK}" = 1 ]; then export CUDA_VISIBLE_DEVICES=99; '
    'else export CUDA_VISIBLE_DEVICES=; fi; exec "$0" -m snnhpo_mpi run toy.yaml'
)


@pytest.mark.mpi
def test_a_rank_with_a_broken_gpu_evaluates_nothing_and_the_others_search(toy: Path) -> None:
    family = families()[0]
    (toy / "toy.py").write_text("import torch\n" + (toy / "toy.py").read_text())
    done = subprocess.run(
        [family.mpiexec, "-n", "3", "sh", "-c", RANK_1_SEES_A_GPU, sys.executable],
        cwd=toy,
        env=family.variables() | {"TOY_SECONDS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "did not start (1): cuda:0 does not work" in done.stderr
    data = read(toy / "results" / "toy")
    assert set(data.state) == {"completed"}
    assert set(data.rank) == {2}
    assert {rank: worker.device for rank, worker in data.workers.items()} == {2: "cpu x 1"}
