"""Event-based data: the layouts on the disk, tonic's transforms, the cache, damaged files."""

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from recording_files import random_events, write_all, write_gesture, write_nmnist

from snnhpo_mpi.config import DatasetSettings, EncodingSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data import binned, load, load_final
from snnhpo_mpi.snn.data.catalog import overview, verify
from snnhpo_mpi.snn.data.events import Events, bin_steps, denoise, downsample
from snnhpo_mpi.snn.data.recordings import recordings
from snnhpo_mpi.snn.encode import unpacked

STEPS = EncodingSettings(name="events", steps=10)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with some recordings of each data set."""
    write_all(tmp_path / "data")
    return tmp_path / "data"


def settings(name: str, root: Path, train: int = 8, held_out: int = 4) -> DatasetSettings:
    return DatasetSettings(name=name, path=str(root), train=train, held_out=held_out)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "k"),
    [("nmnist", (2, 34, 34), {0, 3}, 10), ("dvsgesture", (2, 128, 128), {1, 9}, 11), ("shd", (1, 1, 700), {0, 7}, 20)],
)
def test_recordings_are_read_binned_and_split(data: Path, name: str, shape, classes: set[int], k: int) -> None:
    split = load(settings(name, data), 1, STEPS)
    assert split.train_x.shape == (8, *shape, 2)
    assert (len(split.held_x), split.n_classes) == (4, k)
    assert set(split.train_y.tolist()) == classes
    spikes = unpacked(torch.from_numpy(split.train_x[:]), 10)
    assert spikes.shape == (8, 10, *shape)
    assert spikes.flatten(1).any(1).all()
    final = load_final(settings(name, data), 1, STEPS)
    assert (len(final.train_y), len(final.held_y)) == (12, 4)


def test_what_was_written_is_what_is_read(data: Path) -> None:
    first = recordings("nmnist", data, "train")[0]
    written, read = random_events(0), first.read()
    for name in ("x", "y", "channel", "t_us"):
        assert np.array_equal(getattr(written, name), getattr(read, name))


@pytest.mark.parametrize("seed", range(3))
def test_denoising_and_binning_equal_tonics(seed: int) -> None:
    transforms = pytest.importorskip("tonic.transforms")
    events = random_events(seed, 2000)
    kinds = [("x", np.int64), ("y", np.int64), ("t", np.int64), ("p", np.int64)]
    theirs = np.array(list(zip(events.x, events.y, events.t_us, events.channel, strict=True)), dtype=kinds)
    kept = denoise(events, 5000)
    expected = transforms.Denoise(filter_time=5000)(theirs)
    assert 100 < len(kept) < 1900
    assert np.array_equal(kept.t_us, expected["t"]) and np.array_equal(kept.x, expected["x"])
    frames = transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=10)(expected)  # T x C x H x W
    ours = np.unpackbits(bin_steps(kept, (2, 34, 34), 10, None), axis=-1, count=10)
    assert np.array_equal(np.moveaxis(ours, -1, 0), frames > 0)
    fixed = transforms.ToFrame(sensor_size=(34, 34, 2), time_window=20_000)(expected)
    ours = np.unpackbits(bin_steps(kept, (2, 34, 34), len(fixed), 20_000), axis=-1, count=len(fixed))
    assert np.array_equal(np.moveaxis(ours, -1, 0), fixed > 0)


def test_downsampling_merges_squares() -> None:
    events = Events(*(np.array(values) for values in ([0, 3, 33], [1, 2, 33], [0, 1, 0], [0, 1, 2])))
    merged = downsample(events, 2)
    assert (merged.x.tolist(), merged.y.tolist()) == ([0, 1, 16], [0, 1, 16])


def test_the_cache_is_made_once_and_mended_when_damaged(data: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    made: list[str] = []
    real = binned.binned
    monkeypatch.setattr(binned, "binned", lambda events, *rest: made.append(str(len(events))) or real(events, *rest))
    first = load(settings("nmnist", data), 1, STEPS)
    assert len(made) == 12
    again = load(settings("nmnist", data), 2, STEPS)
    assert len(made) == 12
    assert np.array_equal(first.train_x.shared, again.train_x.shared)
    (file,) = (tmp_path / "cache").glob("*.npy")
    raw = bytearray(file.read_bytes())
    raw[-20] ^= 1
    file.write_bytes(raw)
    load(settings("nmnist", data), 1, STEPS)
    assert len(made) == 24 and "damaged and made anew" in caplog.text
    load(settings("nmnist", data), 1, EncodingSettings(name="events", steps=10, denoise_ms=5))  # another binning
    assert len(made) == 36
    (data / "NMNIST/Train/0/00000.bin").unlink()  # other data
    load(settings("nmnist", data, train=7), 1, STEPS)
    assert len(made) == 47
    assert not list((tmp_path / "cache").glob("*.new*"))


@pytest.mark.parametrize(
    ("name", "file", "damage"),
    [
        ("nmnist", "NMNIST/Train/3/00002.bin", lambda raw: raw[:-2]),
        ("nmnist", "NMNIST/Train/3/00002.bin", lambda raw: b""),
        ("nmnist", "NMNIST/Train/3/00002.bin", lambda raw: b"\xc8" * len(raw)),
        ("dvsgesture", "DVSGesture/ibmGestureTrain/user02_led/9.npy", lambda raw: raw[:-9]),
        ("dvsgesture", "DVSGesture/ibmGestureTrain/user02_led/9.npy", lambda raw: b"no array"),
        ("shd", "SHD/shd_train.h5", lambda raw: raw[:600]),
    ],
)
def test_damaged_recordings_are_named_and_not_cached(data: Path, tmp_path: Path, name: str, file: str, damage) -> None:
    path = data / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load(settings(name, data), 1, STEPS)
    assert not list((tmp_path / "cache").glob("*.json"))
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        list(verify(name, data))


def test_missing_recordings_say_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"NMNIST/Train is needed here.*snnhpo data fetch nmnist"):
        load(settings("nmnist", tmp_path), 1, STEPS)


def test_a_class_that_the_set_does_not_have_is_named(data: Path) -> None:
    write_gesture(data / "DVSGesture/ibmGestureTrain/user00_led/11.npy", random_events(0))
    with pytest.raises(ConfigError, match=r"11\.npy: class 11 is not one of dvsgesture"):
        load(settings("dvsgesture", data), 1, STEPS)


def test_the_overview_tells_what_is_here_and_verifying_reads_it_all(data: Path) -> None:
    lines = "\n".join(overview(data))
    assert "here (12 training recordings)" in lines and "here (5,000 samples)" in lines
    assert re.search(r"mnist .*not below", lines)
    train, train_files, test, _ = verify("nmnist", data)
    assert train == "nmnist train: 12 recordings, 3,600 events, 2 classes of 6 to 6"
    assert test == "nmnist test: 4 recordings, 1,200 events, 2 classes of 2 to 2"
    assert f"{data}/NMNIST/Train: 18,000 bytes, sha256 " in train_files
    assert train_files.endswith("12 recordings; not the published files (60,000 recordings)")


GESTURE = "DVSGesture/ibmGestureTrain/user02_led/9.npy"


def write_column(path: Path, column: int, value: float) -> None:
    rows = np.load(path)
    rows[17, column] = value
    np.save(path, rows)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (3, np.nan, "time of event 17 is nan s: 0 to 86400 s are possible"),
        (3, np.inf, "time of event 17 is inf s"),
        (3, -1.0, "time of event 17 is -0.001 s"),
        (3, 1e300, "time of event 17 is 1e+297 s"),
        (0, np.nan, "x of event 17 is nan: whole numbers from 0 to 127 are possible"),
        (1, 128, "y of event 17 is 128: whole numbers from 0 to 127 are possible"),
        (0, 3.5, "x of event 17 is 3.5: whole numbers"),
        (2, 2, "polarity of event 17 is 2: whole numbers from 0 to 1 are possible"),
    ],
)
def test_an_event_that_is_none_is_named_with_its_recording(data: Path, column: int, value: float, message: str) -> None:
    write_column(data / GESTURE, column, value)
    with pytest.raises(ConfigError, match=re.escape(f"{data / GESTURE}: {message}")):
        load(settings("dvsgesture", data), 1, STEPS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((3, 5)), "found 3 x 5 of float64"),
        (np.zeros((3, 4), complex), "found 3 x 4 of complex128"),
        (np.array(["a"]), "found 1 of <U1"),
        (np.float64(3), "found a single value of float64"),
        (np.zeros((0, 4)), "holds no events"),
    ],
)
def test_an_array_that_is_no_recording_is_said_as_it_is(data: Path, wrong: np.ndarray, message: str) -> None:
    np.save(data / GESTURE, wrong)
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(settings("dvsgesture", data), 1, STEPS)


def rewrite_shd(path: Path, name: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = value


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((12, 1)), "labels must be a row of whole numbers, found 12 x 1 of float64"),
        ([b"one"] * 12, "labels must be a row of whole numbers, found 12 of "),
        (3, "labels must be a row of whole numbers, found a single value of int64"),
        ([0, 1, 2, 3.5] * 3, "recording 3: its label is 3.5, not a whole number"),
        ([0, np.nan] * 6, "recording 1: its label is nan, not a whole number"),
        ([0, 20] * 6, "recording 1: class 20 is not one of shd: 0 to 19 are"),
        ([0, -1] * 6, "recording 1: class -1 is not one of shd"),
        ([0] * 11, "11 labels, but times and units are (12,) and (12,) recordings: damaged"),
    ],
)
def test_odd_labels_of_shd_are_refused(data: Path, labels: object, message: str) -> None:
    path = data / "SHD/shd_train.h5"
    rewrite_shd(path, "labels", labels)
    with pytest.raises(ConfigError, match=re.escape(str(path)) + ".*" + re.escape(message)):
        load(settings("shd", data), 1, STEPS)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("units", [700] * 40, "unit of event 0 is 700: whole numbers from 0 to 699 are possible"),
        ("units", [1, 2], "has 40 times, but unit of 2 events: damaged"),
        ("times", [np.inf] * 40, "time of event 0 is inf s: 0 to 86400 s are possible"),
        ("times", [0.1] * 39 + [np.nan], "time of event 39 is nan s"),
        ("times", [], "has 0 times, but unit of 40 events"),
    ],
)
def test_faults_in_a_recording_of_shd_name_it(data: Path, column: str, value: list[float], message: str) -> None:
    path = data / "SHD/shd_train.h5"
    with h5py.File(path, "r+") as file:
        file[f"spikes/{column}"][3] = np.array(value)
    with pytest.raises(ConfigError, match=re.escape(f"{path}, recording 3: {message}")):
        load(settings("shd", data), 1, STEPS)


def test_a_file_that_lacks_an_array_of_shd_is_named(data: Path) -> None:
    path = data / "SHD/shd_train.h5"
    with h5py.File(path, "r+") as file:
        del file["spikes/units"]
        file.create_group("spikes/units")
    with pytest.raises(ConfigError, match="has no spikes/units: no file of SHD"):
        load(settings("shd", data), 1, STEPS)


def test_hidden_files_are_no_recordings(data: Path) -> None:
    for name in ("._00000.bin", ".DS_Store"):
        (data / "NMNIST/Train/3" / name).write_bytes(b"Mac OS X")
    (data / "NMNIST/Train/._3").mkdir()
    write_nmnist(data / "NMNIST/Train/.trash/7.bin", random_events(0))
    assert len(load(settings("nmnist", data), 1, STEPS).train_x) == 8
    assert len(recordings("nmnist", data, "train")) == 12


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.symlink_to("/nowhere/0.bin"), "is a symbolic link to /nowhere/0.bin, which is not there"),
        (lambda path: path.mkdir(), "is a folder, where a recording is a file"),
        (lambda path: path.touch(), "is empty: damaged"),
        (lambda path: path.write_bytes(b"12345678"), "8 bytes are no whole number of events of 5 bytes"),
        (lambda path: path.write_bytes(b"\x00\xf0\x00\x00\x00"), "holds no events"),
    ],
)
def test_what_is_no_recording_is_named(data: Path, spoil, message: str) -> None:
    path = data / "NMNIST/Train/3/00002.bin"
    path.unlink()
    spoil(path)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {message}")):
        load(settings("nmnist", data), 1, STEPS)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: {message}")):
        list(verify("nmnist", data))


def test_recordings_that_stand_twice_are_told(data: Path) -> None:
    folder = data / "NMNIST/Train/3"
    shutil.copy(folder / "00002.bin", folder / "00002 copy.bin")
    (source,) = load(settings("nmnist", data), 1, STEPS).sources
    assert "1 of them have the same events as another, such as" in source.note


def test_the_checksum_follows_content_and_names_not_the_place(data: Path, tmp_path: Path) -> None:
    (first,) = load(settings("nmnist", data), 1, STEPS).sources
    shutil.copytree(data, tmp_path / "copy")
    (copy,) = load(settings("nmnist", tmp_path / "copy"), 1, STEPS).sources
    assert copy.path == f"{tmp_path}/copy/NMNIST/Train" and copy.sha256 == first.sha256
    write_nmnist(data / "NMNIST/Train/3/00002.bin", random_events(99))
    assert load(settings("nmnist", data), 1, STEPS).sources[0].sha256 != first.sha256


def test_recordings_are_read_where_no_cache_can_be_written(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = load(settings("nmnist", data), 1, STEPS)
    monkeypatch.setenv("SNNHPO_CACHE", "/dev/null/cache")
    again = load(settings("nmnist", data), 1, STEPS)
    assert np.array_equal(first.train_x, again.train_x)
    assert "each rank of this node reads nmnist by itself: " in caplog.text
