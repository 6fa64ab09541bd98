"""``snnhpo data``: the data sets, where they lie, and whether they are whole."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from snnhpo_mpi.cli.streams import say
from snnhpo_mpi.errors import ConfigError

HELP = "list the data sets, download them on a login node, or verify them"
EXAMPLE = """snnhpo data list
  snnhpo data fetch mnist --path /shared/data"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do with which data set."""
    parser.add_argument(
        "what",
        choices=["list", "fetch", "check"],
        help="list: say which are where; fetch: download one; check: read all of one",
    )
    parser.add_argument("name", nargs="?", help="the data set (not for list)")
    parser.add_argument("--path", type=Path, help="folder of the data sets (default $SNNHPO_DATA)")


def main(args: argparse.Namespace) -> int:
    """Do it.

    Raises:
        ConfigError: the data set or its folder is missing or unknown.
    """
    from snnhpo_mpi.config import expanded
    from snnhpo_mpi.config.datasets import DATASETS
    from snnhpo_mpi.snn.data import catalog
    from snnhpo_mpi.snn.data.folder import folder_at

    given, named_by = args.path or os.environ.get("SNNHPO_DATA"), "--path" if args.path else "SNNHPO_DATA"
    root = expanded(str(given), named_by) if given else None
    if args.what == "list":
        for line in catalog.overview(root):
            say(line)
        return 0
    if args.name not in (names := [name for name, row in DATASETS.items() if row.kind != "own"]):
        raise ConfigError(f"data {args.what} needs a data set: {', '.join(names)}")
    if package := DATASETS[args.name].package:
        root = Path()
        if args.what == "fetch":
            say(f"{args.name} comes with the package {package}: nothing is to be downloaded")
    if root is None:
        raise ConfigError("--path, or the variable SNNHPO_DATA, must name the folder of the data sets")
    if args.what == "fetch":
        catalog.fetch(args.name, root)
    for line in catalog.verify(args.name, folder_at(str(root), named_by)):
        say(line)
    return 0
