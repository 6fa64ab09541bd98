"""``snnhpo status``: how a study stands, also while it is running."""

from __future__ import annotations

import argparse

from snnhpo_mpi.cli.options import add_json, add_study
from snnhpo_mpi.cli.streams import as_json, say

HELP = "show how a study stands, also while it is running"
EXAMPLE = "snnhpo status results/quickstart --watch"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, and how to show it."""
    add_study(parser)
    parser.add_argument("--watch", action="store_true", help="keep showing it")
    parser.add_argument("--no-color", action="store_true", help="use no colours (NO_COLOR in the environment does too)")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Show it once, or until it ends."""
    from snnhpo_mpi.analysis.summary import status_dict, summarise
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import terminal

    if args.watch:
        return terminal.watch(args.study, no_color=args.no_color)
    data = read(args.study)
    say(as_json(status_dict(summarise(data)), data) if args.json else terminal.as_text(data))
    return 0
