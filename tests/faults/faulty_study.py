"""A small study of misbehaving evaluations, the real program to run it, and hands to hurt it with."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from mpi_families import Family

import snnhpo_mpi
from snnhpo_mpi.record import StudyData, read

HERE = Path(__file__).parent
PACKAGE = Path(snnhpo_mpi.__file__).parents[1]
FUNCTION = HERE / "faulty.py"
CONFIG = """\
study: {{name: faulty, seed: {seed}}}
budget: {{trials: {trials}, stop_before_end: {stop_before_end}, max_failures: 0}}
optimizer: {{name: random}}
trainer: {{name: python, function: "{function}:evaluate", constraints: [cliff], time_limit: {time_limit}}}
workers: {{threads: 1, heartbeat_timeout: 3s}}
record: {{flush_every: 0.2s}}
fixed: {{seconds: {seconds}}}
space:
  x: {{type: float, low: 0, high: 1}}
  do: {{type: categorical, choices: [{choices}]}}
"""
LIMIT_S = 180.0  # of any wait: nothing may hang, but the machine may be slow


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
    stop_before_end: str = "20s"
    n_workers: int = 2
    flags: tuple[str, ...] = ()
    results: Path = Path("results")
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = CONFIG.format(
            seed=self.seed,
            trials=self.trials,
            function=FUNCTION,
            seconds=self.seconds,
            choices=", ".join(self.choices),
            time_limit=self.time_limit,
            stop_before_end=self.stop_before_end,
        )
        (self.folder / "faulty.yaml").write_text(text)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        program = ["-m", "snnhpo_mpi", "run", "faulty.yaml", "--results", str(self.results), *arguments]
        if self.family is None:
            command = [sys.executable, *program, "--workers", str(self.n_workers)]
        else:
            command = self.family.command(1 + self.n_workers, program, self.flags)
        shell = dict(os.environ) | {"OMP_NUM_THREADS": "1"} if self.family is None else self.family.variables()
        shell |= {"FAULTY_PIDS": str(self.folder / "pids"), "PYTHONPATH": f"{HERE / 'inject'}:{PACKAGE}"}
        with (self.folder / "output.txt").open("a") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=shell | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **variables: str) -> int:
        return self.start(*arguments, **variables).wait(LIMIT_S)

    @property
    def record(self) -> Path:
        return self.folder / self.results / "faulty"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def events(self, kind: str | None = None) -> list[dict]:
        """Entries of the journal as they stand on the disk, its whole lines only."""
        journal = self.record / "journal.jsonl"
        lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
        entries = [json.loads(line) for line in lines]
        return [entry for entry in entries if kind is None or entry["kind"] == kind]

    def acknowledged(self) -> dict[int, dict]:
        """Number of a trial -> its recorded end, without what belongs to the line and not to the result."""
        return {e["number"]: {k: v for k, v in e.items() if k not in ("n", "crc32")} for e in self.events("ended")}

    def data(self) -> StudyData:
        return read(self.record)

    def check_whole(self, acknowledged: dict[int, dict]) -> int:
        """Exactly the budget, every number once; how many acknowledged results are gone or changed."""
        data = self.data()
        assert sorted(data.number) == list(range(self.trials)), sorted(data.number)
        assert data.ended.all()
        numbers = [event["number"] for event in self.events("ended")]
        assert sorted(numbers) == list(range(self.trials)), sorted(numbers)
        for row in range(self.trials):
            if data.state[row] == "completed":
                trial = data.trial(row)
                assert data.objective[row] == trial.params["x"]
                assert data.metrics["seed"][row] == trial.seed
        now = self.acknowledged()
        return sum(now.get(number) != event for number, event in acknowledged.items())

    def wait_for(self, condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.02)

    def evaluators(self) -> list[int]:
        """Processes that evaluated a trial, in the order in which they began their first."""
        pids = self.folder / "pids"
        return list(dict.fromkeys(int(line) for line in pids.read_text().split())) if pids.exists() else []

    def pid_of_rank(self, rank: int) -> int:
        """The process below mpiexec to which its launcher gave this rank; without mpiexec the only one."""
        process = psutil.Process(self.processes[-1].pid)
        if self.family is None:
            return process.pid
        for child in process.children(recursive=True):
            variables = child.environ()
            if str(rank) in (variables.get("OMPI_COMM_WORLD_RANK"), variables.get("PMI_RANK")):
                return child.pid
        raise AssertionError(f"no process of rank {rank}")

    def left(self) -> list[psutil.Process]:
        """Processes of this study that still run."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.cwd() == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def wait_until_gone(self, limit_s: float) -> None:
        """Wait until nothing of it runs."""
        end = time.monotonic() + limit_s
        while left := self.left():
            assert time.monotonic() < end, f"still there: {left}\n{self.output}"
            time.sleep(0.02)

    def kill_everything(self) -> None:
        for process in self.left():
            process.kill()
        for process in self.processes:
            process.wait()


def longest_stall(events: list[dict]) -> float:
    """Seconds from a rank's result to the beginning of its next evaluation in the same session, at most.

    Sending is not beginning: a new evaluator may have to start first, which is the part of the time until the result
    that the evaluation did not take.
    """
    stalls = [0.0]
    for session in _sessions(events):
        ended_at: dict[int, float] = {}
        started_at: dict[int, float] = {}
        for event in sorted((e for e in session if e["kind"] in ("started", "ended")), key=lambda e: e["at"]):
            rank = event["rank"]
            if event["kind"] == "started":
                started_at[event["number"]] = event["at"]
                stalls.append(event["at"] - ended_at.get(rank, event["at"]))
            else:
                if rank in ended_at and event["number"] in started_at:
                    stalls.append(event["at"] - event["seconds"] - ended_at[rank])
                ended_at[rank] = event["at"]
    return max(stalls)


def _sessions(events: list[dict]) -> Iterator[list[dict]]:
    starts = [i for i, event in enumerate(events) if event["kind"] == "session"]
    for start, stop in itertools.pairwise([*starts, len(events)]):
        yield events[start:stop]
