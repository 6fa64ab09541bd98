"""Arguments of a network's constructor that only some trials give."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnhpo_mpi.config import StudyConfig
from snnhpo_mpi.snn.torch.network import argument_faults
from snnhpo_mpi.snn.torch.trying import lowest

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self, n_classes, layers, width3{default}):
        super().__init__()
"""
WIDTH3 = {"type": "int", "low": 8, "high": 64, "when": {"layers": [3]}}


def config(folder: Path, default: str, fixed: dict[str, int] | None = None) -> StudyConfig:
    (folder / "net.py").write_text(NET.format(default=default))
    searched = {} if fixed else {"layers": {"type": "int", "low": 2, "high": 3}}
    return StudyConfig.model_validate(
        {
            "study": {"name": "s"},
            "budget": {"trials": 3},
            "trainer": {
                "name": "torch",
                "network": f"{folder / 'net.py'}:Net",
                "layout": "BTN",
                "dataset": {"name": "digits5000", "train": 100, "held_out": 50},
                "encoding": {"steps": 5, "max_rate_hz": 128},
            },
            "fixed": fixed or {},
            "space": {"width3": WIDTH3, **searched, "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2}},
        }
    )


def faults(settled: StudyConfig) -> list[str]:
    assert settled.trainer.name == "torch"
    return list(argument_faults(settled.trainer.network, settled))


def test_an_argument_that_some_trials_lack_needs_a_default(tmp_path: Path) -> None:
    (fault,) = faults(config(tmp_path, ""))
    assert fault == (
        "the argument width3 of Net has no default, and space.width3 exists only when layers is 3: give it one for the "
        "other trials"
    )


def test_with_a_default_all_is_well(tmp_path: Path) -> None:
    settled = config(tmp_path, "=16")
    assert faults(settled) == []
    assert lowest(settled) == {"layers": 2, "learning_rate": 1e-4}


@pytest.mark.parametrize(("layers", "n_faults"), [(3, 0), (2, 1)])
def test_a_fixed_value_that_decides_for_all_trials_decides_here_too(tmp_path: Path, layers: int, n_faults: int) -> None:
    settled = config(tmp_path, "", {"layers": layers})
    assert len(faults(settled)) == n_faults
    assert ("width3" in lowest(settled)) == (layers == 3)
