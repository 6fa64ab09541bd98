"""``snnhpo bench``: measurements, each of them a module of ``snnhpo_mpi.bench`` with arguments of its own."""

from __future__ import annotations

import argparse
from importlib import import_module

HELP = "measure parts of the program"
EXAMPLE = "snnhpo bench optimizer --problem ackley10 --method scbo --budget 200 --seeds 5 --json"
BENCHMARKS = ("optimizer", "scale", "stopping", "trainer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which benchmark; its own arguments are read when it is imported."""
    parser.add_argument("what", choices=BENCHMARKS, help="what to measure; snnhpo bench WHAT --help explains it")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def main(args: argparse.Namespace) -> int:
    """Read the benchmark's arguments and run it."""
    benchmark = import_module(f"snnhpo_mpi.bench.{args.what}")
    parser = argparse.ArgumentParser(
        prog=f"snnhpo bench {args.what}",
        description=benchmark.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmark.add_arguments(parser)
    return int(benchmark.main(parser.parse_args(args.arguments)))
