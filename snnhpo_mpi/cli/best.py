"""``snnhpo best``: the best feasible configurations of a search."""

from __future__ import annotations

import argparse
import logging

from snnhpo_mpi.arguments import positive
from snnhpo_mpi.cli.options import add_json, add_study
from snnhpo_mpi.cli.streams import as_json, complain, say
from snnhpo_mpi.errors import ConfigError

HELP = "print the best feasible configurations"
EXAMPLE = """snnhpo best results/quickstart --top 3
  snnhpo best results/quickstart --yaml > best.yaml"""

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, how many configurations, and in which form."""
    add_study(parser)
    parser.add_argument("--top", type=positive, default=1, metavar="K", help="how many (default 1)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--yaml", action="store_true", help="print the best as a fixed: block of a configuration")
    add_json(form)


def main(args: argparse.Namespace) -> int:
    """Print them, and end with 1 if there is none.

    Raises:
        ConfigError: the study is a retraining.
    """
    from snnhpo_mpi.analysis import summary
    from snnhpo_mpi.analysis.repeats import is_retraining
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import conclusion, text

    data = read(args.study)
    if is_retraining(data):
        raise ConfigError(
            f"{data.folder} is a retraining, whose trainings are to be averaged and not picked from: "
            f"`snnhpo report {data.folder}` has the means"
        )
    if data.losses:
        log.warning("a better trial may be among what is lost")
    best = summary.best_trials(data, 1 if args.yaml else args.top)
    if not best and not args.json:
        complain("no feasible trial yet")
        return 1
    if args.yaml:
        say(text.as_fixed_block(data, best[0]))
    elif args.json:
        say(as_json(summary.best_dict(best), data))
    else:
        say(text.as_table(best))
        say(conclusion.worth(data))
    return 0 if best else 1
