"""Studies to hurt."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_study import Study
from mpi_families import Family, families


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Callable[..., Study]]:
    """Makes studies; whatever still runs of them at the end is killed."""
    made: list[Study] = []

    def make(family: Family | None, **changes: object) -> Study:
        made.append(Study(tmp_path / f"study{len(made)}", family, **changes))
        made[-1].write()
        return made[-1]

    yield make
    for one in made:
        one.kill_everything()


@pytest.fixture(params=families(), ids=str)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param
