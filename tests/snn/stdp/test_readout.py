from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from snnhpo_mpi.config import StdpSettings, StudyConfig
from snnhpo_mpi.interfaces import Trainer
from snnhpo_mpi.snn.checkpoint import Checkpoints
from snnhpo_mpi.snn.stdp.decode import NgramReadout, SpikeTrains
from snnhpo_mpi.snn.stdp.readout import PublishedReadout, Readout, RunningReadout
from snnhpo_mpi.trial import Trial

N_NEURONS, N_CLASSES, N_STEPS = 12, 3, 15


def activity(n_samples: int, seed: int) -> tuple[torch.Tensor, SpikeTrains, np.ndarray]:
    """At most one spike a step, so that the order of spikes is plain: as a raster, as a list; and classes."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, N_CLASSES, n_samples)
    neuron = (rng.integers(0, 6, (n_samples, N_STEPS)) + 3 * classes[:, None]) % N_NEURONS
    sample, step = np.nonzero(rng.random((n_samples, N_STEPS)) < 0.5)
    raster = torch.zeros(n_samples, N_STEPS, N_NEURONS)
    raster[sample, step, neuron[sample, step]] = 1.0
    per_sample = np.bincount(sample, minlength=n_samples)
    return raster, SpikeTrains.of(per_sample, neuron[sample, step], N_NEURONS), classes


def shown_in_parts(readout: PublishedReadout, epochs: list[tuple[SpikeTrains, np.ndarray]]) -> None:
    for trains, classes in epochs:
        for first in range(0, len(classes), 7):
            readout.observe(trains.part(first, min(first + 7, len(classes))), classes[first : first + 7])
        readout.end_epoch()


@pytest.fixture
def epochs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, SpikeTrains, np.ndarray]]:
    """Two epochs of 50 samples, in pieces of 20, 20 and 10."""
    from snnhpo_mpi.snn.stdp import readout

    monkeypatch.setattr(readout, "PUBLISHED_PIECE", 20)
    return [activity(50, 1), activity(50, 2)]


@pytest.mark.stdp
@pytest.mark.parametrize("decoder", ["all", "vote"])
def test_published_rates_are_added_up_piece_by_piece_as_the_library_adds_them(decoder: str, epochs: Any) -> None:
    from bindsnet.evaluation import all_activity, assign_labels, proportion_weighting

    readout = PublishedReadout(decoder, N_CLASSES)
    shown_in_parts(readout, [(trains, classes) for _, trains, classes in epochs])
    rates = None
    for raster, _, classes in epochs:
        for piece, labels in zip(raster.split(20), torch.from_numpy(classes).split(20), strict=True):
            assignments, proportions, rates = assign_labels(piece, labels, N_CLASSES, rates)
    raster, trains, _ = activity(200, 3)
    expected = (
        all_activity(raster, assignments, N_CLASSES)
        if decoder == "all"
        else proportion_weighting(raster, assignments, proportions, N_CLASSES)
    )
    assert readout.fit().predict(trains).tolist() == expected.tolist()


@pytest.mark.stdp
def test_published_ngrams_are_counted_over_the_whole_training_as_the_library_counts_them(epochs: Any) -> None:
    from bindsnet.evaluation import update_ngram_scores

    readout = PublishedReadout("2gram", N_CLASSES)
    shown_in_parts(readout, [(trains, classes) for _, trains, classes in epochs])
    library: dict[Any, torch.Tensor] = {}
    for raster, _, classes in epochs:
        library = update_ngram_scores(raster, torch.from_numpy(classes), N_CLASSES, 2, library)
    found = readout.fit()
    assert isinstance(found, NgramReadout)
    ours = {
        (int(key) // N_NEURONS, int(key) % N_NEURONS): list(score)
        for key, score in zip(found.keys, found.scores, strict=True)
    }
    assert ours == {sequence: score.tolist() for sequence, score in library.items()}


def test_published_linear_readouts_know_the_last_piece_alone(epochs: Any) -> None:
    from snnhpo_mpi.snn.stdp.decode import LinearReadout, fit_decoder

    readout = PublishedReadout("log", N_CLASSES)
    shown_in_parts(readout, [(trains, classes) for _, trains, classes in epochs])
    _, trains, classes = epochs[1]
    found, expected = readout.fit(), fit_decoder("log", [(trains.part(40, 50), classes[40:])], N_CLASSES)
    assert isinstance(found, LinearReadout) and isinstance(expected, LinearReadout)
    np.testing.assert_array_equal(found.fit.weights, expected.fit.weights)


def test_latest_is_fitted_on_the_latest_samples_and_the_running_decoder_on_fewer() -> None:
    def nobody(n: int) -> Any:
        raise AssertionError

    _, trains, classes = activity(3000, 4)
    wide, narrow = Readout("all", N_CLASSES, "latest", 2000), RunningReadout("all", N_CLASSES, 2000)
    for first in range(0, 3000, 100):
        part = trains.part(first, first + 100), classes[first : first + 100]
        right = wide.observe(*part)
    narrow.observe(trains.part(1000, 3000), classes[1000:])
    weights = wide.fit(nobody).weights  # type: ignore[attr-defined]
    np.testing.assert_allclose(weights, narrow.fit(2000).weights)  # type: ignore[attr-defined]
    assert right is not None
    assert not np.allclose(weights, wide._running.fit(1000).weights)  # type: ignore[attr-defined]


def config(decoder: str, **trainer: Any) -> StudyConfig:
    dataset = {"name": "digits5000", "train": 60, "held_out": 30}
    return StudyConfig.model_validate(
        {
            "study": {"name": "small", "seed": 3},
            "budget": {"trials": 1},
            "trainer": {"name": "stdp", "dataset": dataset, "encoding": {"steps": 30, "max_rate_hz": 256}} | trainer,
            "fixed": {"map_size": 20, "strength_inh": 120.0, "norm": 150.0, "epochs": 2, "decoder": decoder},
            "space": {"nu_pre": {"type": "float", "low": 1e-6, "high": 1}},
        }
    )


@pytest.mark.stdp
def test_frozen_shows_training_samples_again_without_learning_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from snnhpo_mpi.snn.stdp.one_by_one import OneByOne
    from snnhpo_mpi.study.build import build_trainer

    shown: list[int] = []
    read = OneByOne.read

    def counting(self: OneByOne, samples: np.ndarray, *arguments: Any) -> Any:
        before = self.w.copy(), self.theta.copy()
        trains = read(self, samples, *arguments)
        assert np.array_equal(self.w, before[0]) and np.array_equal(self.theta, before[1])
        shown.append(len(samples))
        return trains

    monkeypatch.setattr(OneByOne, "read", counting)
    for settings, expected in (({}, [60, 30]), ({"readout_samples": 25}, [25, 30]), ({"readout": "latest"}, [30])):
        shown.clear()
        outcome = build_trainer(config("vote", **settings), "cpu", lambda progress: None).evaluate(Trial(0, {}, 1))
        assert shown == expected
        assert outcome.objective is not None


@pytest.mark.stdp
def test_as_published_a_network_without_an_answer_says_0() -> None:
    from snnhpo_mpi.study.build import build_trainer

    for readout, column in (("published", 0), ("frozen", 10)):
        settings = config("all", readout=readout)
        dead = settings.model_copy(update={"fixed": settings.fixed | {"e_thresh": 1000.0}})
        outcome = build_trainer(dead, "cpu", lambda progress: None).evaluate(Trial(0, {}, 1))
        table = np.array(outcome.curves["confusion"])
        assert table[:, column].sum() == table.sum() == 30


@pytest.mark.stdp
@pytest.mark.parametrize("readout", ["frozen", "latest", "published"])
@pytest.mark.parametrize("decoder", ["vote", "3gram", "log"])
def test_a_cut_training_goes_on_to_the_same_score(
    readout: str, decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnhpo_mpi.study.build import build_trainer

    def trainer(folder: str) -> Trainer:
        return build_trainer(config(decoder, readout=readout), "cpu", lambda progress: None, tmp_path / folder)

    trial = Trial(0, {"nu_pre": 1e-4}, 1)
    uncut = trainer("uncut").evaluate(trial)
    save = Checkpoints.save

    def cut(self: Checkpoints, *arguments: Any) -> None:
        save(self, *arguments)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", cut)
        with pytest.raises(InterruptedError):
            trainer("cut").evaluate(trial)
    resumed = trainer("cut").evaluate(trial)
    assert resumed.metrics["resumed_after_epoch"] == 1
    assert (resumed.objective, resumed.curves) == (uncut.objective, uncut.curves)


def test_a_number_of_samples_does_not_belong_to_the_published_readout() -> None:
    plain = {
        "name": "stdp",
        "dataset": {"name": "mnist", "train": 9, "held_out": 9},
        "encoding": {"name": "latency", "steps": 5},
    }
    with pytest.raises(ValidationError, match="readout_samples belongs to the readouts frozen and latest"):
        StdpSettings.model_validate(plain | {"readout": "published", "readout_samples": 5})
