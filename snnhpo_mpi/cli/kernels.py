"""``snnhpo kernels``: lava-dl's CUDA kernels, compiled before a job needs them."""

from __future__ import annotations

import argparse

from snnhpo_mpi.cli.streams import say

HELP = "compile lava-dl's CUDA kernels once, before a job"
EXAMPLE = "snnhpo kernels build --arch 80 90      # A100 and H100, on a login node"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to compile, and for which GPUs."""
    parser.add_argument("what", choices=["build"], help="build: compile those that are not there yet")
    parser.add_argument(
        "--arch",
        nargs="+",
        default=[],
        metavar="ARCH",
        help="compute capabilities: 70 80 90 ... (default: the GPUs here)",
    )
    parser.add_argument("--force", action="store_true", help="compile those that are there too")


def main(args: argparse.Namespace) -> int:
    """Compile them and print where they are."""
    from snnhpo_mpi.snn.slayer.lava_kernels.build import build
    from snnhpo_mpi.snn.slayer.lava_kernels.cache import parse_architecture

    for library in build([parse_architecture(text) for text in args.arch], args.force):
        say(str(library))
    return 0
