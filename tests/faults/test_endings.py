"""However a job is told to end: exit 75, and the next one goes on where it was."""

import os
import random
import signal
import time
from pathlib import Path

import endings
import pytest

from snnhpo_mpi.config import load_config
from snnhpo_mpi.study.build import build_trainer

pytestmark = pytest.mark.mpi
LONG_TRIAL = """\
study: {name: faulty, seed: 3}
budget: {trials: 1, stop_before_end: 0.2s}
optimizer: {name: random}
trainer:
  name: stdp
  dataset: {name: digits5000, train: 800, held_out: 40}
  encoding: {steps: 40, max_rate_hz: 128}
workers: {threads: 1}
fixed: {epochs: 60, map_size: 20, nu_post: 5e-3, strength_exc: 100.0, strength_inh: 250.0, e_tc_decay: 100.0}
space: {nu_pre: {type: float, low: 1e-5, high: 1e-4}}
"""


def test_a_signal_to_rank_0_lets_running_trials_finish(study, family):
    number = signal.SIGTERM if family.name == "mpich" else signal.SIGUSR1
    assert endings.stop_by_signal(study, family, number, random.Random(1)).lost == 0


@pytest.mark.parametrize("clock", endings.CLOCKS)
def test_a_clock_ends_the_job_in_time(study, clock):
    assert endings.stop_by_clock(study, None, clock, random.Random(2)).lost == 0


def test_a_trial_longer_than_the_grace_is_cut_and_sent_again(study):
    assert endings.cut_long_trial(study, None, random.Random(3)).lost == 0


@pytest.mark.stdp
@pytest.mark.timeout(600)
def test_a_training_cut_by_the_end_of_a_job_goes_on_after_its_last_epoch_in_the_next(study):
    one = study(None, trials=1, n_workers=1)
    (one.folder / "faulty.yaml").write_text(LONG_TRIAL)
    process = one.start()
    one.wait_for(lambda: epoch_of(one.record / "checkpoints" / "trial_000000.state") >= 3, process)
    os.kill(process.pid, signal.SIGUSR1)
    assert process.wait(60) == 75, one.output
    assert not one.data().ended.any()
    kept = epoch_of(one.record / "checkpoints" / "trial_000000.state")
    assert 3 <= kept < 60
    assert one.run("--resume") == 0, one.output
    resumed = one.data()
    assert resumed.metrics["resumed_after_epoch"][0] == kept
    assert not list((one.record / "checkpoints").iterdir())
    uncut = build_trainer(load_config(one.folder / "faulty.yaml"), "cpu", lambda _: None).evaluate(resumed.trial(0))
    assert resumed.objective[0] == uncut.objective
    assert {name: curve.tolist() for name, curve in resumed.curves(0).items()} == {
        name: list(curve) for name, curve in uncut.curves.items()
    }


def epoch_of(path: Path) -> int:
    """Of a checkpoint; 0 if there is none."""
    from snnhpo_mpi.snn.state_file import unpacked

    return unpacked(path.read_bytes()[:-4])["state"]["log"]["epoch"] if path.exists() else 0  # then a checksum


def test_the_end_of_slurm_s_job_is_that_of_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.host.schedulers import job_clock

    left = job_clock(None, {"SLURM_JOB_END_TIME": str(int(time.time()) + 100)})()
    assert left is not None and 98 <= left <= 100
