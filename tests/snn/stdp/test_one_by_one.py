"""A network on one core: without torch, within a little memory, with the data shared by all processes of a node."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnhpo_mpi.config import EncodingSettings
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.stdp.equations import FORMS
from snnhpo_mpi.snn.stdp.one_by_one import OneByOne
from snnhpo_mpi.snn.stdp.two_layers import Trains

ENCODING = EncodingSettings(name="poisson", steps=40, max_rate_hz=400)
MOST_MB = 300  # of an evaluator; what it takes is in docs/clusters.md
EVALUATOR = """
import json, sys
from pathlib import Path
from snnhpo_mpi.config import load_config
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.trial import Trial
from snnhpo_mpi.worker import evaluator_process

trainer = build_trainer(load_config(Path("tiny.yaml")), "cpu", lambda progress: None, Path("checkpoints"))
outcome = trainer.evaluate(Trial(0, {}, 3))
maps = [line.split() for line in open("/proc/self/maps") if line.rstrip().endswith(".npy")]
smaps = dict(line.split(":") for line in open("/proc/self/smaps_rollup").read().splitlines()[1:])
print(json.dumps({
    "state": outcome.state.value,
    "error": outcome.error,
    "saved": [path.name for path in Path("checkpoints").iterdir()],
    "modules": [name for name in ("numba", "torch", "sklearn", "pandas", "bindsnet") if name in sys.modules],
    "mapped": [(line[1], line[4]) for line in maps],
    "pss_mb": int(smaps["Pss"].split()[0]) / 1024,
}))
sys.stdin.read()
"""
TINY = """
study: {name: tiny, seed: 1}
budget: {trials: 1}
trainer:
  name: stdp
  network: diehl_cook_distance
  dataset: {name: digits5000, train: 40, held_out: 20}
  encoding: {name: poisson_intervals, steps: 30, max_rate_hz: 256}
stopping: [{layer: excitatory, alpha: 1, beta: 0.9}]
saturation: [{layer: inhibitory, share: 0.9, limit: 0.9}]
fixed: {map_size: 20, norm: 150.0, epochs: 2, decoder: DECODER}
space: {nu_pre: {type: float, low: 1.0e-6, high: 1}}
"""


@pytest.fixture(scope="module")
def warm() -> dict[str, str]:
    """The environment of a node whose cache has the compiled code: compiling takes memory and many seconds."""
    environment = {name: value for name, value in os.environ.items() if name != "SNNHPO_CACHE"}
    program = "import numpy\nfrom snnhpo_mpi.snn.stdp.engines.cpu import compiled_for\ncompiled_for(numpy.float32)"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    return environment


def evaluators(n: int, folder: Path, environment: dict[str, str], decoder: str = "vote") -> list[dict[str, Any]]:
    """What so many processes tell of themselves after a trial; all of them live until the last one has."""
    (folder / "tiny.yaml").write_text(TINY.replace("DECODER", decoder))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", EVALUATOR],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(n)
    ]
    told = [json.loads(process.stdout.readline() or "null") for process in started if process.stdout is not None]
    for process in started:
        process.communicate(timeout=60)
    return told


def test_a_trial_on_a_core_needs_no_torch_and_little_memory(tmp_path: Path, warm: dict[str, str]) -> None:
    (told,) = evaluators(1, tmp_path, warm)
    assert told["error"] is None and told["state"] == "completed"
    assert told["modules"] == ["numba"]
    assert len(told["saved"]) == 1  # its checkpoint
    assert told["pss_mb"] < MOST_MB


def test_a_linear_decoder_is_fitted_by_scikit_learn(tmp_path: Path, warm: dict[str, str]) -> None:
    (told,) = evaluators(1, tmp_path, warm, decoder="log")
    assert "sklearn" in told["modules"] and "torch" not in told["modules"]


def test_processes_of_a_node_map_the_same_file_of_samples(tmp_path: Path, warm: dict[str, str]) -> None:
    first, second = evaluators(2, tmp_path, warm)
    ((kind, _),) = first["mapped"]
    assert kind == "r--s"  # shared, and read alone
    assert first["mapped"] == second["mapped"]  # the same inode


@pytest.mark.stdp
def test_equal_seeds_begin_with_the_weights_of_the_library() -> None:
    import torch

    from snnhpo_mpi.snn.stdp.engines.bindsnet import BindsnetNetwork

    params = defaults("stdp", "diehl_cook") | {"map_size": 50}
    torch.manual_seed(11)
    library = BindsnetNetwork(params, 784, 1.0, torch.device("cpu"))
    np.testing.assert_allclose(OneByOne(params, 784, 1.0, seed=11).w, library.w.numpy(), rtol=1e-6)


def shown(form: str, learning: bool) -> tuple[Trains, OneByOne]:
    params = defaults("stdp", form) | {"map_size": 12, "norm": 30.0, "nu_post": 0.2, "e_refrac": 0, "e_thresh": -58.0}
    network = OneByOne(params, 49, 1.0, seed=1, form=FORMS[form])
    images = np.random.default_rng(0).integers(0, 256, (25, 1, 7, 7)).astype(np.uint8)
    network.teach(images[:5], ENCODING, batch_size=1)
    return network.teach(images, ENCODING, 1) if learning else network.read(images, ENCODING), network


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("learning", [True, False])
def test_samples_that_do_not_fit_at_once_give_the_same_spikes(
    form: str, learning: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, first = shown(form, learning)
    monkeypatch.setattr("snnhpo_mpi.snn.stdp.engines.cpu.MOST_SPIKES", 40 * 12 * 3)  # three samples of the latter form
    parts, second = shown(form, learning)
    for layer, trains in whole.layers.items():
        assert len(trains.neuron) > 50
        assert np.array_equal(trains.neuron, parts.layers[layer].neuron)
        assert np.array_equal(trains.first, parts.layers[layer].first)
    assert np.array_equal(first.w, second.w) and np.array_equal(first.theta, second.theta)


def test_a_network_goes_on_from_its_state() -> None:
    _, network = shown("diehl_cook", True)
    state = {name: value.copy() for name, value in network.state_dict().items()}
    images = np.full((3, 1, 7, 7), 200, np.uint8)
    expected = network.teach(images, ENCODING, 1)
    _, other = shown("diehl_cook", False)
    other.load_state_dict(state)
    assert np.array_equal(other.teach(images, ENCODING, 1).excitatory.neuron, expected.excitatory.neuron)
    assert np.array_equal(other.w, network.w)
