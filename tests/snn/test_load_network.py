from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import EncodingSettings, StudyConfig
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.hyperparameters.networks import defaults
from snnhpo_mpi.snn.data import Split
from snnhpo_mpi.snn.data.part import Rows
from snnhpo_mpi.snn.encode import spike_generator
from snnhpo_mpi.snn.load_network import load_network
from snnhpo_mpi.snn.save_network import save_network
from snnhpo_mpi.snn.stdp.decode import SpikeTrains, decoder_of, decoder_state, fit_decoder

ENCODING = EncodingSettings(steps=20, max_rate_hz=512)
CPU = torch.device("cpu")
CLASSES = torch.arange(12) % 3
IMAGES = torch.randint(0, 40, (12, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
for image, label in zip(IMAGES, CLASSES.tolist(), strict=True):
    image[0, 3 * label : 3 * label + 2] = 250  # two bright rows whose place is the class
ROWS = Rows(IMAGES.numpy(), np.arange(12))


def config(trainer: str) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "study": {"name": "test"},
            "budget": {"trials": 1},
            "trainer": {
                "name": trainer,
                "dataset": {"name": "digits5000", "train": 12, "held_out": 12},
                "encoding": ENCODING.model_dump(),
            },
            "space": {"epochs": {"type": "int", "low": 1, "high": 2}},
        }
    )


def stdp() -> tuple[Any, Any, dict[str, Any]]:
    """A network that has learnt a batch, as a reader; its state; its hyperparameters."""
    from snnhpo_mpi.snn.stdp.learner import StdpReader
    from snnhpo_mpi.snn.stdp.one_by_one import OneByOne

    params = defaults("stdp", "diehl_cook") | {"map_size": 15, "norm": 30.0, "theta_plus": 1.0}
    network = OneByOne(params, 64, 1.0, seed=1)
    trains = network.teach(IMAGES.numpy(), ENCODING, batch_size=1).excitatory
    reader = StdpReader(network, fit_decoder("vote", [(trains, CLASSES.numpy())], 3), ENCODING)
    return reader, reader.state(), params


def slayer() -> tuple[Any, Any, dict[str, Any]]:
    from snnhpo_mpi.snn.encode import encoded
    from snnhpo_mpi.snn.slayer.backpropagation import Backpropagation
    from snnhpo_mpi.snn.slayer.csnn import Csnn
    from snnhpo_mpi.snn.slayer.learner import SlayerReader

    lively = {"threshold": 0.5, "current_decay": 0.9, "learning_rate": 0.01}
    params = defaults("slayer", "csnn") | lively | {"c1_k": 3, "c2_k": 2, "dropout": 0.3}
    torch.manual_seed(1)
    learner = Backpropagation(Csnn((1, 8, 8), 3, params), params)
    for _ in range(30):
        learner.train(encoded(IMAGES, ENCODING, spike_generator(1, CPU)).float(), CLASSES)
    return SlayerReader(learner.network, ENCODING, CPU), learner.network.state_dict(), params


@pytest.mark.stdp
@pytest.mark.parametrize("no_answer", [-1, 0])
def test_a_sample_without_an_answer_is_read_as_it_was_scored(no_answer: int, tmp_path: Path) -> None:
    reader, _, params = stdp()
    reader = replace(reader, no_answer=no_answer)  # 0 with readout: published
    split = Split(ROWS, CLASSES.numpy(), ROWS, CLASSES.numpy(), 3)
    save_network(tmp_path / "network.pt", config("stdp"), params, split, reader.state())
    dark = np.zeros_like(IMAGES.numpy())
    assert load_network(tmp_path / "network.pt").classify(dark, 7).tolist() == [no_answer] * len(dark)
    assert reader.classify(dark, 7).tolist() == [no_answer] * len(dark)


@pytest.mark.parametrize(
    "trained", [pytest.param(stdp, marks=pytest.mark.stdp), pytest.param(slayer, marks=pytest.mark.slayer)]
)
def test_a_loaded_network_reads_exactly_what_the_trained_one_reads(trained: Any, tmp_path: Path) -> None:
    reader, state, params = trained()
    expected = reader.classify(IMAGES.numpy(), 7)
    assert len(set(expected.tolist())) > 1  # it says something
    split = Split(ROWS, CLASSES.numpy(), ROWS, CLASSES.numpy(), 3)
    file = tmp_path / "networks" / "trial_004.pt"
    save_network(file, config(trained.__name__), params, split, state)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    loaded = load_network(file)
    for images in (IMAGES, IMAGES.numpy(), ROWS):
        assert loaded.classify(images, seed=7).tolist() == expected.tolist()
    assert loaded.classify(IMAGES[:0], seed=7).tolist() == []
    assert (loaded.n_classes, loaded.input_shape, dict(loaded.params)) == (3, (1, 8, 8), params)
    with pytest.raises(ValueError, match=r"B x 1 x 8 x 8 of uint8"):
        loaded.classify(IMAGES.float())
    with pytest.raises(ValueError, match="found"):
        loaded.classify(IMAGES[:, 0])


@pytest.mark.parametrize("contents", [None, b"", b"not a network", {"format": 99}, [1, 2]])
def test_a_file_that_is_no_network_is_named(tmp_path: Path, contents: object) -> None:
    file = tmp_path / "trial_000.pt"
    if isinstance(contents, bytes):
        file.write_bytes(contents)
    elif contents is not None:
        torch.save(contents, file)
    with pytest.raises(RecordError, match=r"trial_000\.pt"):
        load_network(file)


@pytest.mark.parametrize("name", ["all", "vote", "2gram", "3gram", "log", "svm"])
def test_every_decoder_comes_back_from_its_tensors(name: str) -> None:
    rng = np.random.default_rng(3)
    per_sample = rng.integers(0, 27, 30)
    trains = SpikeTrains.of(per_sample, rng.integers(0, 6, per_sample.sum()), 6)
    decoder = fit_decoder(name, [(trains, rng.integers(0, 4, 30))], 4)
    assert decoder_of(decoder_state(decoder)).predict(trains).tolist() == decoder.predict(trains).tolist()
