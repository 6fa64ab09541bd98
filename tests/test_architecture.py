"""The table of arrows: which room may import which. A new arrow is a decision, made here."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import snnhpo_mpi

ROOT = Path(snnhpo_mpi.__file__).parent
ALLOWED = {
    "arguments": set(),
    "codec": set(),
    "errors": set(),
    "extras": {"errors"},
    "plain_text": set(),
    "trial": set(),
    "hyperparameters": {"trial"},
    "space": {"config", "trial"},
    "config": {"errors", "hyperparameters", "trial"},
    "host": {"errors", "plain_text"},
    "comm": {"codec", "errors", "host.launchers", "trial"},
    "interfaces": {"space", "trial"},
    "master": {"comm", "interfaces", "trial"},
    "worker": {"comm", "config", "errors", "host.process_tuning", "host.signals", "host.subprocesses", "interfaces"}
    | {"host.user_code", "trial"},
    "optim": {"errors", "extras", "interfaces", "space", "trial"},
    "snn": {"config", "errors", "extras", "host.atomic_write", "host.scratch", "host.user_code", "hyperparameters"}
    | {"interfaces", "trial"},
    "record": {"codec", "errors", "extras", "host.atomic_write", "hyperparameters", "host.signals", "host.subprocesses"}
    | {"space", "trial"},
    "analysis": {"config", "errors", "optim", "plain_text", "record", "space", "trial"},
    "report": {"analysis", "config.as_yaml", "errors", "extras", "host.atomic_write", "plain_text", "record", "trial"},
    "study": {"comm", "config", "errors", "host", "hyperparameters", "master", "optim", "plain_text", "record"}
    | {"analysis", "extras", "interfaces", "snn", "space", "trial", "worker"},
    "bench": {"arguments", "comm", "config", "errors", "host.process_tuning", "host.user_code", "hyperparameters"}
    | {"extras", "master", "optim", "record", "snn", "space", "trial", "worker"},
    "cli": {"analysis", "arguments", "bench", "config", "errors", "host", "plain_text", "record", "report"}
    | {"extras", "snn.data", "snn.slayer.lava_kernels", "study"},
}  # fmt: skip
LIBRARIES = {
    "torch": ("bench/", "optim/", "snn/"),
    "botorch": ("bench/", "optim/"),
    "gpytorch": ("bench/", "optim/"),
    "mpi4py": ("comm/mpi.py",),
    "h5py": ("record/", "snn/data/shd.py"),
    "bindsnet": ("snn/stdp/engines/bindsnet.py",),
    "triton": ("snn/stdp/engines/", "snn/slayer/neurons/", "snn/triton_available.py"),
    "numba": ("snn/stdp/engines/",),
    "lava": ("snn/slayer/lava.py", "snn/slayer/lava_kernels/"),
    "tonic": ("snn/data/",),
    "nir": ("snn/nir/",),
    "optuna": ("optim/optuna_search.py", "report/export.py"),
    "cma": ("bench/cma_es.py",),
    "cocoex": ("bench/coco.py",),
    "pydantic": ("codec.py", "config/", "analysis/partial_dependence.py"),
    "yaml": ("config/", "study/check.py"),
    "plotly": ("report/",),
    "matplotlib": ("report/",),
    "rich": ("report/",),
    "tensorboardX": ("study/tensorboard.py",),
}
# What changes the whole process for good, and where alone it may stand.
PROCESS_WIDE = {
    r"setswitchinterval|\bthreadpool_limits\(|gc\.freeze|faulthandler\.enable|raiseExceptions|basicConfig|addFilter": (
        "host/process_tuning.py",
    ),
    r"signal\.signal\(|register_at_fork": ("host/signals.py", "host/subprocesses.py", "worker/surroundings.py"),
    r"(?m)^(warnings|logging|torch|np|sys|os|gc|signal)\.(?!getLogger\(__name__\))": (),  # done by an import
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


@pytest.mark.parametrize("pattern", PROCESS_WIDE)
def test_what_changes_the_whole_process_stands_in_one_place(pattern: str) -> None:
    found = {str(path.relative_to(ROOT)) for path in FILES if re.search(pattern, path.read_text())}
    assert found == set(PROCESS_WIDE[pattern])


def test_every_file_says_what_it_is_for() -> None:
    for path in FILES:
        text = path.read_text()
        assert not text.strip() or ast.get_docstring(ast.parse(text)), path


def test_a_worker_rank_loads_no_heavy_library() -> None:
    heavy = ["torch", "scipy", "h5py", "pandas", "matplotlib", "rich", "snnhpo_mpi.optim.scbo"]
    program = f"import sys, snnhpo_mpi.cli, snnhpo_mpi.study.run; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
