"""``snnhpo export``: the trials of a study for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path

from snnhpo_mpi.cli.options import add_study, formats
from snnhpo_mpi.cli.streams import say

HELP = "write the trials for other tools"
EXAMPLE = """snnhpo export results/quickstart --format csv,parquet,optuna
  optuna-dashboard results/quickstart/export/optuna.log
  snnhpo export results/quickstart_slayer/retrain --format nir"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, and what to write where."""
    add_study(parser)
    parser.add_argument(
        "--format",
        type=formats("csv", "parquet", "optuna", "nir"),
        default=("csv",),
        help="csv,parquet,optuna,nir (default csv); nir: the networks that a retraining saved",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (default RUN/export)")


def main(args: argparse.Namespace) -> int:
    """Write the files, and print their names and what was proven of networks."""
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report.export import export

    data = read(args.study)
    folder = args.out or data.folder / "export"
    for path in export(data, folder, [name for name in args.format if name != "nir"]):
        say(str(path))
    if "nir" in args.format:
        from snnhpo_mpi.study.deploy import export_nir

        for line in export_nir(data, folder):
            say(line)
    return 0
