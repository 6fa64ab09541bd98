"""The commands: arguments in, text or JSON out, an exit code back. Logs and errors go to stderr, results to stdout.

Torch, MPI and the plotting libraries are imported by the command that needs them: a worker's supervisor loads none.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from snnhpo_mpi.arguments import positive
from snnhpo_mpi.errors import ConfigError, SnnhpoError, refusal
from snnhpo_mpi.host.address_space import short_of_address_space
from snnhpo_mpi.host.provenance import versions
from snnhpo_mpi.plain_text import PlainFormatter, for_encoding, plain

if TYPE_CHECKING:
    from snnhpo_mpi.record import StudyData

log = logging.getLogger(__name__)

EXAMPLES = {
    "run": "mpiexec -n 3 snnhpo run configs/quickstart.yaml\n  snnhpo run configs/quickstart.yaml --workers 2 --resume",
    "check": "snnhpo check configs/quickstart.yaml --set space.map_size.high=400\n"
    "  snnhpo check configs/quickstart.yaml --trial",
    "status": "snnhpo status results/quickstart --watch",
    "report": "snnhpo report results/quickstart --format html,png",
    "best": "snnhpo best results/quickstart --top 3\n  snnhpo best results/quickstart --yaml > best.yaml",
    "compare": "snnhpo compare results/scbo results/random --at 0.8,0.9 --out compare.pdf",
    "export": "snnhpo export results/quickstart --format csv,parquet,optuna\n"
    "  optuna-dashboard results/quickstart/export/optuna.log",
    "retrain": "mpiexec -n 5 snnhpo retrain results/mnist_stdp --epochs 10 --save\n"
    "  snnhpo retrain results/quickstart --top 3 --repeats 5 --workers 2",
    "kernels": "snnhpo kernels build --arch 80 90      # A100 and H100, on a login node",
    "schema": "snnhpo schema > snnhpo.schema.json",
    "data": "snnhpo data list\n  snnhpo data fetch mnist --path /shared/data",
    "bench": "snnhpo bench optimizer --problem ackley10 --method scbo --budget 200 --seeds 5 --json",
}


def entry() -> None:
    """Entry point of the ``snnhpo`` command."""
    _open_closed_streams()
    try:
        sys.exit(main())
    finally:
        _give_up_on_stderr_that_is_full()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: those of the command line by default.

    Returns:
        The exit code: 0 done, 2 user's mistake, 3 record damaged or busy, 75 stopped before the end and resumable.
    """
    args = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character is no reason to end
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.raiseExceptions = False  # a full disk is no reason for a traceback a line
    logging.basicConfig(level=logging.WARNING, handlers=[handler])  # libraries tell of every font that they write
    logging.getLogger("snnhpo_mpi").setLevel(logging.DEBUG if args.verbose else logging.INFO)
    try:
        if reason := short_of_address_space():
            raise ConfigError(reason)
        return int(args.command(args))
    except SnnhpoError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130  # as a shell counts it; a search has its own way to stop
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _discard(sys.stdout)
        return 0
    except (ImportError, MemoryError, OSError) as error:
        reason = short_of_address_space(error)
        if isinstance(error, OSError):  # a file or folder that the user named, or where standard output goes
            reason = reason or refusal(error, "the output")
            _discard(sys.stdout)
        if reason is None:
            raise
        _complain(reason)
        return ConfigError.exit_code


def _complain(text: str) -> None:
    try:
        sys.stderr.write(f"snnhpo: {plain(text)}\n")
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO | None) -> None:
    """Let what is written from now on, and what is still held back, go nowhere: Python would fail of it at its end."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams (``>&-``) empty ones.

    Otherwise the next file that is opened takes their number, and whatever prints writes into it.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd == 0 else os.O_WRONLY)  # takes the lowest free number: this one
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _give_up_on_stderr_that_is_full() -> None:
    """Let what stderr cannot take go: Python would end with the code 120 instead of ours."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="snnhpo", description="Constrained Bayesian optimization of spiking neural networks over MPI."
    )
    parser.add_argument("--verbose", action="store_true", help="also log details")
    parser.add_argument("--version", action=_Version, nargs=0, help="versions of the program and what it computes with")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = _command(commands, "run", _run, "search: trains networks until the budget is spent")
    _add_config(run)
    run.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="where studies are kept")
    run.add_argument("--resume", action="store_true", help="go on with the study if there is one")
    run.add_argument("--accept-config", action="store_true", help="resume although the configuration changed")
    _add_accept_damage(run, "resume although something of the record is lost; the damaged file is kept")
    run.add_argument("--workers", type=positive, metavar="N", help="evaluators here, without MPI (default 1)")
    run.add_argument("--trials", type=positive, metavar="N", help="same as --set budget.trials=N")
    run.add_argument("--tensorboard", action="store_true", help="also write TensorBoard scalars into the study")

    check = _command(commands, "check", _check, "validate a configuration and say what it means here; trains nothing")
    _add_config(check)
    check.add_argument(
        "--import", action="store_true", dest="import_function", help="import an own function or network too"
    )
    check.add_argument(
        "--trial",
        action="store_true",
        help="run one tiny trial to its end: few samples, one epoch; an own function as is",
    )

    status = _command(commands, "status", _status, "how a study stands, also while it is running")
    _add_study(status)
    status.add_argument("--watch", action="store_true", help="keep showing it")
    status.add_argument("--no-color", action="store_true", help="without colours (or set NO_COLOR)")
    status.add_argument("--json", action="store_true", help="one JSON object")

    report = _command(commands, "report", _report, "figures and one self-contained HTML page")
    _add_study(report)
    report.add_argument("--out", type=Path, metavar="FOLDER", help="folder (default RUN/report)")
    report.add_argument(
        "--format",
        type=_formats("html", "png", "pdf", "csv"),
        default=("html", "png"),
        help="html,png,pdf,csv (default html,png)",
    )

    best = _command(commands, "best", _best, "the best feasible configurations")
    _add_study(best)
    best.add_argument("--top", type=positive, default=1, metavar="K", help="how many (default 1)")
    form = best.add_mutually_exclusive_group()
    form.add_argument("--yaml", action="store_true", help="print the best as a fixed: block")
    form.add_argument("--json", action="store_true", help="one JSON object")

    compare = _command(commands, "compare", _compare, "studies side by side: best over time, time to accuracies")
    compare.add_argument("studies", type=Path, nargs="+", metavar="RUN", help="results folders of studies")
    compare.add_argument("--at", type=_numbers, default=(), metavar="A,B", help="objectives to time (default: a few)")
    compare.add_argument("--out", type=_picture, default=Path("compare.png"), help="figure (default compare.png)")
    compare.add_argument("--json", action="store_true", help="one JSON object")

    export = _command(commands, "export", _export, "the trials for other tools")
    _add_study(export)
    export.add_argument(
        "--format", type=_formats("csv", "parquet", "optuna"), default=("csv",), help="csv,parquet,optuna (default csv)"
    )
    export.add_argument("--out", type=Path, metavar="DIR", help="folder (default RUN/export)")

    retrain = _command(commands, "retrain", _retrain, "train the best again, on all training data, and test them")
    _add_study(retrain)
    retrain.add_argument("--top", type=positive, default=1, metavar="K", help="how many configurations (default 1)")
    retrain.add_argument("--repeats", type=positive, default=10, metavar="N", help="seeds of each (default 10)")
    retrain.add_argument("--epochs", type=positive, metavar="N", help="instead of the epochs that the search found")
    retrain.add_argument("--save", action="store_true", help="keep the trained networks, one file each")
    retrain.add_argument("--name", default="retrain", help="folder in that of the study (default retrain)")
    _add_accept_damage(retrain, "train although something of the search's record is lost")
    retrain.add_argument("--workers", type=positive, metavar="N", help="evaluators here, without MPI (default 1)")
    _add_set(retrain)

    kernels = _command(commands, "kernels", _kernels, "compile lava-dl's CUDA kernels once, before a job")
    kernels.add_argument("what", choices=["build"], help="compile those that are not there yet")
    kernels.add_argument("--arch", nargs="+", default=[], metavar="ARCH", help="70 80 90 ... (default: the GPUs here)")
    kernels.add_argument("--force", action="store_true", help="also those that are there")

    _command(commands, "schema", _schema, "JSON schema of the configuration, for editors")

    data = _command(commands, "data", _data, "which data sets are where; download them on a login node; verify them")
    data.add_argument("what", choices=["list", "fetch", "check"], help="tell what there is, download, or read it all")
    data.add_argument("name", nargs="?", help="the data set (not for list)")
    data.add_argument("--path", type=Path, help="folder of the data sets (default: $SNNHPO_DATA)")

    bench = _command(commands, "bench", _bench, "measure parts of the program")
    bench.add_argument(
        "what", choices=["optimizer", "scale", "trainer"], help="what to measure; bench WHAT --help tells more"
    )
    bench.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


class _Version(argparse.Action):
    """Say the versions of everything that matters, and end."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        _say("\n".join(f"{name:<12} {version}" for name, version in versions().items()))
        parser.exit()


def _command(commands: Any, name: str, function: Any, what: str) -> argparse.ArgumentParser:
    epilog = f"example:\n  {EXAMPLES[name]}" if name in EXAMPLES else None
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=what, description=what, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if function:
        parser.set_defaults(command=function)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="YAML file of the experiment")
    _add_set(parser)


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a key, a.b.0.c=value",
    )


def _add_accept_damage(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--accept-damage", action="store_true", help=what)


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", type=Path, metavar="RUN", help="results folder of a study, or a file of it alone")


def _formats(*known: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        formats = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if unknown := set(formats) - set(known):
            allowed = f"{', '.join(known[:-1])} and {known[-1]}"
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown)) or 'nothing'}: {allowed} are known")
        return formats

    return parse


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


class _Voice:
    """Says lines on stdout for as long as somebody listens: a closed pipe must not end a search."""

    def __init__(self) -> None:
        self._heard = True

    def __call__(self, text: str) -> None:
        if not self._heard:
            return
        try:
            _say(text)
        except OSError:
            self._heard = False
            _discard(sys.stdout)


def _say(text: str) -> None:
    try:
        sys.stdout.write(f"{for_encoding(plain(text), sys.stdout.encoding)}\n")
        sys.stdout.flush()
    except OSError as error:
        error.filename = "standard output"
        raise


def _run(args: argparse.Namespace) -> int:
    from snnhpo_mpi.config import load
    from snnhpo_mpi.study import run as study

    options = {f"--trials {args.trials}": f"budget.trials={args.trials}"} if args.trials else {}
    wish = study.Request(
        partial(load, args.config, args.overrides, options),
        args.results,
        args.resume,
        args.accept_config,
        args.workers,
        _last_words,
        args.tensorboard,
        args.accept_damage,
    )
    return study.run(wish, _Voice())


def _last_words(folder: Path) -> str:
    """What a complete search found, and what that is worth."""
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report.conclusion import last_words

    return last_words(read(folder))


def _check(args: argparse.Namespace) -> int:
    from snnhpo_mpi.config import load
    from snnhpo_mpi.study.check import describe

    config, document = load(args.config, args.overrides)
    with document.located():
        for line in describe(config, args.import_function):
            _say(line)
        if args.trial:
            from snnhpo_mpi.study.tiny_trial import try_out

            for line in try_out(config):
                _say(line)
    return 0


def _schema(args: argparse.Namespace) -> int:
    from snnhpo_mpi.config import StudyConfig

    _say(json.dumps(StudyConfig.model_json_schema(), indent=2))
    return 0


def _status(args: argparse.Namespace) -> int:
    from snnhpo_mpi.analysis.summary import status_dict, summarise
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import terminal

    if args.watch:
        return terminal.watch(args.study, no_color=args.no_color)
    data = read(args.study)
    _say(_as_json(status_dict(summarise(data)), data) if args.json else terminal.as_text(data))
    return 0


def _as_json(facts: Mapping[str, Any], *studies: StudyData) -> str:
    """One JSON object, with what was wrong with the files of the studies, if anything was."""
    notices = [notice for data in studies for notice in data.notices]
    return json.dumps({**facts, **({"notices": notices} if notices else {})})


def _report(args: argparse.Namespace) -> int:
    from snnhpo_mpi.analysis.partial_dependence import feasible_along
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import export, page, plots
    from snnhpo_mpi.report.conclusion import conclusion
    from snnhpo_mpi.report.failing import attempt

    data = read(args.study)
    folder = args.out or data.folder / "report"
    _say(conclusion(data))
    _say(f"record   {data.files.snapshot or data.files.journal}")
    kinds = [kind for kind in args.format if kind in ("png", "pdf")]
    with _writing(folder):
        along, fault = attempt(partial(feasible_along, data)) if set(args.format) - {"csv"} else ([], "")
        failed = {"the constraints' models": fault} if fault else {}
        figures, undrawn = plots.write_figures(data, folder, kinds, along or [])
        failed |= undrawn
        if figures:
            _say(f"figures  {len(figures)} files in {folder}")
        if "csv" in args.format:
            _say(f"trials   {export.export(data, folder, ['csv'])[0]}")
        if "html" in args.format:
            written, fault = attempt(partial(page.write_page, data, folder, along or []))
            failed |= {"report.html": fault} if written is None else written[1]
            _say(f"report   {written[0]}" if written else "report   not written")
    for name, reason in failed.items():
        sys.stderr.write(f"snnhpo: {plain(name)} could not be drawn: {plain(reason)}\n")
    return 1 if failed else 0


@contextlib.contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Say in one line where nothing can be written.

    Raises:
        ConfigError: the disk is full or read-only, or a file is in the way.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError(f"cannot write to {place}: a file is where a folder is needed") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write to {place}: {reason}; --out names another place") from error


def _best(args: argparse.Namespace) -> int:
    from snnhpo_mpi.analysis import summary
    from snnhpo_mpi.analysis.repeats import is_retraining
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import conclusion, words

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
        sys.stderr.write("snnhpo: no feasible trial yet\n")
        return 1
    if args.yaml:
        _say(words.as_fixed_block(data, best[0]))
    elif args.json:
        _say(_as_json(summary.best_dict(best), data))
    else:
        _say(words.as_table(best))
        _say(conclusion.worth(data))
    return 0 if best else 1


def _compare(args: argparse.Namespace) -> int:
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report import compare

    studies = [read(study) for study in args.studies]
    compared = compare.compare(studies, args.at)
    for note in compare.notes(compared):
        sys.stderr.write(f"snnhpo: {plain(note)}\n")
    _say(_as_json(compare.as_dict(compared), *studies) if args.json else compare.as_table(compared))
    with _writing(args.out):
        compare.write_figure(compared, args.out)
    if not args.json:
        _say(f"figure   {args.out}")
    return 0


def _export(args: argparse.Namespace) -> int:
    from snnhpo_mpi.record import read
    from snnhpo_mpi.report.export import export

    data = read(args.study)
    for path in export(data, args.out or data.folder / "export", args.format):
        _say(str(path))
    return 0


def _retrain(args: argparse.Namespace) -> int:
    from snnhpo_mpi.study import retrain

    overrides = tuple(args.overrides)
    wish = retrain.Wish(
        args.study, args.top, args.repeats, args.epochs, args.save, args.name, overrides, args.accept_damage
    )
    return retrain.run(wish, args.workers, _Voice())


def _kernels(args: argparse.Namespace) -> int:
    from snnhpo_mpi.snn.slayer.lava_kernels.build import build
    from snnhpo_mpi.snn.slayer.lava_kernels.cache import parse_architecture

    for library in build([parse_architecture(text) for text in args.arch], args.force):
        _say(str(library))
    return 0


def _data(args: argparse.Namespace) -> int:
    from snnhpo_mpi.config import expanded
    from snnhpo_mpi.datasets import DATASETS
    from snnhpo_mpi.snn.data import catalog
    from snnhpo_mpi.snn.data.folder import folder_at

    given, named_by = args.path or os.environ.get("SNNHPO_DATA"), "--path" if args.path else "SNNHPO_DATA"
    root = expanded(str(given), named_by) if given else None
    if args.what == "list":
        for line in catalog.overview(root):
            _say(line)
        return 0
    if args.name not in DATASETS:
        raise ConfigError(f"data {args.what} needs a data set: {', '.join(DATASETS)}")
    if package := DATASETS[args.name].package:
        root = Path()
        if args.what == "fetch":
            _say(f"{args.name} comes with the package {package}: nothing is to be downloaded")
    if root is None:
        raise ConfigError("--path, or the variable SNNHPO_DATA, must name the folder of the data sets")
    if args.what == "fetch":
        catalog.fetch(args.name, root)
    for line in catalog.verify(args.name, folder_at(str(root), named_by)):
        _say(line)
    return 0


def _bench(args: argparse.Namespace) -> int:
    benchmark = import_module(f"snnhpo_mpi.bench.{args.what}")
    parser = argparse.ArgumentParser(
        prog=f"snnhpo bench {args.what}",
        description=benchmark.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benchmark.add_arguments(parser)
    return int(benchmark.main(parser.parse_args(args.arguments)))
