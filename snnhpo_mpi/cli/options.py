"""Arguments and options that several commands have, and the types of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from snnhpo_mpi.arguments import positive


def add_config(parser: argparse.ArgumentParser) -> None:
    """The configuration, and what overrides its keys."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file of the experiment")
    add_set(parser)


def add_set(parser: argparse.ArgumentParser) -> None:
    """What overrides keys of a configuration."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key of the configuration, such as stopping.0.beta=0.2; may be repeated",
    )


def add_study(parser: argparse.ArgumentParser) -> None:
    """The study to read."""
    parser.add_argument("study", type=Path, metavar="RUN", help="results folder of a study, or one file of it")


def add_json(parser: argparse._ActionsContainer) -> None:
    """A result for programs."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Evaluators where there is no MPI."""
    parser.add_argument("--workers", type=positive, metavar="N", help="evaluators here, without MPI (default 1)")


def add_accept_damage(parser: argparse.ArgumentParser, what: str) -> None:
    """Consent to a loss."""
    parser.add_argument("--accept-damage", action="store_true", help=what)


def formats(*known: str) -> Callable[[str], tuple[str, ...]]:
    """The type of an option that takes names of formats with commas between them."""

    def parse(text: str) -> tuple[str, ...]:
        named = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if unknown := set(named) - set(known):
            allowed = f"{', '.join(known[:-1])} and {known[-1]}"
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown)) or 'nothing'}: {allowed} are known")
        return named

    return parse
