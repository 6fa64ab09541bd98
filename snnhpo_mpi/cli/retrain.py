"""``snnhpo retrain``: the best of a search trained again, on all training data, and tested."""

from __future__ import annotations

import argparse

from snnhpo_mpi.arguments import positive
from snnhpo_mpi.cli.options import add_accept_damage, add_set, add_study, add_workers
from snnhpo_mpi.cli.run import last_words_on
from snnhpo_mpi.cli.streams import Voice

HELP = "train the best again, on all training data, and test them"
EXAMPLE = """mpiexec -n 5 snnhpo retrain results/mnist_stdp --epochs 10 --save
  snnhpo retrain results/quickstart --top 3 --repeats 5 --workers 2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The search, what to train of it, and how."""
    add_study(parser)
    parser.add_argument("--top", type=positive, default=1, metavar="K", help="how many configurations (default 1)")
    parser.add_argument("--repeats", type=positive, default=10, metavar="N", help="seeds of each (default 10)")
    parser.add_argument("--epochs", type=positive, metavar="N", help="instead of the epochs that the search found")
    parser.add_argument("--save", action="store_true", help="keep the trained networks, one file each")
    parser.add_argument("--name", default="retrain", help="folder in that of the study (default retrain)")
    add_accept_damage(parser, "train although something of the search's record is lost")
    add_workers(parser)
    add_set(parser)


def main(args: argparse.Namespace) -> int:
    """Train them, and end with the exit code that all ranks have."""
    from snnhpo_mpi.study.retrain import Wish, run_retraining

    wish = Wish(
        args.study,
        args.top,
        args.repeats,
        args.epochs,
        args.save,
        args.name,
        overrides=tuple(args.overrides),
        accept_damage=args.accept_damage,
    )
    return run_retraining(wish, args.workers, Voice(), last_words_on)
