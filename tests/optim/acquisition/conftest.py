"""Makes the known functions of this folder importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]
