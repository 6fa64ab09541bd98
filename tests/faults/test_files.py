"""Disks that are full or read-only, files that are damaged, runs that meet: refused or recovered, never worse."""

import random

import files
import pytest

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("fault", [files.full_disk, files.read_only_disk], ids=lambda fault: fault.__name__)
def test_a_disk_that_takes_nothing_costs_nothing(study, fault):
    try:
        cost = fault(study, None, random.Random(1))
    except files.CannotMountError as reason:
        pytest.skip(f"a small disk cannot be mounted here: {reason}")
    assert cost.lost == 0


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A study whose journal goes on behind its snapshot."""
    made = []

    def make(family, **changes):
        made.append(files.Study(tmp_path_factory.mktemp("killed") / "study", family, **changes))
        made[-1].write()
        return made[-1]

    yield files.killed_study(make, random.Random(2))
    for one in made:
        one.kill_everything()


# The other kinds: make faults, and without processes in tests/record.
@pytest.mark.parametrize(
    "kind",
    [files.TORN, "study.h5 not HDF5", "journal: a bit flipped in the last line", "both files garbage"],
)
def test_damaged_files_are_recovered_or_refused_unchanged(killed, tmp_path, kind):
    assert files.damaged_files(killed, tmp_path / "copy", kind) == 0


def test_a_second_run_is_refused_and_the_lock_of_a_dead_one_taken_over(study):
    assert files.second_run(study, random.Random(3), None).lost == 0
