import gzip
import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.config.datasets import DATASETS
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.record import read
from snnhpo_mpi.snn.data import idx, load, load_final, published
from snnhpo_mpi.snn.data.catalog import overview, verify
from snnhpo_mpi.snn.data.folder import find
from snnhpo_mpi.snn.data.part import Rows
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
    images[:, 0, 1] = np.arange(40)
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(classes)))
    return tmp_path


def settings(path: Path | str | None, train: int = 20, held_out: int = 12) -> DatasetSettings:
    return DatasetSettings(name="mnist", path=str(path) if path else None, train=train, held_out=held_out)


def test_digits_are_real_and_split_by_class() -> None:
    split = load(DatasetSettings(name="digits5000", train=1000, held_out=500), seed=1)
    assert split.train_x.shape == (1000, 1, 28, 28)
    assert split.train_x[:].dtype == np.uint8
    assert split.train_x[:].max() == 255
    assert np.bincount(split.train_y).tolist() == [100] * 10
    assert np.bincount(split.held_y).tolist() == [50] * 10
    assert not (set(map(bytes, split.train_x[:])) & set(map(bytes, split.held_x[:])))


def test_idx_files_are_read_raw_and_gzipped(mnist: Path) -> None:
    split = load(settings(mnist), seed=1)
    assert split.train_x.shape == (20, 1, 6, 5)
    assert np.array_equal(split.train_x[:][:, 0, 0, 0], split.train_y)
    assert split.n_classes == 4


def test_ranks_of_a_node_read_idx_files_once(
    mnist: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read: list[str] = []
    real = idx.read_idx
    monkeypatch.setattr(idx, "read_idx", lambda path: read.append(path.name) or real(path))
    first, again = load(settings(mnist), 1), load(settings(mnist), 1)
    assert len(read) == 2
    assert np.array_equal(first.train_x, again.train_x) and np.array_equal(first.held_y, again.held_y)
    assert [path.suffix for path in sorted(cache.iterdir())] == [".json", ".lock", ".npy"]
    (mnist / "MNIST/raw/train-labels-idx1-ubyte.gz").touch()  # other data, for all that we know
    load(settings(mnist), 1)
    assert len(read) == 4
    monkeypatch.setenv("SNNHPO_CACHE", "/dev/null/cache")
    assert np.array_equal(load(settings(mnist), 1).train_x, first.train_x)
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


def pixels(samples: Rows) -> list[int]:
    """The second pixel of each, which is the image's number."""
    return samples[:][:, 0, 0, 1].tolist()


def test_a_repeat_has_a_split_of_its_own_with_the_same_sizes(mnist: Path) -> None:
    splits = [load(settings(mnist), seed=1, repeat=repeat) for repeat in (0, 1, 2, 1)]
    held = [sorted(pixels(split.held_x)) for split in splits]
    assert held[0] != held[1] != held[2] != held[0] and held[1] == held[3]
    for split in splits:
        assert (len(split.train_y), len(split.held_y)) == (20, 12)
        assert not {*pixels(split.train_x)} & {*pixels(split.held_x)}
    assert {*held[1]} - {*pixels(splits[0].train_x)} - {*held[0]}  # samples that the search did not see


def test_a_repeat_on_digits_without_a_test_set_sees_none_that_the_search_left() -> None:
    digits = DatasetSettings(name="digits5000", train=100, held_out=50)
    first, again = load(digits, 3), load(digits, 3, repeat=1)
    seen = [np.concatenate([split.train_x.rows, split.held_x.rows]) for split in (first, again)]
    assert {*seen[0].tolist()} == {*seen[1].tolist()}
    assert {*first.held_x.rows.tolist()} != {*again.held_x.rows.tolist()}
    left = load_final(digits, 3)
    assert not {*left.held_x.rows.tolist()} & {*seen[1].tolist()}


def test_a_final_training_has_all_training_data_and_the_official_test_set(mnist: Path) -> None:
    folder = mnist / "MNIST" / "raw"
    classes = np.arange(8) % 4
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((8, 6, 5)) + 100 + classes[:, None, None]))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(classes))
    split = load_final(settings(mnist), seed=1)
    assert (len(split.train_y), len(split.held_y), split.n_classes) == (40, 8, 4)
    assert np.array_equal(split.held_x[:][:, 0, 0, 0], 100 + split.held_y)


def test_a_final_training_without_the_official_test_set_says_which_file_is_missing(mnist: Path) -> None:
    with pytest.raises(ConfigError, match="t10k-images-idx3-ubyte"):
        load_final(settings(mnist), seed=1)


def test_digits_without_an_official_test_set_are_tested_on_what_the_search_left_untouched() -> None:
    dataset = DatasetSettings(name="digits5000", train=1000, held_out=500)
    search, final = load(dataset, seed=3), load_final(dataset, seed=3)
    seen = {bytes(image) for image in np.concatenate([search.train_x, search.held_x])}
    assert {bytes(image) for image in final.train_x[:]} == seen
    assert len(final.held_y) == 3500
    assert not seen & {bytes(image) for image in final.held_x[:]}


def test_a_search_that_used_every_digit_leaves_none_to_test_on() -> None:
    with pytest.raises(ConfigError, match="none is left to test on"):
        load_final(DatasetSettings(name="digits5000", train=4000, held_out=1000), seed=1)


def write_pair(root: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        for old in (root / "MNIST/raw").glob(f"{part}-{kind}-ubyte*"):
            old.unlink()
        (root / f"MNIST/raw/{part}-{kind}-ubyte").write_bytes(idx_bytes(array))


@pytest.fixture
def known(mnist: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MNIST's folder, whose files are taken for the published ones; the real ones are too large for a test."""
    write_pair(mnist, "t10k", np.ones((4, 6, 5)), np.arange(4))
    names = [name for part in ("train", "test") for name in DATASETS["mnist"].parts[part]]
    sums = [hashlib.sha256(idx._content(find("mnist", mnist, name))).hexdigest() for name in names]
    contents = zip(sums, published.CONTENTS.values(), strict=True)
    monkeypatch.setattr(published, "_KNOWN", {sha256: ("mnist", what) for sha256, what in contents})
    return mnist


def test_published_checksums_are_of_eight_files() -> None:
    assert len(published._KNOWN) == 8
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in published._KNOWN)


def test_files_are_known_by_their_content(known: Path) -> None:
    notes = [source.note for source in load(settings(known), 1).sources]
    assert notes == ["the published file"] * 2
    fashion = DatasetSettings(name="fashion_mnist", path=str(known / "MNIST"), train=20, held_out=12)
    message = (
        r"train-images-idx3-ubyte: holds the training images of mnist \(known by their checksum\), not .* of fashion"
    )
    for _ in range(2):  # not by way of the cache either
        with pytest.raises(ConfigError, match=message):
            load(fashion, 1)
    with pytest.raises(ConfigError, match=message):
        list(verify("fashion_mnist", known / "MNIST"))
    assert any(re.match("fashion_mnist .*cannot be used: .*of mnist", line) for line in overview(known / "MNIST"))
    assert any(re.match("mnist .*here .*ubyte\\)$", line) for line in overview(known))


def test_the_test_set_is_not_taken_for_the_training_set(known: Path) -> None:
    raw = known / "MNIST/raw"
    for kind in ("images-idx3", "labels-idx1"):
        (raw / f"train-{kind}-ubyte.gz").unlink(missing_ok=True)
        shutil.copy(raw / f"t10k-{kind}-ubyte", raw / f"train-{kind}-ubyte")
    with pytest.raises(ConfigError, match=r"train-images.*holds the test images of mnist .*not the training images"):
        load(settings(known, 2, 2), 1)


def test_one_s_own_images_are_read_and_said_not_to_be_the_published_files(mnist: Path) -> None:
    split = load(settings(mnist), 1)
    assert [source.note for source in split.sources] == ["not the published files"] * 2
    images, labels = split.sources
    assert images.path == str(mnist / "MNIST/raw/train-images-idx3-ubyte")
    assert images.n_bytes == Path(images.path).stat().st_size
    assert images.sha256 == hashlib.sha256(Path(images.path).read_bytes()).hexdigest()
    content = gzip.decompress(Path(labels.path).read_bytes())
    assert labels.sha256 == hashlib.sha256(content).hexdigest()
    assert load(settings(mnist), 1).sources == split.sources  # from the cache
    assert any(re.match("mnist .*not the published files", line) for line in overview(mnist))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 255] * 10, "the label of sample 3 is 255, but no sample has the label 3"),
        ([1, 2, 3, 4] * 10, "the label of sample 0 is 1, but no sample has the label 0"),
        ([0, 1, 3, 3] * 10, "the label of sample 2 is 3, but no sample has the label 2"),
        ([0] * 40, "all labels are 0"),
    ],
)
def test_labels_with_a_gap_are_refused(mnist: Path, labels: list[int], message: str) -> None:
    write_pair(mnist, "train", np.zeros((40, 6, 5)), np.array(labels))
    with pytest.raises(ConfigError, match=f"train-labels-idx1-ubyte: {message}"):
        load(settings(mnist), 1)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.ones((4, 3, 3)), [0, 1, 2, 3], "t10k-images-idx3-ubyte: samples of 1 x 3 x 3, those of .* are 1 x 6 x 5"),
        (np.ones((4, 6, 5)), [0, 1, 13, 14], "t10k-labels-idx1-ubyte: the label of sample 2 is 13, .* are 0 to 3"),
        (np.ones((4, 6, 5)), [0, 1, 2], "do not belong together: they hold 4 x 6 x 5 and 3 numbers"),
    ],
)
def test_a_test_set_that_does_not_fit_is_refused(
    mnist: Path, images: np.ndarray, labels: list[int], message: str
) -> None:
    write_pair(mnist, "t10k", images, np.array(labels))
    with pytest.raises(ConfigError, match=message):
        load_final(settings(mnist), seed=1)
    with pytest.raises(ConfigError, match=message):
        list(verify("mnist", mnist))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x00\x08\xff" + bytes(4 * 255), "announces 255 dimensions: images have 3 of them, labels 1"),
        (b"\x00\x00\x08\x00", "announces 0 dimensions"),
        (idx_bytes(np.zeros((0, 28, 28))), "holds images of 0 x 28 x 28: none"),
        (b"\x00\x00\x08\x03\xff", "damaged"),
        (gzip.compress(b"\x00\x00\x08", mtime=0), "is compressed by gzip, .* rename it to train-images-idx3-ubyte.gz"),
        (b"", "is empty"),
        (b"\x00\x00\x0d\x03" + bytes(12), "not an idx file of unsigned bytes"),
        (idx_bytes(np.zeros(40)), "do not belong together"),
    ],
)
def test_odd_files_are_said_as_they_are(mnist: Path, content: bytes, message: str) -> None:
    (mnist / "MNIST/raw/train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ConfigError, match=f"train-images-idx3-ubyte.*{message}"):
        load(settings(mnist), 1)


def test_a_file_that_is_not_compressed_must_not_be_named_so(mnist: Path) -> None:
    (mnist / "MNIST/raw/train-labels-idx1-ubyte.gz").write_bytes(idx_bytes(np.arange(40) % 4))
    with pytest.raises(ConfigError, match=r"labels-idx1-ubyte\.gz: is not compressed, .* to train-labels-idx1-ubyte$"):
        load(settings(mnist), 1)


def test_a_folder_or_a_dangling_link_under_a_file_s_name_is_named(mnist: Path) -> None:
    images = mnist / "MNIST/raw/train-images-idx3-ubyte"
    images.unlink()
    images.mkdir()
    with pytest.raises(ConfigError, match="train-images-idx3-ubyte: unreadable: Is a directory"):
        load(settings(mnist), 1)
    images.rmdir()
    images.symlink_to("/nowhere/images")
    with pytest.raises(ConfigError, match="is a symbolic link to /nowhere/images, which is not there"):
        load(settings(mnist), 1)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nobody-has-this-name/x", "the home folder of ~nobody-has-this-name is not known"),
        ("x" * 5000, "a path of at most 4095 bytes is needed"),
    ],
)
def test_paths_that_cannot_be_are_said(path: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if len(path) < 5000:  # such a one is no setting
        with pytest.raises(ConfigError, match=f"trainer.dataset.path: .*{message}"):
            load(settings(path), 1)
    assert cli.main(["data", "check", "mnist", "--path", path]) == 2
    assert "snnhpo: --path: " in (found := capsys.readouterr().err) and message in found


def test_the_command_blames_its_own_option(
    mnist: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["data", "check", "mnist", "--path", "/nowhere"]) == 2
    assert capsys.readouterr().err == "snnhpo: --path: there is no folder /nowhere\n"
    monkeypatch.setenv("SNNHPO_DATA", "/nowhere")
    assert cli.main(["data", "check", "mnist"]) == 2
    assert capsys.readouterr().err == "snnhpo: SNNHPO_DATA: there is no folder /nowhere\n"
    assert cli.main(["data", "fetch", "digits5000"]) == 0
    assert "nothing is to be downloaded" in capsys.readouterr().out


TINY = """
study: {{name: tiny}}
budget: {{trials: 1}}
trainer:
  name: stdp
  dataset: {{name: mnist, path: "{path}", train: 20, held_out: 12}}
  encoding: {{name: poisson, steps: 5, max_rate_hz: 128}}
fixed: {{map_size: 10}}
space: {{nu_pre: {{type: float, low: 0.001, high: 0.01}}}}
"""


@pytest.mark.stdp
def test_check_and_the_record_say_which_files_were_read_and_a_resume_wants_the_same(
    mnist: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY.format(path=mnist))
    assert cli.main(["check", "tiny.yaml"]) == 0
    file = mnist / "MNIST/raw/train-images-idx3-ubyte"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    said = f"{file}: {file.stat().st_size:,} bytes, sha256 {sha256}, not the published files"
    assert said in capsys.readouterr().out
    assert cli.main(["run", "tiny.yaml"]) == 0
    facts = read("results/tiny").provenance
    assert said in facts["data_0"] and "train-labels-idx1-ubyte.gz" in facts["data_1"]
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert cli.main(["run", "tiny.yaml", "--resume"]) == 2
    assert f"{file}: its content is not what this study was begun with: sha256 {sha256} then, " in caplog.text
    assert cli.main(["run", "tiny.yaml", "--resume", "--accept-config"]) == 0
