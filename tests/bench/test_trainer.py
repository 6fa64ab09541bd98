import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest
import torch

from snnhpo_mpi.bench import trainer
from snnhpo_mpi.errors import ConfigError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 2, "SCORE_BATCH": 2, "N_PUBLISHED": 1, "N_UPDATES": 2}.items():
        monkeypatch.setattr(trainer, name, value)


def arguments(*given: str) -> Namespace:
    parser = ArgumentParser()
    trainer.add_arguments(parser)
    return parser.parse_args([*given, "--rounds", "1", "--json"])


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["--trainer", "stdp", "--batch-size", "2", "--neurons", "50"], marks=pytest.mark.stdp),
        pytest.param(["--trainer", "slayer"], marks=pytest.mark.slayer),
    ],
)
def test_both_engines_are_measured_and_compared(
    given: list[str], quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer.main(arguments(*given)) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"trainer", "device", "ours", "library", "speedup_train", "speedup_score"} <= set(found)
    assert found["ours"]["train_per_s"] > 0 and found["library"]["score_per_s"] > 0
    assert 0 <= found["max_abs_difference"] < 1e-6
    assert found.get("library_kernels", "none") == "none"


@pytest.mark.stdp
@pytest.mark.parametrize("regime", ["library", "published", "firing"])
def test_sample_by_sample_both_are_measured_from_pixels_to_weights(
    regime: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from snnhpo_mpi.bench import stdp_one_by_one

    for name, value in {"N_OURS": 20, "N_LIBRARY": 1, "N_UPDATES": 2}.items():
        monkeypatch.setattr(stdp_one_by_one, name, value)
    given = ["--trainer", "stdp", "--batch-size", "1", "--neurons", "60", "--regime", regime]
    assert trainer.main(arguments(*given)) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["batch_size"], found["neurons"], found["regime"]) == (1, 60, regime)
    assert found["speedup_train"] > 20
    assert found["speedup_score"] > 20
    assert 0 <= found["max_abs_difference"] < 1e-6
    assert found["spikes_per_sample"] > (60 if regime == "firing" else 1)


@pytest.mark.slayer
def test_on_a_gpu_lava_dl_is_not_measured_without_its_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNHPO_KERNELS", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    with pytest.raises(ConfigError, match="snnhpo kernels build --arch 90"):
        trainer.run_benchmark("slayer", "cuda:0", 1)
