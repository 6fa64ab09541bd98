"""A toy study submitted with the shipped batch files, and what becomes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from private_cluster import PrivateCluster

FUNCTION = """
import os, time

def evaluate(params, seed, device):
    time.sleep(float(os.environ["TOY_SECONDS"]))
    return {"objective": -((params["x"] - 0.7) ** 2), "constraints": [params["x"] - 0.8]}
"""
CONFIG = """\
study: {name: toy, seed: 5}
budget: {trials: 20, stop_before_end: 20s}
optimizer: {name: sobol}
trainer: {name: python, function: "toy.py:evaluate", constraints: [cliff]}
workers: {threads: 1, heartbeat_timeout: 3s}
space:
  x: {type: float, low: 0, high: 1}
"""
# All that a test changes of the shipped files: partition and GPUs, as a user edits them.
TWO_NODES = ("--partition=gpu", "--nodes=2", "--gpus-per-node=2", "--ntasks-per-node=3", "--cpus-per-task=1")
NO_GPU = ("--partition=gpu", "--nodes=1", "--gpus-per-node=0", "--ntasks-per-node=3", "--cpus-per-task=1")
ONE_NODE = ("--partition=gpu", "--nodes=1", "--gpus-per-node=2", "--ntasks-per-node=3", "--cpus-per-task=1")


@dataclass
class Job:
    """A submitted job, in a folder of its own."""

    cluster: PrivateCluster
    folder: Path
    number: str = ""
    results: str = "results"
    environment: dict[str, str] = field(default_factory=dict)

    def submit(self, *arguments: str, options: Sequence[str] = TWO_NODES, file: str = "search.sbatch") -> Job:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        answer = self.cluster.ask(
            "env", "-C", str(self.folder), *variables, "sbatch", "--parsable", *options, f"slurm/{file}", *arguments
        )
        assert answer.isdigit(), f"{answer}\n{self.cluster.logs()}"
        self.number = answer
        return self

    @property
    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    @property
    def state(self) -> str:
        return self.cluster.ask("squeue", "-h", "--states=all", "-j", self.number, "-o", "%T").partition("\n")[0]

    def events(self, kind: str) -> list[dict]:
        journal = self.folder / self.results / "toy" / "journal.jsonl"
        lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]

    def wait_for(self, condition: Callable[[], object], limit_s: float = 240.0) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, f"{self.state}\n{self.log}\n{self.cluster.logs()}"
            time.sleep(0.2)

    def wait(self, limit_s: float = 240.0) -> str:
        """Wait for the end of the job; what its state is then."""
        ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
        self.wait_for(lambda: self.state in ended, limit_s)
        return self.state
