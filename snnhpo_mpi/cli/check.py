"""``snnhpo check``: what a configuration means on this machine, before a job runs with it."""

from __future__ import annotations

import argparse

from snnhpo_mpi.cli.options import add_config
from snnhpo_mpi.cli.streams import say

HELP = "validate a configuration and say what it means on this machine"
EXAMPLE = """snnhpo check configs/quickstart.yaml --set space.map_size.high=400
  snnhpo check configs/quickstart.yaml --trial"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of the configuration, and how far the check goes."""
    add_config(parser)
    parser.add_argument(
        "--import", action="store_true", dest="import_function", help="import an own function or network too"
    )
    parser.add_argument(
        "--trial",
        action="store_true",
        help="run one tiny trial to its end: few samples, one epoch; an own function as is. Implies --import",
    )


def main(args: argparse.Namespace) -> int:
    """Say what was found, line by line."""
    from snnhpo_mpi.config import load
    from snnhpo_mpi.study.check import describe

    config, document = load(args.config, args.overrides)
    with document.located():
        for line in describe(config, args.import_function or args.trial):
            say(line)
        if args.trial:
            from snnhpo_mpi.study.tiny_trial import try_out

            for line in try_out(config):
                say(line)
    return 0
