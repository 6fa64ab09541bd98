"""``snnhpo run``: a search, on all ranks of an MPI job or with evaluators of this process."""

from __future__ import annotations

import argparse
from pathlib import Path

from snnhpo_mpi.arguments import positive
from snnhpo_mpi.cli.options import add_accept_damage, add_config, add_workers
from snnhpo_mpi.cli.streams import Voice

HELP = "search: train networks until the budget is spent"
EXAMPLE = """mpiexec -n 3 snnhpo run configs/quickstart.yaml
  snnhpo run configs/quickstart.yaml --workers 2 --resume"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of the configuration, and how to run and to resume."""
    add_config(parser)
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="folder of all studies (default results)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the study if there is one")
    parser.add_argument("--accept-config", action="store_true", help="resume although the configuration changed")
    add_accept_damage(parser, "resume although something of the record is lost; the damaged file is kept")
    add_workers(parser)
    parser.add_argument("--trials", type=positive, metavar="N", help="same as --set budget.trials=N")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard scalars too")


def main(args: argparse.Namespace) -> int:
    """Search, and end with the exit code that all ranks have."""
    from snnhpo_mpi.config import load
    from snnhpo_mpi.study.request import Request, Task
    from snnhpo_mpi.study.run import run_search

    options = {f"--trials {args.trials}": f"budget.trials={args.trials}"} if args.trials else {}
    request = Request(
        lambda: Task(*load(args.config, args.overrides, options)),
        args.results,
        resume=args.resume,
        accept_config=args.accept_config,
        workers=args.workers,
        conclude=last_words_on,
        tensorboard=args.tensorboard,
        accept_damage=args.accept_damage,
    )
    return run_search(request, Voice())


def last_words_on(folder: Path) -> str:
    """What a complete search found, and what that is worth."""
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report.conclusion import last_words

    return last_words(read(folder))
