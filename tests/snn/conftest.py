import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # recording_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of data sets of its own for each test."""
    monkeypatch.setenv("SNNHPO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
