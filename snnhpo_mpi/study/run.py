"""A search on all ranks of an MPI job, or with threads of this process as ranks: rank 0 leads, all others work."""

from __future__ import annotations

import os
from functools import partial

from snnhpo_mpi.comm.transport import LocalWorkers, local_transports
from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.host import schedulers
from snnhpo_mpi.host.launchers import announced
from snnhpo_mpi.host.signals import StopSignals, ignore_stop_signals
from snnhpo_mpi.study.request import Request, Say
from snnhpo_mpi.study.search import lead
from snnhpo_mpi.study.worker_rank import work


def run_search(request: Request, say: Say) -> int:
    """Run a search on all ranks of this job, or in this process alone.

    Args:
        request: what the user asked for.
        say: takes the lines for the user; called on rank 0 only.

    Returns:
        The exit code of this rank, the same on all.

    Raises:
        ConfigError: without MPI only; with it rank 0 says it and all ranks end with its code.
    """
    launched = announced(os.environ)
    if launched is None or (request.workers and launched.size == 1):  # such as a shell inside a Slurm job
        return _run_threads(request, say)
    if request.workers is not None:
        raise ConfigError("--workers is for runs without MPI; mpiexec -n 1+N starts N workers")
    if launched.rank == 0:
        schedulers.leave_exit_code(None, os.environ)
    return _run_mpi(request, say)


def _run_threads(request: Request, say: Say) -> int:
    ends = local_transports(1 + (request.workers or 1))
    with StopSignals() as signals, LocalWorkers(ends[1:], partial(work, request.results, {})):
        return lead(request, ends[0], say, signals)


def _run_mpi(request: Request, say: Say) -> int:
    from snnhpo_mpi.comm import mpi

    transport = mpi.connect(os.environ)
    if transport.size == 1:
        raise ConfigError("one rank cannot search: rank 0 optimises and every other trains; start mpiexec -n 2 or more")
    code = 1
    try:
        if transport.rank:
            ignore_stop_signals()
            code = work(request.results, os.environ, transport)
        else:
            with StopSignals() as signals:
                code = lead(request, transport, say, signals)
            schedulers.leave_exit_code(code, os.environ)
    except BaseException:  # a fault of the program, on whichever rank: a job must not try it again and again
        schedulers.leave_exit_code(code, os.environ)
        raise
    finally:
        transport.close(code)
    return code
