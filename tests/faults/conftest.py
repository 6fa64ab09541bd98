"""The real program under the real mpiexec, and hands to hurt it with."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "comm"))

from mpi_families import Family, families

FUNCTION = Path(__file__).with_name("faulty.py")
CONFIG = """\
study: {{name: faulty, seed: {seed}}}
budget: {{trials: {trials}, stop_before_end: 20s}}
optimizer: {{name: random}}
trainer: {{name: python, function: "{function}:evaluate", constraints: [cliff], time_limit: {time_limit}}}
workers: {{threads: 1, heartbeat_timeout: 3s}}
fixed: {{seconds: {seconds}}}
space:
  x: {{type: float, low: 0, high: 1}}
  do: {{type: categorical, choices: [{choices}]}}
"""


@dataclass
class Study:
    """A study in a folder of its own, run by ``mpiexec`` or without (no family)."""

    folder: Path
    family: Family | None
    trials: int = 20
    seconds: float = 0.2
    choices: tuple[str, ...] = ("fine", "fine_too")
    seed: int = 1
    time_limit: str = "60s"
    n_workers: int = 2
    flags: tuple[str, ...] = ()
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self) -> None:
        text = CONFIG.format(
            seed=self.seed,
            trials=self.trials,
            function=FUNCTION,
            seconds=self.seconds,
            choices=", ".join(self.choices),
            time_limit=self.time_limit,
        )
        (self.folder / "faulty.yaml").write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        program = ["-m", "snnhpo_mpi", "run", "faulty.yaml", *arguments]
        if self.family is None:
            command = [sys.executable, *program, "--workers", str(self.n_workers)]
        else:
            command = self.family.command(1 + self.n_workers, program, self.flags)
        variables = dict(os.environ) | {"OMP_NUM_THREADS": "1"} if self.family is None else self.family.variables()
        with (self.folder / "output.txt").open("a") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=variables | {"FAULTY_PIDS": str(self.folder / "pids")},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def events(self, kind: str | None = None) -> list[dict]:
        """Entries of the journal as they stand on the disk, its whole lines only."""
        journal = self.folder / "results" / "faulty" / "journal.jsonl"
        lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if kind is None or entry["kind"] == kind]

    def wait_for(self, condition: Callable[[], object], process: subprocess.Popen[str], limit_s: float = 60.0) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.005)

    def evaluators(self) -> list[int]:
        """Processes that evaluated a trial, in the order in which they began their first."""
        pids = self.folder / "pids"
        return list(dict.fromkeys(int(line) for line in pids.read_text().split())) if pids.exists() else []

    def kill_everything(self) -> None:
        for process in self.processes:
            try:
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                continue
            process.wait()


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Callable[..., Study]]:
    """Makes studies; whatever still runs of them at the end is killed."""
    made: list[Study] = []

    def make(family: Family | None, **changes: object) -> Study:
        folder = tmp_path / f"study{len(made)}"
        folder.mkdir()
        made.append(Study(folder, family, **changes))
        made[-1].write()
        return made[-1]

    yield make
    for one in made:
        one.kill_everything()


@pytest.fixture(params=families(), ids=str)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param
