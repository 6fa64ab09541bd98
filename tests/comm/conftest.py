import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # evaluator processes import comm_toys by name


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "rank.log"
