import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from snnhpo_mpi.bench import trainer
from snnhpo_mpi.errors import ConfigError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 2, "SCORE_BATCH": 2, "N_PUBLISHED": 1, "N_UPDATES": 2}.items():
        monkeypatch.setattr(trainer, name, value)


@pytest.mark.parametrize(
    "name", [pytest.param("stdp", marks=pytest.mark.stdp), pytest.param("slayer", marks=pytest.mark.slayer)]
)
def test_both_engines_are_measured_and_compared(name: str, quick: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert trainer.main(Namespace(trainer=name, device="cpu", rounds=1, json=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"trainer", "device", "ours", "library", "speedup_train", "speedup_score"} <= set(found)
    assert found["ours"]["train_per_s"] > 0 and found["library"]["score_per_s"] > 0
    assert 0 <= found["max_abs_difference"] < 1e-6
    assert found.get("library_kernels", "none") == "none"


@pytest.mark.slayer
def test_on_a_gpu_lava_dl_is_not_measured_without_its_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNHPO_KERNELS", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    with pytest.raises(ConfigError, match="snnhpo kernels build --arch 90"):
        trainer.run_benchmark("slayer", "cuda:0", 1)
