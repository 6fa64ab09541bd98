"""Event-based data: the layouts on the disk, tonic's transforms, the cache, damaged files."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from recording_files import random_events, write_all, write_gesture

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
    spikes = unpacked(split.train_x[torch.arange(8)], 10)
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
    monkeypatch.setattr(
        binned, "binned", lambda recording, *rest: made.append(recording.path.name) or real(recording, *rest)
    )
    first = load(settings("nmnist", data), 1, STEPS)
    assert len(made) == 12
    again = load(settings("nmnist", data), 2, STEPS)
    assert len(made) == 12
    assert torch.equal(first.train_x.shared, again.train_x.shared)
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
    assert list(verify("nmnist", data)) == [
        "nmnist train: 12 recordings, 3,600 events, 2 classes of 6 to 6",
        "nmnist test: 4 recordings, 1,200 events, 2 classes of 2 to 2",
    ]
