import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.snn.data import idx, load, load_final
from snnhpo_mpi.snn.data.split import stratified_split


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    classes = np.arange(40) % 4
    images = np.zeros((40, 6, 5)) + classes[:, None, None]
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(classes)))
    return tmp_path


def settings(path: Path | str | None, train: int = 20, held_out: int = 12) -> DatasetSettings:
    return DatasetSettings(name="mnist", path=str(path) if path else None, train=train, held_out=held_out)


def test_digits_are_real_and_split_by_class() -> None:
    split = load(DatasetSettings(name="digits5000", train=1000, held_out=500), seed=1)
    assert split.train_x.shape == (1000, 1, 28, 28)
    assert split.train_x.dtype == torch.uint8
    assert int(split.train_x.max()) == 255
    assert torch.bincount(split.train_y).tolist() == [100] * 10
    assert torch.bincount(split.held_y).tolist() == [50] * 10
    assert not (set(map(bytes, split.train_x.numpy())) & set(map(bytes, split.held_x.numpy())))


def test_idx_files_are_read_raw_and_gzipped(mnist: Path) -> None:
    split = load(settings(mnist), seed=1)
    assert split.train_x.shape == (20, 1, 6, 5)
    assert torch.equal(split.train_x[:, 0, 0, 0].long(), split.train_y)
    assert split.n_classes == 4


def test_ranks_of_a_node_read_idx_files_once(
    mnist: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read: list[str] = []
    real = idx.read_idx
    monkeypatch.setattr(idx, "read_idx", lambda path: read.append(path.name) or real(path))
    first, again = load(settings(mnist), 1), load(settings(mnist), 1)
    assert len(read) == 2
    assert torch.equal(first.train_x, again.train_x) and torch.equal(first.held_y, again.held_y)
    assert [path.suffix for path in sorted(cache.iterdir())] == [".json", ".lock", ".npy"]
    (mnist / "MNIST/raw/train-labels-idx1-ubyte.gz").touch()  # other data, for all that we know
    load(settings(mnist), 1)
    assert len(read) == 4
    monkeypatch.setenv("SNNHPO_CACHE", "/dev/null/cache")
    assert torch.equal(load(settings(mnist), 1).train_x, first.train_x)
    assert "each rank of this node reads mnist by itself: " in caplog.text


def test_environment_variables_name_the_folder(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNNHPO_DATA", str(mnist))
    assert len(load(settings("$SNNHPO_DATA"), seed=1).train_y) == 20
    monkeypatch.delenv("SNNHPO_DATA")
    with pytest.raises(ConfigError, match="SNNHPO_DATA is not set"):
        load(settings("$SNNHPO_DATA"), seed=1)


def test_missing_data_say_what_to_put_where(mnist: Path) -> None:
    with pytest.raises(ConfigError, match="needs the folder"):
        load(settings(None), seed=1)
    with pytest.raises(ConfigError, match="there is no folder"):
        load(settings(mnist / "absent"), seed=1)
    (mnist / "MNIST/raw/train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ConfigError, match=r"train-labels-idx1-ubyte .* is needed here or in MNIST/raw"):
        load(settings(mnist), seed=1)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten"])
def test_damaged_files_are_named(mnist: Path, name: str, damage: str) -> None:
    file = mnist / "MNIST" / "raw" / name
    raw = file.read_bytes()
    file.write_bytes({"cut": raw[:-7], "emptied": b"", "overwritten": b"\xff" * len(raw)}[damage])
    with pytest.raises(ConfigError, match=re.escape(name)):
        load(settings(mnist), seed=1)


def test_more_samples_than_there_are_is_an_error(mnist: Path) -> None:
    with pytest.raises(ConfigError, match=r"30 training and 12 held-out .* mnist has 40 in all"):
        load(settings(mnist, train=30), seed=1)


def test_split_depends_on_the_seed_alone_and_its_parts_are_disjoint() -> None:
    classes = np.repeat(np.arange(3), [10, 20, 70])
    train, held = stratified_split(classes, 50, 30, seed=7)
    assert len(set(train) | set(held)) == 80
    assert np.bincount(classes[held]).tolist() == [3, 6, 21]
    again = stratified_split(classes, 50, 30, seed=7)
    assert np.array_equal(train, again[0])
    assert not np.array_equal(train, stratified_split(classes, 50, 30, seed=8)[0])


def test_a_final_training_has_all_training_data_and_the_official_test_set(mnist: Path) -> None:
    folder = mnist / "MNIST" / "raw"
    classes = np.arange(8) % 4
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((8, 6, 5)) + 100 + classes[:, None, None]))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(classes))
    split = load_final(settings(mnist), seed=1)
    assert (len(split.train_y), len(split.held_y), split.n_classes) == (40, 8, 4)
    assert torch.equal(split.held_x[:, 0, 0, 0].long(), 100 + split.held_y)


def test_a_final_training_without_the_official_test_set_says_which_file_is_missing(mnist: Path) -> None:
    with pytest.raises(ConfigError, match="t10k-images-idx3-ubyte"):
        load_final(settings(mnist), seed=1)


def test_digits_without_an_official_test_set_are_tested_on_what_the_search_left_untouched() -> None:
    dataset = DatasetSettings(name="digits5000", train=1000, held_out=500)
    search, final = load(dataset, seed=3), load_final(dataset, seed=3)
    seen = {bytes(image) for image in torch.cat([search.train_x, search.held_x]).numpy()}
    assert {bytes(image) for image in final.train_x.numpy()} == seen
    assert len(final.held_y) == 3500
    assert not seen & {bytes(image) for image in final.held_x.numpy()}


def test_a_search_that_used_every_digit_leaves_none_to_test_on() -> None:
    with pytest.raises(ConfigError, match="none is left to test on"):
        load_final(DatasetSettings(name="digits5000", train=4000, held_out=1000), seed=1)
