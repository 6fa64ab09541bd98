"""A small study of a Python function, and the real program to run it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

if not Path("/dev/nvidiactl").exists():  # no GPU: the fused kernels' tests run them by Triton's interpreter
    os.environ["TRITON_INTERPRET"] = "1"

sys.path.insert(0, str(Path(__file__).parent))  # fake_study, documents, mpi_families, comm_toys

FUNCTION = """
import os, time

def evaluate(params, seed, device):
    time.sleep(float(os.environ.get("TOY_SECONDS", "0.01")))
    x, y = params["x"], params["y"]
    return {
        "objective": -((x - 0.7) ** 2) - (y - 0.2) ** 2 + 1e-3 * (seed % 7),
        "constraints": [x - 0.8],
        "metrics": {"seed_seen": seed},
    }
"""
CONFIG = """\
study: {name: toy, seed: 5}
budget: {trials: 12, stop_before_end: 20s}
optimizer: {name: sobol}
trainer: {name: python, function: "toy.py:evaluate", constraints: [cliff]}
workers: {threads: 1}
space:
  x: {type: float, low: 0, high: 1}
  y: {type: float, low: 1e-3, high: 1, scale: log}
  kind: {type: categorical, choices: [plain, fancy]}
"""
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder with ``toy.yaml`` and the function that it names."""
    (tmp_path / "toy.py").write_text(FUNCTION)
    (tmp_path / "toy.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    """As a user's shell has it: no launcher around us, one thread, many ranks on few cores allowed."""
    return dict(os.environ) | {
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }


@pytest.fixture
def snnhpo(toy: Path, environment: dict[str, str]) -> Program:
    """Run ``snnhpo ARGUMENTS`` in the toy's folder, by a launcher if one is given."""

    def call(*arguments: str, launcher: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*launcher, sys.executable, "-m", "snnhpo_mpi", *arguments],
            cwd=toy,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture
def trials(toy: Path) -> Callable[[str], list[dict[str, object]]]:
    """What was asked and what it gave, of a study in ``results``: all that must not depend on time."""
    from snnhpo_mpi.record import read

    def table(results: str = "results") -> list[dict[str, object]]:
        frame = read(toy / results / "toy").frame()
        keep = [c for c in frame.columns if not c.endswith(("_at", "seconds", "rank"))]
        return json.loads(frame[keep].to_json(orient="records", double_precision=15))

    return table
