"""Tables of the documentation against the tables of the program."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import get_args

import fake_study
import h5py
import pytest
import yaml
from documents import ROOT, text

from snnhpo_mpi.config.settings import DatasetSettings, EncodingSettings, OptimizerSettings
from snnhpo_mpi.errors import ConfigError, RecordError, SnnhpoError
from snnhpo_mpi.hyperparameters.networks import NETWORKS, SLAYER_DECODERS, STDP_DECODERS
from snnhpo_mpi.master.ending import Ending
from snnhpo_mpi.record.identity import CHANGES, OWN_FUNCTION, Change
from snnhpo_mpi.record.table import PENDING, RUNNING
from snnhpo_mpi.trial import State

HEAD = "| room | what is in it | may import |"


def rows(page: str, head: str) -> list[list[str]]:
    """The cells of the table below a head."""
    table = text(page).partition(f"{head}\n|---")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[1:]]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_table_of_changes_is_that_of_the_program() -> None:
    said = dict(
        zip(Change, (words(cells[0]) for cells in rows("docs/configuration.md", "| change of | is |")), strict=True)
    )
    for key, change, _ in CHANGES:
        if key not in (
            "study",
            "retrain",
            "trainer.constraints",
        ):  # its name is refused apart; the program's own; trainer
            assert key in said[change], key
    assert "`fixed` of `trainer: python`" in text("docs/configuration.md")
    assert [(key, change) for key, change, _ in OWN_FUNCTION] == [("fixed", Change.ACCEPT)]


def test_the_citation_names_the_version_and_the_paper() -> None:
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert citation["version"] in text("CHANGELOG.md")
    assert citation["references"][0]["url"] in text("docs/method.md")


def test_every_state_of_a_trial_is_explained() -> None:
    states = [words(cells[0]) for cells in rows("docs/results.md", "| state | means | has an objective |")]
    assert set().union(*states) == {state.value for state in State} | {PENDING, RUNNING}


def test_every_exit_code_is_explained() -> None:
    said = {cells[0] for cells in rows("docs/clusters.md", "| exit code | means |")}
    assert {str(ending.exit_code) for ending in Ending} <= said
    assert {str(error.exit_code) for error in (SnnhpoError, ConfigError, RecordError)} <= said


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("docs/data.md", get_args(DatasetSettings.model_fields["name"].annotation)),
        ("docs/data.md", get_args(EncodingSettings.model_fields["name"].annotation)),
        ("docs/configuration.md", get_args(DatasetSettings.model_fields["name"].annotation)),
        ("docs/configuration.md", get_args(EncodingSettings.model_fields["name"].annotation)),
        ("docs/configuration.md", [*STDP_DECODERS, *SLAYER_DECODERS]),
        ("docs/configuration.md", [name for networks in NETWORKS.values() for name in networks]),
    ],
)
def test_every_choice_is_named(page: str, names: list[str]) -> None:
    assert len(names) > 1
    for name in names:
        assert f"`{name}`" in text(page), name


def test_every_optimizer_is_named() -> None:
    for name in get_args(OptimizerSettings.model_fields["name"].annotation):
        assert (
            name
            in text("docs/configuration.md").partition("optimizer: {name: scbo, initial: 40}")[2].partition("\n")[0]
        )


def places() -> list[str]:
    """Patterns of the places in ``study.h5`` that the page names; a name alone is in the group of the one before it."""
    found = []
    for cells in rows("docs/record.md", "| place | shape | holds |"):
        group = ""
        for name in re.findall(r"`([^`]+)`", cells[0]):
            group = name.rpartition("/")[0] if name.startswith("/") else group
            found.append(re.sub(r"<\w+>", "[^/]+", name if name.startswith("/") else f"{group}/{name}"))
    return found


def test_every_place_in_the_record_is_explained(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "study", 12)
    names: list[str] = []
    with h5py.File(tmp_path / "study" / "study.h5") as file:
        file.visititems(lambda name, item: names.append(f"/{name}") if isinstance(item, h5py.Dataset) else None)
        attributes = set(file.attrs) - set(fake_study.PROVENANCE)
    assert len(names) > 20
    for name in names:
        assert any(re.fullmatch(place, name) for place in places()), name
    assert attributes <= words(rows("docs/record.md", "| place | shape | holds |")[0][2])


def test_the_rooms_and_their_arrows_are_those_of_the_architecture() -> None:
    allowed = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))["ALLOWED"]
    table = {re.findall(r"\w+", cells[0])[0]: words(cells[2]) for cells in rows("docs/architecture.md", HEAD)[1:]}
    for room in (ROOT / "snnhpo_mpi").iterdir():
        if room.is_dir() and any(room.glob("*.py")):
            assert room.name in table, room.name
    for room, arrows in table.items():
        assert arrows <= {arrow.partition(".")[0] for arrow in allowed[room]}, room
