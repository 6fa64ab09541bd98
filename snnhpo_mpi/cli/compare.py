"""``snnhpo compare``: several studies in one table and one figure."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from snnhpo_mpi.cli.options import add_json
from snnhpo_mpi.cli.streams import as_json, complain, say, writing

HELP = "compare studies: best over time, time to given accuracies"
EXAMPLE = "snnhpo compare results/scbo results/random --at 0.8,0.9 --out compare.pdf"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The studies, what to compare, and where the figure goes."""
    parser.add_argument("studies", type=Path, nargs="+", metavar="RUN", help="results folders of studies")
    parser.add_argument(
        "--at", type=_numbers, default=(), metavar="A,B", help="objectives whose times are compared (default: a few)"
    )
    parser.add_argument(
        "--out", type=_picture, default=Path("compare.png"), help="figure: .png, .pdf or .svg (default compare.png)"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    """Print the table and write the figure."""
    from snnhpo_mpi.analysis import compare
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import comparison

    studies = [read(study) for study in args.studies]
    compared = compare.compare(studies, args.at)
    for note in compare.notes(compared):
        complain(note)
    say(as_json(compare.as_dict(compared), *studies) if args.json else comparison.as_table(compared))
    with writing(args.out):
        comparison.write_figure(compared, args.out)
    if not args.json:
        say(f"figure   {args.out}")
    return 0


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"finite numbers with commas between them are needed, found {text}")
    return numbers


def _picture(text: str) -> Path:
    if Path(text).suffix not in (".png", ".pdf", ".svg"):
        raise argparse.ArgumentTypeError(f"a file name ending in .png, .pdf or .svg is needed, found {text}")
    return Path(text)
