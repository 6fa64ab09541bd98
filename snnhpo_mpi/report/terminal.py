"""A study in a terminal: how far it is, what was found, what each worker does. Reads the record only."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from snnhpo_mpi.analysis import progress_line as line_of
from snnhpo_mpi.analysis.durations import duration, rough_duration
from snnhpo_mpi.analysis.edges import advice
from snnhpo_mpi.analysis.repeats import Repeats, repeats, retrainings
from snnhpo_mpi.analysis.summary import Summary, summarise
from snnhpo_mpi.plain_text import for_encoding, plain
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report.text import busy, percent, rounded, violated

REFRESH_S = 2.0
LINE_EVERY_S = 10.0  # on a terminal that cannot redraw
_LEVELS, _ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
_ROWS_ABOVE_WORKERS = 14
_LOG_LINES = 4
_LOG_BYTES = 8_000  # of the end of each log
_SPACES = re.compile(r"(?<=\S) +")  # those at the beginning of a line stay
_HOW_IT_STANDS = re.compile(r"^\S+ INFO trials \d+")
_LOGS = 8  # the latest ones that are looked into


def watch(study: Path, *, no_color: bool = False) -> int:
    """Shows a study until it ends or the user has seen enough (Ctrl-C); the exit code.

    Args:
        study: its folder.
        no_color: bold and dim only, whatever the terminal can do.

    Raises:
        RecordError: there is no study, or it cannot be read.
    """
    console = Console(no_color=no_color or None)
    try:
        if console.is_terminal and not console.is_dumb_terminal:
            _redraw(study, console)
        else:
            _add_lines(study, console)
    except KeyboardInterrupt:
        return 0
    return 0


def _redraw(study: Path, console: Console) -> None:
    with _without_warnings():  # the view shows them
        data = read(study)
    with Live(render(data, console.height), console=console, auto_refresh=False, transient=False) as live:
        while data.live:
            time.sleep(REFRESH_S)
            with _without_warnings():
                data = read(study)
            live.update(render(data, console.height), refresh=True)


def _add_lines(study: Path, console: Console) -> None:
    said = ""
    data = read(study)
    while True:
        line = progress_line(summarise(data))
        news = line.partition(line_of.TIME_LEFT)[0]  # the time left alone is none
        if news != said:
            console.out(line, highlight=False)
            said = news
        if not data.live:
            return
        time.sleep(LINE_EVERY_S)
        with _without_warnings():  # they were told once
            data = read(study)


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    logger = logging.getLogger("snnhpo_mpi.record")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def as_text(data: StudyData, width: int = 80) -> str:
    """The same view as plain text."""
    buffer = io.BytesIO()
    file = io.TextIOWrapper(buffer, encoding=sys.stdout.encoding or "utf-8", errors="replace")
    console = Console(file=file, width=width, no_color=True, force_terminal=False, legacy_windows=False)
    console.print(render(data))
    file.flush()
    lines = [line.rstrip() for line in buffer.getvalue().decode(file.encoding).splitlines()]
    return "\n".join(lines).rstrip()


def progress_line(summary: Summary) -> str:
    """The state of a study in one line of plain text, for logs."""
    suffix = "" if summary.state == "running" else f"  {summary.state}"
    line = line_of.progress_line(
        ended=summary.ended,
        budget=summary.budget_trials,
        feasible=summary.feasible,
        stopped=summary.stopped,
        pruned=summary.pruned,
        failed=summary.failed + summary.lost,
        running=summary.running,
        best=(summary.best.worth, summary.best.number) if summary.best else None,
        seconds_left=summary.seconds_left,
        width=line_of.LINE_WIDTH - len(suffix),
        stopped_as=summary.stopped_as,
        retraining=bool(summary.repeats),
    )
    return f"{line}{suffix}"


def render(data: StudyData, height: int | None = None) -> RenderableType:
    """The view, for ``rich`` to print.

    Args:
        data: the study.
        height: lines of the terminal; workers that do not fit are counted only.
    """
    summary = summarise(data)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    again = [] if data.live else [one for found in retrainings(data) for one in repeats(found) if one.values]
    for name, text in _facts(summary, again):
        facts.add_row(name, text)
    parts: list[RenderableType] = [_title(summary), _bar(summary), facts]
    notes = [Text(f"note: {plain(notice)}", style="yellow") for notice in data.notices]
    said = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in last_log_lines(data.folder)]
    rows = _rows(data)
    if data.live and rows:
        room = None if height is None else max(height - _ROWS_ABOVE_WORKERS - len(notes), 1)
        if room is not None:  # workers first, but the latest lines of the log have a place in any terminal
            said = said[-max(room - len(rows) - 2, min(2, room // 3)) :] if room > 4 else []
            room = max(room - len(said) - bool(said), 1)
        parts += [Text(), _workers(data, rows, room)]
    if data.live and said:
        parts += [Text(), *said]
    return Group(*parts, *notes)


def last_log_lines(folder: Path, n: int = _LOG_LINES) -> list[str]:
    """The end of what the ranks logged, those who spoke last at the end; rank 0 is the search itself.

    Its lines on how the search stands are left out: the rest of the view says that.
    """
    logs = []
    for path in folder.glob("logs/rank_*.log"):
        with contextlib.suppress(OSError):
            if (stat := path.stat()).st_size:
                logs.append((stat.st_mtime, path))
    lines: list[str] = []
    for _, path in sorted(logs)[-_LOGS:]:
        rank = path.stem.removeprefix("rank_").lstrip("0") or "0"
        with contextlib.suppress(OSError):
            said = [line for line in _tail(path) if not _HOW_IT_STANDS.search(line)][-n:]
            lines += [f"{rank:>3}| {_SPACES.sub(' ', line.replace(' INFO ', ' ', 1))}" for line in said]
    return lines[-n:]


def _tail(path: Path) -> list[str]:
    """The last lines of a file, without what a terminal would act on."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, io.SEEK_END) - _LOG_BYTES, 0))
        text = file.read().decode("utf-8", "replace")
    return [line.rstrip().replace("\t", " ") for line in plain(text).split("\n") if line.strip()]


def _title(summary: Summary) -> Text:
    colours = {"running": "green", "complete": "green", "killed": "red", "error": "red"}
    title = Text(plain(summary.study), style="bold")
    title.append(f"  {summary.state}", style=colours.get(summary.state, "yellow"))
    title.append(f"  for {duration(summary.seconds)}", style="dim")
    if summary.seconds_left is not None:
        title.append(f", about {duration(summary.seconds_left)} left", style="dim")
    return title


def _bar(summary: Summary) -> RenderableType:
    if not summary.budget_trials:
        return Text(f"{summary.ended} trials ended")
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(ratio=1)
    row.add_column(justify="right", no_wrap=True)
    row.add_row(
        ProgressBar(total=summary.budget_trials, completed=summary.ended),
        f"{summary.ended} of {summary.budget_trials} trials",
    )
    return row


def _facts(summary: Summary, again: Sequence[Repeats]) -> list[tuple[str, Text]]:
    counts = Text(f"{summary.completed} completed ({summary.feasible} feasible)")
    counts.append(f", {summary.stopped} stopped early" if summary.silent_share is not None else "")
    counts.append(f", {summary.pruned} pruned" if summary.pruned else "")
    if summary.failed or summary.lost:
        counts.append(f", {summary.failed} failed", style="red" if summary.failed else "")
        counts.append(f", {summary.lost} lost" if summary.lost else "")
    counts.append(f", {summary.running} running" if summary.running else "")
    facts = [("trials", counts)]
    if summary.repeats:
        said = [Text(f"trial {one.number}: {_written(one.text)} ({one.seeds})") for one in summary.repeats]
        facts += [("mean" if i == 0 else "", text) for i, text in enumerate(said)]
        return [*facts, ("workers", Text(f"busy {busy(summary)}"))]
    facts += _found(summary, again)
    if summary.silent_share is not None:
        saved = f", {duration(summary.saved_seconds)} of training saved" if summary.saved_seconds else ""
        facts.append((summary.stopped_as, Text(f"{percent(summary.silent_share)} of the networks{saved}")))
    if summary.pruned:
        saved = f", {duration(summary.pruned_seconds)} of training saved" if summary.pruned_seconds else ""
        facts.append(("pruned", Text(f"{summary.pruned} of {summary.ended} trials{saved}")))
    facts.append(("workers", Text(f"busy {busy(summary)}")))
    return facts


def _found(summary: Summary, again: Sequence[Repeats]) -> list[tuple[str, Text]]:
    """The best, what it is the best of or was when trained again, and what may have held it back."""
    facts: list[tuple[str, Text]] = []
    if summary.best is None:
        facts.append(("best", Text("no feasible network yet", style="yellow")))
        facts += [("", Text(line, style="dim")) for line in violated(summary)]
    else:
        best = Text(_written(summary.best.text), style="bold green")
        best.append(f" {summary.objective_name}, trial {summary.best.number}", style="not bold default")
        is_told = again or summary.finalists
        worth = "; worth: `snnhpo retrain`" if summary.feasible > 1 and not is_told else ""
        facts += [("best", best), ("", Text(f"{summary.chosen_from}{worth}", style="dim"))]
        facts.append(("", Text(sparkline(summary.incumbent, 50), style="green")))
    facts += [("retrain", Text(f"trial {one.number}: {_written(one.text)} ({one.seeds})")) for one in again]
    if summary.edges:
        facts.append(("edge", Text(advice(summary.edges, summary.n_ranges, most=3))))
    if summary.used_up:
        facts.append(("space", Text(f"all {summary.used_up:,} configurations were asked")))
    if summary.baseline is not None and summary.baseline.scored:
        facts.append(("baseline", Text(f"{_written(summary.baseline.text)} {plain(summary.baseline.name)}")))
    return facts


def _written(score: str) -> str:
    return for_encoding(score, sys.stdout.encoding)


def sparkline(values: Sequence[float], width: int) -> str:
    """A line of little bars, the last value at its right end; nothing without a value."""
    shown = [value for value in values if not math.isnan(value)]
    if not shown:
        return ""
    points = [shown[round(i)] for i in np.linspace(0, len(shown) - 1, min(width, len(shown)))]
    low, high = min(shown), max(shown)
    span = (high / 2 - low / 2) or 1.0  # halves, because the difference of two huge numbers is infinite
    levels = _LEVELS if "utf" in (sys.stdout.encoding or "utf").lower() else _ASCII_LEVELS
    bars = "".join(levels[round((value / 2 - low / 2) / span * (len(levels) - 1))] for value in points)
    return f"{low:.3g} {bars} {high:.3g}" if high > low else f"{bars} {high:.3g}"


def _rows(data: StudyData) -> dict[int, int | None]:
    """Rank -> the row of its trial, None of an idle one: the longest running first. Those of this run only."""
    began = data.sessions[-1].began.at if data.sessions else 0.0
    running = np.flatnonzero((data.state == "running") & (data.started_at >= began))
    running = running[np.argsort(data.started_at[running], kind="stable")]
    rows: dict[int, int | None] = {int(data.rank[row]): int(row) for row in running}
    present = {rank for rank, worker in data.workers.items() if worker.at >= began}
    return rows | dict.fromkeys(sorted(present - rows.keys()))


def _workers(data: StudyData, rows: dict[int, int | None], room: int | None) -> RenderableType:
    """A row a worker, as far as there is room."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    for name in ("rank", "trial", "for", "done", "epoch", "accuracy", "silent", "spikes", "where"):
        table.add_column(name, justify="left" if name == "where" else "right", no_wrap=True, overflow="ellipsis")
    shown = list(rows.items()) if room is None or len(rows) <= room else list(rows.items())[: max(room - 1, 1)]
    for rank, row in shown:
        table.add_row(str(rank), *_doing(data, rank, row), _where(data, rank), style="dim" if row is None else "")
    hidden = len(rows) - len(shown)
    return Group(table, Text(f"and {hidden} more workers", style="dim")) if hidden else table


def _where(data: StudyData, rank: int) -> Text:
    """Device and host, the host without its domain."""
    worker = data.workers.get(rank)
    return Text(plain(f"{worker.device} on {worker.host.partition('.')[0]}") if worker else "-")


def _doing(data: StudyData, rank: int, row: int | None) -> tuple[str, ...]:
    """Trial, time, share of samples, epoch, running accuracy, largest silent rate, spikes of the quietest layer."""
    if row is None:
        return ("idle", *["-"] * 6)
    spent = rough_duration(max(time.time(), data.updated_at) - data.started_at[row])
    news = data.progress.get(rank)
    if news is None or news.number != data.number[row]:
        return (str(data.number[row]), spent, *["-"] * 5)
    done = percent(news.n_samples / news.n_samples_planned) if news.n_samples_planned else "-"
    silent = percent(max(news.silent_rate.values())) if news.silent_rate else "-"
    spikes = rounded(min(news.spikes.values())) if news.spikes else "-"
    accuracy = "-" if news.accuracy is None else f"{news.accuracy:.3f}"
    return str(data.number[row]), spent, done, str(news.epoch), accuracy, silent, spikes
