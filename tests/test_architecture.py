"""The table of arrows: which room may import which. A new arrow is a decision, made here."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import snnhpo_mpi

ROOT = Path(snnhpo_mpi.__file__).parent
ALLOWED = {
    "arguments": set(),
    "errors": set(),
    "plain": set(),
    "trial": set(),
    "host": {"errors"},
    "scratch": {"errors"},
    "signals": set(),
    "child": set(),
    "config": {"errors", "snn.parameters", "trial"},
    "space": {"config", "trial"},
    "optim": {"errors", "space", "trial"},
    "comm": {"child", "errors", "trial"},
    "snn": {"config", "errors", "scratch", "trial"},
    "record": {"child", "errors", "space", "trial"},
    "report": {"errors", "plain", "record", "trial"},
    "user_function": {"config", "errors", "trial"},
    "check": {"config", "errors", "host", "snn", "space", "user_function"},
    "parts": {"comm", "config", "errors", "optim", "record", "snn", "space", "trial", "user_function"},
    "working": {"comm", "config", "host", "parts", "scratch", "snn"},
    "study": {"check", "comm", "config", "errors", "host", "parts", "plain", "progress", "record", "scalars"}
    | {"signals", "snn", "space", "trial", "working"},
    "feasibility": {"config", "optim", "record", "report", "space", "trial"},
    "retrain": {"config", "errors", "record", "report", "study", "trial"},
    "progress": {"record", "report", "trial"},
    "scalars": {"errors", "progress", "trial"},
    "bench": {"arguments", "comm", "config", "errors", "optim", "record", "snn", "space", "trial"},
    "cli": {"bench", "check", "comm", "config", "errors", "feasibility", "record", "report", "retrain", "study"}
    | {"arguments", "plain", "snn.data", "snn.kernels"},
}  # fmt: skip
LIBRARIES = {
    "torch": ("bench/", "optim/", "snn/"),
    "botorch": ("bench/", "optim/"),
    "gpytorch": ("bench/", "optim/"),
    "mpi4py": ("comm/mpi.py",),
    "h5py": ("record/", "snn/data/recordings.py"),
    "bindsnet": ("snn/bindsnet_network.py",),
    "triton": ("snn/fused/",),
    "numba": ("snn/cpu_steps.py", "snn/machine_code.py"),
    "lava": ("snn/lava_network.py", "snn/kernels/"),
    "tonic": ("snn/data/",),
    "optuna": ("bench/", "report/export.py"),
    "pydantic": ("config/", "feasibility.py"),
    "yaml": ("config/", "check.py"),
    "plotly": ("report/",),
    "matplotlib": ("report/",),
    "rich": ("report/", "cli.py"),
    "tensorboardX": ("scalars.py",),
}
FILES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inside = node.module == "snnhpo_mpi" or (ROOT / (node.module or "").partition(".")[2]).is_dir()
                yield f"{node.module}.{alias.name}" if inside else node.module or ""


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path: Path) -> None:
    if path.parent == ROOT and path.name.startswith("__"):
        return
    for name in imports(path):
        top, _, inner = name.partition(".")
        if top == "snnhpo_mpi":
            target = inner.partition(".")[0]
            allowed = ALLOWED[room(path)] | {room(path)}
            assert any(inner == arrow or inner.startswith(f"{arrow}.") for arrow in allowed), f"{name} ({target})"
        elif top in LIBRARIES:
            assert str(path.relative_to(ROOT)).startswith(LIBRARIES[top]), name


def test_every_file_says_what_it_is_for() -> None:
    for path in FILES:
        text = path.read_text()
        assert not text.strip() or ast.get_docstring(ast.parse(text)), path


def test_a_worker_rank_loads_no_heavy_library() -> None:
    heavy = ["torch", "scipy", "h5py", "pandas", "matplotlib", "rich", "snnhpo_mpi.optim.scbo"]
    program = f"import sys, snnhpo_mpi.cli, snnhpo_mpi.study; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
