"""What was run where: versions, git commit, host, command line. Flat text, for the record."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

from snnhpo_mpi.host.schedulers import job

PACKAGES = ("snnhpo_mpi", "torch", "botorch", "gpytorch", "bindsnet", "lava-dl", "tonic", "mpi4py", "h5py", "numpy")


def provenance() -> dict[str, str]:
    """What was run where: versions, git commit, host, command line; flat text."""
    versions = {f"version_{name}": _version(name) for name in PACKAGES}
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "command": " ".join(sys.argv),
        "slurm_job": (job(os.environ) or (None, ""))[1],
        "git_commit": _git_commit(),
    }
    return versions | facts


def versions() -> dict[str, str]:
    """Of all that a search computes with, and of the MPI library; where something is not there, that is said."""
    commit = _git_commit()
    found = {name: _version(name) or "not installed" for name in PACKAGES}
    found["snnhpo_mpi"] += f" (commit {commit})" if commit else ""
    return {"snnhpo_mpi": found.pop("snnhpo_mpi"), "Python": platform.python_version(), **found, "MPI": _mpi_library()}


def _mpi_library() -> str:
    """Name and version of the MPI library that mpi4py loads; asked in another process, which a broken one may end."""
    try:
        answer = subprocess.run(
            [sys.executable, "-m", "mpi4py", "--mpi-lib-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "not found"
    first_line = answer.stdout.strip().partition("\n")[0]
    return " ".join(first_line.partition(",")[0].replace("Version:", "").split()) or "not found"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _git_commit() -> str:
    """Commit of the program's own checkout, with ``+`` when it has uncommitted changes; empty outside one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20, check=True)
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")
