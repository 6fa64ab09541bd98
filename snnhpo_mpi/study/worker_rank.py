"""What every rank but 0 does: one evaluator after the other, on the device that is its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from snnhpo_mpi.comm.transport import Transport
from snnhpo_mpi.host import launchers, schedulers
from snnhpo_mpi.host.device import choose_device, cores_of_rank, visible_gpus
from snnhpo_mpi.host.scratch import scratch_folder, variables
from snnhpo_mpi.snn import checkpoint
from snnhpo_mpi.study.assignment import Assignment
from snnhpo_mpi.study.build import build_trainer
from snnhpo_mpi.worker.evaluator import EvaluatorSettings
from snnhpo_mpi.worker.supervisor import run_worker


def work(results: Path, launcher: Mapping[str, str], transport: Transport) -> int:
    """Train what rank 0 sends until it says stop; the exit code.

    Args:
        results: folder of the studies.
        launcher: environment that tells this rank's place on its node; empty where threads are the ranks.
        transport: to rank 0.
    """
    with ExitStack() as until_the_end:
        place = Place(transport.rank, transport.size, launcher, until_the_end)
        return run_worker(transport, partial(prepare_evaluator, results, place))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker is: its rank of how many, what its launcher says, and what is tidied up when it ends."""

    rank: int
    size: int
    launcher: Mapping[str, str]
    until_the_end: ExitStack


def prepare_evaluator(results: Path, place: Place, assigned: str) -> EvaluatorSettings:
    """How this rank evaluates.

    Raises:
        ConfigError: it cannot: no GPU where there should be one, no place for temporary files.
    """
    rank, size, launcher = place.rank, place.size, place.launcher
    assignment = Assignment.from_text(assigned)
    config = assignment.config
    # Rank 0 trains nothing: where it shares a node with workers, their slots begin after it.
    local_rank, local_size = launchers.local_rank(launcher), launchers.local_size(launcher)
    with_rank_0 = local_rank is None or local_rank == rank
    device = choose_device(
        slot=(rank if local_rank is None else local_rank) - with_rank_0,
        gpus=config.workers.gpus,
        trials_per_gpu=config.workers.trials_per_gpu,
        threads=config.workers.threads,
        visible=visible_gpus(os.environ),
        n_cores=cores_of_rank(launcher, (size if local_size is None else local_size) - with_rank_0),
        n_granted=schedulers.granted_gpus(launcher),
    )
    folder = results / config.study.name
    networks = folder / assignment.networks if assignment.networks else None
    scratch = place.until_the_end.enter_context(scratch_folder(os.environ))
    return EvaluatorSettings(
        factory=partial(
            build_trainer,
            config,
            device.name,
            checkpoints=folder / checkpoint.FOLDER,
            final=assignment.final,
            networks=networks,
        ),
        environment={**variables(scratch, os.environ), **device.environment},
        n_constraints=len(config.constraint_names),
        objectives=config.objectives,
        time_limit_s=config.trainer.time_limit,
        log=folder / "logs" / f"rank_{rank:03d}.log",
        device=device.label,
        fresh_process=config.workers.fresh_process,
    )
