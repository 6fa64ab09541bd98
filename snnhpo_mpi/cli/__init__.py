"""The commands: arguments in, text or JSON out, an exit code back. Logs and errors go to stderr, results to stdout.

Each command is one file with ``HELP``, ``EXAMPLE``, ``add_arguments`` and ``main``, and one row of ``COMMANDS``. Torch,
MPI and the plotting libraries are imported by the command that needs them: a worker's supervisor loads none.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

from snnhpo_mpi.cli import bench, best, check, compare, data, export, kernels, report, retrain, run, schema, status
from snnhpo_mpi.cli.streams import complain, discard, give_up_on_full_stderr, open_closed_streams, say
from snnhpo_mpi.errors import ConfigError, SnnhpoError, refusal
from snnhpo_mpi.extras import absent
from snnhpo_mpi.host.address_space import short_of_address_space
from snnhpo_mpi.host.process_tuning import log_to_stderr
from snnhpo_mpi.host.provenance import versions


class Command(Protocol):
    """What the file of a command holds."""

    HELP: str  # one line
    EXAMPLE: str  # command lines that work

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments and options."""

    def main(self, args: argparse.Namespace) -> int:
        """Run the command and return the exit code."""
        ...


COMMANDS: Mapping[str, Command] = MappingProxyType({
    "check": check,
    "run": run,
    "status": status,
    "report": report,
    "best": best,
    "retrain": retrain,
    "compare": compare,
    "export": export,
    "data": data,
    "kernels": kernels,
    "schema": schema,
    "bench": bench,
})  # fmt: skip


def entry() -> None:
    """Entry point of the ``snnhpo`` command."""
    open_closed_streams()
    try:
        sys.exit(main())
    finally:
        give_up_on_full_stderr()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line by default.

    Returns:
        The exit code: 0 done, 2 user's mistake, 3 record damaged or busy, 75 stopped before the end and resumable.
    """
    args = build_parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to end
    log_to_stderr(args.verbose)
    try:
        if reason := short_of_address_space():
            raise ConfigError(reason)
        return int(args.command(args))
    except SnnhpoError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130  # as a shell counts it; a search has its own way to stop
    except BrokenPipeError:  # the reader of a pipe has seen enough
        discard(sys.stdout)
        return 0
    except (ImportError, MemoryError, OSError) as error:
        reason = short_of_address_space(error)
        if isinstance(error, OSError):  # a file or folder that the user named, or where standard output goes
            reason = reason or refusal(error, "the output")
            discard(sys.stdout)
        elif isinstance(error, ImportError):
            reason = reason or absent(error, "this command")
        if reason is None:
            raise
        complain(reason)
        return ConfigError.exit_code


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; ``command`` of what it returns is the ``main`` of a command."""
    parser = argparse.ArgumentParser(
        prog="snnhpo",
        description="Constrained Bayesian optimization of spiking neural networks over MPI.",
        epilog="snnhpo COMMAND --help explains a command and has an example.",
    )
    parser.add_argument("--verbose", action="store_true", help="log details too")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the versions of everything that matters")
    parsers = parser.add_subparsers(required=True, title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = parsers.add_parser(
            name,
            help=command.HELP,
            description=f"{command.HELP[0].upper()}{command.HELP[1:]}.",
            epilog=f"example:\n  {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(command=command.main)
        command.add_arguments(one)
    return parser


class _Version(argparse.Action):
    """Print the versions of the program and of what it computes with, and end."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        say("\n".join(f"{name:<12} {version}" for name, version in versions().items()))
        parser.exit()
