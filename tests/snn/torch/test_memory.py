"""Nothing of a trial stays in the evaluator when it is over: networks, their copies, gradients, hooks."""

import gc
from collections import Counter
from pathlib import Path

import pytest
import torch

from snnhpo_mpi.config import load_config
from snnhpo_mpi.study.build import build_optimizer, build_trainer
from snnhpo_mpi.trial import State

ROOT = Path(__file__).parents[3]
TINY = [
    "trainer.dataset={name: digits5000, train: 16, held_out: 8}",
    "fixed={epochs: 1, num_steps: 2}",
    "stopping.0.beta=0.999",
    "space.batch_size={type: int, low: 8, high: 16}",
    "space.num_hidden={type: int, low: 16, high: 17}",
]


def alive() -> Counter[str]:
    """How many modules and tensors there are, by class."""
    gc.collect()
    kinds = (torch.nn.Module, torch.Tensor, torch.optim.Optimizer)
    return Counter(type(one).__name__ for one in gc.get_objects() if issubclass(type(one), kinds))


def test_trials_of_snntorch_leave_no_module_and_no_tensor_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    snntorch = pytest.importorskip("snntorch", reason="snntorch is not installed")
    monkeypatch.chdir(ROOT)
    study = load_config(ROOT / "examples" / "snntorch" / "search.yaml", TINY)
    optimizer, trainer = build_optimizer(study), build_trainer(study, "cpu", lambda progress: None)
    seen = []
    for _ in range(5):
        outcome = trainer.evaluate(optimizer.ask().trial)
        assert outcome.state is State.COMPLETED, outcome.error
        optimizer.tell(outcome)
        del outcome
        seen.append((alive(), len(snntorch.SpikingNeuron.instances)))
    assert seen[1:] == seen[1:2] * 4
    assert seen[-1][1] == 2  # of the latest network, whose list is emptied by the next
