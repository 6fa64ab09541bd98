"""What a batch system says about the job: when it ends, what it was given, where it looks for the exit code.

A new batch system is a row of ``SCHEDULERS``.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

log = logging.getLogger(__name__)
EXIT_FILE = "SNNHPO_EXIT_FILE"


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The environment variables by which one batch system describes a job, and how it is asked for the rest.

    Attributes:
        name: for messages and records.
        job: identifies the job.
        end_time: when the job ends [Unix s].
        ask_end: command that prints the end as an ISO date, without the job's identifier; for versions without
            ``end_time``.
        gpus: number of GPUs that the job has on this node.
        cores: number of cores that a task was given.
        scratch: folder on the node's own disk.
    """

    name: str
    job: str
    end_time: str
    ask_end: tuple[str, ...]
    gpus: str
    cores: str
    scratch: str


SLURM = Scheduler(
    "Slurm",
    "SLURM_JOB_ID",
    "SLURM_JOB_END_TIME",  # since 23.02
    ("squeue", "-h", "-o", "%e", "-j"),
    "SLURM_GPUS_ON_NODE",
    "SLURM_CPUS_PER_TASK",
    "SLURM_TMPDIR",
)
SCHEDULERS = (SLURM,)


def job(environment: Mapping[str, str]) -> tuple[Scheduler, str] | None:
    """The batch system that runs this process, and the job's identifier; None outside of any."""
    return next(((one, environment[one.job]) for one in SCHEDULERS if environment.get(one.job)), None)


def seconds_left(environment: Mapping[str, str]) -> float | None:
    """Seconds until the batch system ends this job; None outside of a job, or when nobody can tell."""
    for one in SCHEDULERS:
        if (end := environment.get(one.end_time, "")).isdigit():
            return float(end) - time.time()
    if (found := job(environment)) is None:
        return None
    scheduler, number = found
    try:
        answer = subprocess.run(
            [*scheduler.ask_end, number], capture_output=True, text=True, timeout=20, check=True
        ).stdout.strip()
        return datetime.fromisoformat(answer).timestamp() - time.time()
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # the command is not on the node, or the job has no limit


def job_clock(wall_time_s: float | None, environment: Mapping[str, str]) -> Callable[[], float | None]:
    """A clock of the time left [s], from now: by the wall time given and by the job's own end, the earlier of both."""
    limits = [limit for limit in (wall_time_s, seconds_left(environment)) if limit is not None]
    began = time.monotonic()
    return lambda: min(limits) - (time.monotonic() - began) if limits else None


def granted_gpus(environment: Mapping[str, str]) -> int:
    """GPUs that the batch system gave the job on this node; 0 if it does not say."""
    return next((int(environment[one.gpus]) for one in SCHEDULERS if environment.get(one.gpus, "").isdigit()), 0)


def leave_exit_code(code: int | None, environment: Mapping[str, str]) -> None:
    """Write how the search ended where a batch script looks for it (SNNHPO_EXIT_FILE), before MPI is left.

    What a launcher exits with may be the code of a rank that was killed, or of one that hung while leaving.

    Args:
        code: None while it is running: if rank 0 then ends, it leaves a study that can be resumed.
        environment: of the process.
    """
    if path := environment.get(EXIT_FILE):
        try:
            Path(path).write_text("running\n" if code is None else f"{code}\n", encoding="ascii")
        except OSError as error:
            log.warning("%s: %s: the batch script will go by the launcher's exit code", path, error)
