"""The table of data sets: each row has what its kind needs, and a module that reads it."""

from importlib import import_module

import pytest

from snnhpo_mpi.config import DatasetSettings
from snnhpo_mpi.config.datasets import DATASETS

READS = {"images": "read_part", "recordings": "recordings"}


@pytest.mark.parametrize("name", DATASETS)
def test_a_row_has_what_its_kind_needs(name: str) -> None:
    row = DATASETS[name]
    assert callable(getattr(import_module(f"snnhpo_mpi.snn.data.{row.reader}"), READS[row.kind]))
    assert row.parts.keys() <= {"train", "test"} and "train" in row.parts
    assert len(row.what) <= 66  # the column of snnhpo data list
    if row.kind == "recordings":
        assert row.shape and row.n_classes and row.n_published.keys() == row.parts.keys()
        assert all(len(files) == 1 for files in row.parts.values())
    if row.package is None:
        assert all(row.parts.values()), "files are needed where no package ships them"


@pytest.mark.parametrize("name", DATASETS)
def test_a_configuration_takes_every_data_set_of_the_table(name: str) -> None:
    assert DatasetSettings(name=name, train=1, held_out=1).name == name
