"""Samples of a function of the user's: what it may return, and what is said of the rest."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import DatasetSettings, EncodingSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data import Split, load, load_final
from snnhpo_mpi.snn.encode import encoded

POISSON = EncodingSettings(name="poisson", steps=5, max_rate_hz=100)
NONE, DIRECT = EncodingSettings(name="none", steps=5), EncodingSettings(name="direct", steps=5)
EVENTS = EncodingSettings(name="events", steps=4, window_ms=1)
HEAD = """\
import numpy as np
import torch
rng = np.random.default_rng(1)
labels = np.arange(12) % 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(body: str, **others: Any) -> DatasetSettings:
    path = Path("mydata.py")
    path.write_text(HEAD + body)
    return DatasetSettings(**{"name": "python", "function": "mydata.py:load", "train": 6, "held_out": 4, **others})


def read(body: str, encoding: EncodingSettings, **others: Any) -> Split:
    return load(settings(body, **others), 1, encoding)


def shown(split: Split, encoding: EncodingSettings) -> torch.Tensor:
    return encoded(torch.from_numpy(split.train_x[:]), encoding, torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("shape", "expected"), [("12, 7", (1, 1, 7)), ("12, 4, 5", (1, 4, 5)), ("12, 2, 4, 5", (2, 4, 5))]
)
@pytest.mark.parametrize("wrapped", ["{}", "torch.from_numpy({})", "list({})"])
def test_arrays_of_any_number_of_axes_are_images(shape: str, expected: tuple[int, ...], wrapped: str) -> None:
    body = f"x = rng.integers(0, 256, ({shape}), np.uint8)\ndef load(): return {wrapped.format('x')}, labels\n"
    split = read(body, POISSON)
    assert split.train_x.shape == (6, *expected) and split.held_x.shape == (4, *expected)
    assert split.train_x[:].dtype == np.uint8
    assert split.n_classes == 3
    assert shown(split, POISSON).shape == (6, 5, *expected)


def test_samples_stay_with_their_labels_and_every_rank_splits_them_alike() -> None:
    body = "def load(): return (labels[:, None] * 80 + np.zeros((12, 2))).astype(np.uint8), labels\n"
    one, other = read(body, POISSON), read(body, POISSON)
    for split in (one, other):
        assert np.array_equal(split.train_x[:][:, 0, 0, 0], split.train_y * 80)
        assert np.array_equal(split.held_x[:][:, 0, 0, 0], split.held_y * 80)
    assert np.array_equal(one.train_y, other.train_y)
    assert np.bincount(one.train_y).tolist() == [2, 2, 2]


def test_intensities_from_0_to_1_become_grey_levels() -> None:
    body = "def load(): return np.repeat([[0.0, 0.5, 1.0]], 12, 0), labels\n"
    assert read(body, POISSON).train_x[:][0, 0, 0].tolist() == [0, 128, 255]
    body = "def load(): return np.repeat([[0, 128, 255]], 12, 0), labels\n"  # int64
    assert read(body, POISSON).train_x[:][0, 0, 0].tolist() == [0, 128, 255]


def test_a_torch_dataset_is_read_item_by_item() -> None:
    body = """
class Mine(torch.utils.data.Dataset):
    def __len__(self):
        return 12
    def __getitem__(self, index):
        if index >= 12:
            raise IndexError
        return torch.full((2, 3), index / 12, requires_grad=True), torch.tensor(index % 3)
def load():
    return Mine()
"""
    split = read(body, POISSON)
    assert split.train_x.shape == (6, 1, 2, 3)
    found = np.rint(split.train_x[:][:, 0, 0, 0] / 255 * 12).astype(int)
    assert np.array_equal(found % 3, split.train_y)


@pytest.mark.parametrize("kind", ["bool", "np.uint8", "np.float32"])
def test_spikes_are_shown_as_they_are(kind: str) -> None:
    body = f"""
spikes = (rng.random((12, 5, 2, 3, 4)) < 0.3).astype({kind})
spikes[:, 0, 0, 0, 0] = np.arange(12) % 2
labels = np.arange(12) % 2
def load():
    np.save("spikes.npy", spikes)
    return spikes, labels
"""
    split = read(body, NONE)
    assert split.train_x.shape == (6, 2, 3, 4, 1)
    given = np.load("spikes.npy").astype(bool)
    for spikes, label in zip(shown(split, NONE).numpy(), split.train_y, strict=True):
        assert any(np.array_equal(spikes, one) for one in given)
        assert spikes[0, 0, 0, 0] == bool(label)


@pytest.mark.parametrize(("shape", "expected"), [("12, 5, 7", (1, 1, 7)), ("12, 5, 3, 4", (1, 3, 4))])
def test_spikes_of_a_row_or_a_plane_of_inputs(shape: str, expected: tuple[int, ...]) -> None:
    split = read(f"def load(): return rng.random(({shape})) < 0.5, labels\n", NONE)
    assert shown(split, NONE).shape == (6, 5, *expected)


def test_numbers_are_the_current_of_every_step() -> None:
    body = "def load(): return labels[:, None] * 1.5 - np.array([[1.0, 2.0]]), labels\n"
    split = read(body, DIRECT)
    current = shown(split, DIRECT)
    assert current.dtype == torch.float32 and current.shape == (6, 5, 1, 1, 2)
    for one, label in zip(current, split.train_y, strict=True):
        assert torch.equal(one, torch.tensor([label * 1.5 - 1, label * 1.5 - 2]).float().expand(5, 1, 1, 2))


def test_grey_levels_are_currents_from_0_to_1() -> None:
    split = read("def load(): return np.full((12, 2, 2), 51, np.uint8), labels\n", DIRECT)
    assert torch.equal(shown(split, DIRECT), torch.full((6, 5, 1, 2, 2), 51 / 255.0))


def test_frames_in_time_are_shown_one_a_step() -> None:
    body = "def load(): return np.arange(5)[None, :, None, None, None] + np.zeros((12, 5, 1, 2, 2)), labels\n"
    current = shown(read(body, DIRECT), DIRECT)
    assert current.shape == (6, 5, 1, 2, 2)
    assert current[0, :, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


RECORDINGS = """
def recording(index):
    events = np.zeros(4, dtype=[("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
    events["t"] = [0, 1000, 2000, 3500]
    events["x"], events["y"], events["p"] = [0, 1, 2, 3], [0, 1, 0, 1], [0, 1, 1, index % 2]
    return events
"""


def test_events_are_binned_as_those_of_other_data_sets() -> None:
    split = read(RECORDINGS + "def load(): return [recording(i) for i in range(12)], np.arange(12) % 2\n", EVENTS)
    spikes = shown(split, EVENTS)
    assert spikes.shape == (6, 4, 2, 2, 4)
    for one, label in zip(spikes, split.train_y, strict=True):
        found = {tuple(place) for place in one.nonzero().tolist()}
        assert found == {(0, 0, 0, 0), (1, 1, 1, 1), (2, 1, 0, 2), (3, int(label), 1, 3)}


def test_events_of_a_dataset_with_the_size_of_its_sensor() -> None:
    body = """
class Mine:
    sensor_size = (8, 4, 2)
    def __len__(self): return 12
    def __getitem__(self, index): return {k: recording(index)[k] for k in "xyt"}, index % 2
def load(): return Mine()
"""
    assert shown(read(RECORDINGS + body, EVENTS), EVENTS).shape == (6, 4, 2, 4, 8)


def test_an_event_beside_the_sensor_is_named() -> None:
    body = """
class Mine:
    sensor_size = (3, 4, 2)
    def __len__(self): return 12
    def __getitem__(self, index): return recording(index), index % 2
def load(): return Mine()
"""
    with pytest.raises(ConfigError, match=r"mydata\.py:load, sample 0: x of event 3 is 3: whole numbers from 0 to 2"):
        read(RECORDINGS + body, EVENTS)


def test_labels_of_a_regression_are_numbers() -> None:
    body = "def load(): return np.arange(12)[:, None] / 12, np.stack([np.arange(12) / 12, np.ones(12)], 1)\n"
    split = read(body, DIRECT)
    assert split.train_y.shape == (6, 2) and split.train_y.dtype == np.float64 and split.n_classes == 2
    np.testing.assert_allclose(split.train_x[:][:, 0, 0, 0], split.train_y[:, 0], rtol=1e-6)
    assert read("def load(): return np.ones((12, 2)), labels / 3\n", DIRECT).train_y.shape == (6, 1)


def test_the_function_is_called_once_a_node_and_again_when_its_file_or_its_data_change(folder: Path) -> None:
    body = """
def load(path):
    with open("calls", "a") as calls:
        calls.write("x")
    return np.full((12, 2), int(np.loadtxt(path)), np.uint8), labels
"""
    Path("level").write_text("1")
    dataset = settings(body, path=str(folder / "level"))
    assert [load(dataset, seed, POISSON).train_x[:].max() for seed in (1, 2)] == [1, 1]
    assert Path("calls").read_text() == "x"
    Path("level").write_text("20")
    assert load(dataset, 1, POISSON).train_x[:].max() == 20
    settings(body.replace("np.full", "1 + np.full"), path=str(folder / "level"))
    os.utime("mydata.py", ns=(1, 1))
    assert load(dataset, 1, POISSON).train_x[:].max() == 21
    assert Path("calls").read_text() == "xxx"


def test_file_and_samples_have_fingerprints_of_their_own() -> None:
    body = "def load(): return np.full((12, 2), 7, np.uint8), labels\n"
    first = read(body, POISSON).sources
    assert [re.sub(r".*/", "", source.path) for source in first] == ["mydata.py", "samples of mydata.py:load"]
    comment = read(body + "# a comment\n", POISSON).sources
    assert comment[0].sha256 != first[0].sha256 and comment[1].sha256 == first[1].sha256
    others = read(body.replace("7", "8"), POISSON).sources
    assert others[1].sha256 != first[1].sha256


def test_a_retraining_is_tested_on_samples_of_its_own_function_or_on_those_left() -> None:
    body = """
def load(): return np.full((12, 2), 7, np.uint8), labels
def test(): return np.full((9, 2), 9, np.uint8), np.arange(9) % 3
def odd(): return np.full((9, 3), 9, np.uint8), np.arange(9) % 3
"""
    final = load_final(settings(body, test_function="mydata.py:test"), 1, POISSON)
    assert (len(final.train_y), len(final.held_y), final.held_x[:].max()) == (12, 9, 9)
    left = load_final(settings(body), 1, POISSON)
    assert (len(left.train_y), len(left.held_y)) == (10, 2)
    with pytest.raises(ConfigError, match=r"samples of 1 x 1 x 3, those of .* are 1 x 1 x 2"):
        load_final(settings(body, test_function="mydata.py:odd"), 1, POISSON)


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        ("", POISSON, r"trainer\.dataset\.function: mydata\.py has no load"),
        ("load = 3", POISSON, "mydata.py:load is no function"),
        ("def load(): return 1 / 0", POISSON, r"raised ZeroDivisionError: .* \(mydata\.py, line 5"),
        ("def load(): pass", POISSON, "must return a pair of arrays, .* found a NoneType"),
        ("def load(): return np.ones((12, 2))", POISSON, "must give pairs of a sample and its label, item 0 is 2 of"),
        ("def load(): return np.ones((11, 2)), labels", POISSON, "returned 11 samples and 12 labels"),
        ("def load(): return np.ones((0, 2)), labels[:0]", POISSON, "returned no samples"),
        ("def load(): return np.ones((12, 2)), labels - 1", POISSON, "gave sample 0 the class -1"),
        ("def load(): return np.ones((12, 2)), labels / 0", POISSON, "gave labels that are not finite"),
        (
            "def load(): return np.ones((12, 2)), ['a'] * 12",
            POISSON,
            "must give labels of N classes .* found 12 of <U1",
        ),
        ("def load(): return np.full((12, 2), np.nan), labels", DIRECT, "gave samples that are not finite"),
        ("def load(): return np.full((12, 2), 'a'), labels", DIRECT, "must give samples of numbers"),
        ("def load(): return np.full((12, 2), -0.5), labels", POISSON, "from -0.5 to -0.5: .* takes any numbers"),
        ("def load(): return np.full((12, 2), 256), labels", POISSON, "numbers from 256 to 256"),
        ("def load(): return np.ones(12), labels", POISSON, "must give samples of N x F, .* found 12"),
        ("def load(): return np.ones((12, 6, 2)), labels", NONE, r"samples of 6 steps, trainer\.encoding\.steps is 5"),
        ("def load(): return np.full((12, 5, 2), 2), labels", NONE, "gave other numbers than 0 and 1"),
        ("def load(): return np.ones((12, 5)), labels", NONE, "must give samples of N x T x F"),
        ("def load(): return np.ones((12, 2)), labels", EVENTS, "must give recordings with the fields t"),
        (
            "def load(): return [np.ones(i % 2 + 1) for i in range(12)], labels",
            POISSON,
            "different shapes: 1, and .* 1 2",
        ),
    ],
)
def test_what_is_no_data_is_named(body: str, encoding: EncodingSettings, message: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(ConfigError, match=message):
        read(body + "\n", encoding)


def test_files_that_are_missing_are_named() -> None:
    dataset = DatasetSettings(name="python", function="none.py:load", train=1, held_out=1)
    with pytest.raises(ConfigError, match=r"trainer\.dataset\.function: there is no file none\.py \(seen from"):
        load(dataset, 1, POISSON)
    dataset = DatasetSettings(name="python", function="no_such.module:load", train=1, held_out=1)
    with pytest.raises(ConfigError, match=r"trainer\.dataset\.function: there is no module no_such\.module"):
        load(dataset, 1, POISSON)
    with pytest.raises(ConfigError, match=r"trainer\.dataset\.path: there is no file or folder nowhere"):
        read("def load(path): pass\n", POISSON, path="nowhere")
