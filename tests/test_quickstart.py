"""The shipped experiments, smaller, from the configuration to the HTML report."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi.record import read

ROOT = Path(__file__).parent.parent
SMALL = {
    "quickstart": ["trainer.dataset.train=160", "trainer.dataset.held_out=100", "space.map_size.high=120",
                   "optimizer.initial=4", "budget.trials=8"],
    "quickstart_slayer": ["trainer.dataset.train=96", "trainer.dataset.held_out=60", "space.epochs.high=2",
                          "stopping.0.warm_up=0", "optimizer.initial=3", "budget.trials=5"],
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [pytest.param("quickstart", marks=pytest.mark.stdp), pytest.param("quickstart_slayer", marks=pytest.mark.slayer)],
)
def test_a_quick_start_goes_from_configuration_to_report(name: str, tmp_path: Path) -> None:
    def snnhpo(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "snnhpo_mpi", *arguments],
            cwd=ROOT, env=dict(os.environ) | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
            timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    sets = [part for setting in SMALL[name] for part in ("--set", setting)]
    snnhpo("run", f"configs/{name}.yaml", "--results", str(tmp_path), "--workers", "2", *sets)
    data = read(tmp_path / name)
    assert data.ended.all()
    assert set(data.state) <= {"completed", "stopped"}, data.errors()
    completed = data.completed
    assert completed[0]  # the baseline
    assert np.array_equal(data.objective[completed], data.metrics["accuracy"][completed])
    assert np.isnan(data.metrics["accuracy"][~completed]).all()  # a stopped network is not scored
    assert np.all(data.metrics["n_samples"][~completed] < data.metrics["n_samples_planned"][~completed])
    assert {"train_accuracy", "silent_rate_" + data.constraint_names[0].removeprefix("silent_")} <= set(data.curves(0))
    said = snnhpo("report", str(tmp_path / name))
    assert "baseline" in said
    assert (tmp_path / name / "report" / "report.html").is_file()
    assert (tmp_path / name / "report" / "incumbent.png").is_file()
