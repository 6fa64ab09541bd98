"""``snnhpo report``: figures and one page of a study."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from snnhpo_mpi.cli.options import add_study, formats
from snnhpo_mpi.cli.streams import complain, say, writing

HELP = "draw figures and one self-contained HTML page"
EXAMPLE = "snnhpo report results/quickstart --format html,png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, and what to write where."""
    add_study(parser)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder to write to (default RUN/report)")
    parser.add_argument(
        "--format",
        type=formats("html", "png", "pdf", "csv"),
        default=("html", "png"),
        help="html,png,pdf,csv (default html,png)",
    )


def main(args: argparse.Namespace) -> int:
    """Write all that can be drawn, and end with 1 if something could not."""
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import export, figures, page, pictures
    from snnhpo_mpi.report.conclusion import conclusion
    from snnhpo_mpi.report.failing import attempt

    data = read(args.study)
    folder = args.out or data.folder / "report"
    say(conclusion(data))
    say(f"record   {data.files.snapshot or data.files.journal}")
    kinds = [kind for kind in args.format if kind in ("png", "pdf")]
    with writing(folder):
        computed = figures.compute(data) if set(args.format) - {"csv"} else []
        files, failed = pictures.write_figures(computed, folder, kinds)
        if files:
            say(f"figures  {len(files)} files in {folder}")
        if "csv" in args.format:
            say(f"trials   {export.export(data, folder, ['csv'])[0]}")
        if "html" in args.format:
            written, fault = attempt(partial(page.write_page, data, computed, folder))
            failed |= {"report.html": fault} if written is None else written[1]
            say(f"report   {written[0]}" if written else "report   not written")
    for name, reason in failed.items():
        complain(f"{name} could not be drawn: {reason}")
    return 1 if failed else 0
