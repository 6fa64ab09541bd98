"""The table of data sets: each row has what its kind needs, and a module that reads it."""

from importlib import import_module

import pytest

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.config.datasets import DATASETS, has_test

READS = {"images": "read_part", "recordings": "recordings", "own": "read_own"}


@pytest.mark.parametrize("name", DATASETS)
def test_a_row_has_what_its_kind_needs(name: str) -> None:
    row = DATASETS[name]
    assert callable(getattr(import_module(f"snnhpo_mpi.snn.data.{row.reader}"), READS[row.kind]))
    assert row.parts.keys() <= {"train", "test"} and "train" in row.parts
    assert len(row.what) <= 66  # the column of snnhpo data list
    if row.kind == "recordings":
        assert row.shape and row.n_classes and row.n_published.keys() == row.parts.keys()
        assert all(len(files) == 1 for files in row.parts.values())
    if row.package is None and row.kind != "own":
        assert all(row.parts.values()), "files are needed where no package ships them"


@pytest.mark.parametrize("name", DATASETS)
def test_a_configuration_takes_every_data_set_of_the_table(name: str) -> None:
    function = "mydata.py:load" if name == "python" else None
    assert DatasetSettings(name=name, function=function, train=1, held_out=1).name == name


def test_only_samples_of_ones_own_have_a_function() -> None:
    with pytest.raises(ValueError, match=r"data set python needs function, such as mydata\.py:load"):
        DatasetSettings(name="python", train=1, held_out=1)
    for key in ("function", "test_function"):
        with pytest.raises(ValueError, match="function and test_function belong to the data set python, not to mnist"):
            DatasetSettings(name="mnist", train=1, held_out=1, **{key: "mydata.py:load"})


def test_a_data_set_is_known_to_have_a_test_set_without_being_read() -> None:
    assert has_test({"name": "mnist"}) and not has_test({"name": "digits5000"})
    assert has_test({"name": "python", "test_function": "mydata.py:test"}) and not has_test({"name": "python"})
