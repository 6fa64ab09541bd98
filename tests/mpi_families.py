"""The MPI implementations on this machine that tests may launch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
# As root, and with more ranks than cores: settings of Open MPI, which others ignore.
PERMISSIVE = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
# Open MPI's launchers of one user share a folder there; one that ends takes it from another that begins.
_SESSIONS = tempfile.TemporaryDirectory(prefix="mpi_")
_LIBRARIES = {"libmpi.so.40": "openmpi", "libmpi.so.12": "mpich"}


@dataclass(frozen=True)
class Family:
    """An mpiexec and the library that belongs to it."""

    name: str
    mpiexec: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def command(self, n_ranks: int, program: Sequence[str], options: Sequence[str] = ()) -> list[str]:
        return [self.mpiexec, *options, "-n", str(n_ranks), sys.executable, *program]

    def variables(self) -> dict[str, str]:
        """The shell's environment without a launcher around us, with what this family needs."""
        own = {"OMP_NUM_THREADS": "1", "TMPDIR": tempfile.mkdtemp(dir=_SESSIONS.name)}
        return dict(os.environ) | PERMISSIVE | own | dict(self.environment)


def families() -> list[Family]:
    """The venv's own or the system's mpiexec, and those in ``.mpi/<name>`` and SNNHPO_TEST_MPI (folders, by colons)."""
    found = []
    beside_python = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside_python) if beside_python.exists() else shutil.which("mpiexec")
    if mpiexec is not None:
        version = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, check=False).stdout
        found.append(Family("openmpi" if "Open" in version else "mpich", mpiexec))
    folders = [
        *sorted((ROOT / ".mpi").glob("*")),
        *map(Path, filter(None, os.environ.get("SNNHPO_TEST_MPI", "").split(":"))),
    ]
    for folder in folders:
        for library, name in _LIBRARIES.items():
            if (folder / "lib" / library).exists() and name not in {family.name for family in found}:
                variables = {"MPI4PY_LIBMPI": str(folder / "lib" / library)}
                found.append(Family(name, str(folder / "bin" / "mpiexec"), variables))
    return found
