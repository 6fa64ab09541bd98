"""One self-contained HTML page of a study: opens anywhere without a network, prints, fits a phone, light and dark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import charts, landscape
from snnhpo_mpi.report.along import Along
from snnhpo_mpi.report.points import axes
from snnhpo_mpi.report.repeats import repeats, retrainings, tested_on
from snnhpo_mpi.report.summary import Summary, failures, objective_label, summarise
from snnhpo_mpi.report.traces import Chart
from snnhpo_mpi.report.words import duration, figure, percent, rough_duration

FILE_NAME = "report.html"
_MOST_REASONS = 20


def write_page(data: StudyData, folder: Path, along: Sequence[Along] = ()) -> Path:
    """Writes ``report.html`` into a folder; its path. ``along``: the constraints' models, see ``Along``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    beside = path.with_name(f"{FILE_NAME}.new")
    beside.write_text(render_page(data, along), encoding="utf-8")
    beside.replace(path)  # a browser that reloads never sees half a page
    return path


def render_page(data: StudyData, along: Sequence[Along] = ()) -> str:
    """The page's HTML. Everything that a study, a config or an error says is escaped."""
    summary = summarise(data)
    sections = _sections(data, along)
    retrained = [one for one in (data, *retrainings(data)) if repeats(one)]
    # Not fetched from anywhere: the loader reads a file of this package.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        summary=summary,
        tiles=_tiles(summary),
        objective=objective_label(data),
        sections=sections,
        parameters=_parameters(data, summary),
        what="Final trainings of the best" if data.config.get("retrain") else "Hyperparameter search",
        retrained=[repeated for one in retrained for repeated in repeats(one)],
        tested=[tested_on(one) for one in retrained][:1],
        failures=failures(data)[:_MOST_REASONS],
        config=json.dumps(data.config, indent=2),
        config_text=data.config_text,
        provenance=_provenance(data),
        notices=data.notices,
        updated=_moment(summary.updated_at),
        plotly=Markup(get_plotlyjs()),
        figures=_script_json({chart.key: _figure(chart) for section in sections for chart in section.charts}),
    )


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; ``empty`` says why it has no charts."""

    key: str
    title: str
    charts: list[Chart]
    empty: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline number."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class ParameterRow:
    """A hyperparameter of the best network.

    Attributes:
        position, beside: of the best and of the baseline in the range, in percent; None for a choice.
    """

    name: str
    best: str
    baseline: str
    low: str
    high: str
    position: float | None = None
    beside: float | None = None


def _sections(data: StudyData, along: Sequence[Along]) -> list[Section]:
    none_ended = "No trial with an objective has ended yet."
    return [
        Section("search", "The search", charts.search(data), none_ended),
        Section("silence", "Silent networks", charts.silence(data) + charts.constraints(data), "No network yet."),
        Section("best", "The best network", charts.best(data), "No feasible network with curves yet."),
        Section("workers", "The workers", charts.workers(data), "No trial was sent out yet."),
        Section(
            "space", "The search space", landscape.importance(data) + landscape.parallel(data), "Too few trials yet."
        ),
        Section(
            "feasible",
            "Where networks are silent",
            landscape.feasible(data, along),
            "No border between silent and feasible networks was seen yet.",
            small=True,
        ),
        Section("slices", "Along each hyperparameter", landscape.slices(data), none_ended, small=True),
    ]


def _tiles(summary: Summary) -> list[Tile]:
    best, baseline = summary.best, summary.baseline
    beside = ""
    if baseline is not None and baseline.objective is not None:
        beside = f"{baseline.name}: {figure(baseline.objective)}"
    of = f"of {summary.budget_trials}" if summary.budget_trials else ""
    lost = f", {summary.lost} lost" if summary.lost else ""
    left = f", about {duration(summary.seconds_left)} left" if summary.seconds_left is not None else ""
    return [
        Tile(f"{best.objective:.4f}" if best else "-", f"best {summary.objective_name}",
             f"trial {best.number}{'; ' if beside else ''}{beside}" if best else "no feasible network yet"),
        Tile(str(summary.ended), "trials ended", f"{of}{' ' if of else ''}({summary.failed} failed{lost})"),
        Tile(str(summary.feasible), "feasible networks", f"{summary.completed} trained to the end"),
        Tile(percent(summary.silent_share), "silent networks", f"{summary.stopped} stopped early"),
        Tile(rough_duration(summary.saved_seconds), "of training saved", "by stopping silent networks early"),
        Tile(percent(summary.busy_share), "of worker time busy", f"{duration(summary.evaluation_seconds)} in all"),
        Tile(rough_duration(summary.seconds), "of search", f"{summary.state}{left}"),
    ]  # fmt: skip


def _parameters(data: StudyData, summary: Summary) -> list[ParameterRow]:
    if summary.best is None:
        return []
    row = data.number.tolist().index(summary.best.number)
    beside: Mapping[str, Any] = summary.baseline.params if summary.baseline else {}
    rows = []
    for axis in axes(data):
        best, other = figure(summary.best.params[axis.name]), figure(beside.get(axis.name))
        if axis.choices:
            rows.append(ParameterRow(axis.name, best, other, ", ".join(axis.choices), ""))
        else:
            place = (100 * axis.position).round(1).tolist()
            low, high = f"{axis.low:.4g}", f"{axis.high:.4g}"
            rows.append(ParameterRow(axis.name, best, other, low, high, place[row], place[0] if beside else None))
    return rows


def _provenance(data: StudyData) -> list[tuple[str, str]]:
    facts = [(name.replace("_", " ", 1), str(value)) for name, value in data.provenance.items() if str(value)]
    hosts = sorted({worker.host for worker in data.workers.values()})
    facts += [("study", f"{data.name} ({data.study_id})"), ("begun", _moment(data.created_at))]
    facts += [("runs", str(len(data.sessions))), ("workers on", _some(hosts))]
    return facts


def _some(names: Iterable[str], most: int = 12) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _figure(chart: Chart) -> dict[str, Any]:
    return {name: value for name, value in asdict(chart).items() if name in ("traces", "layout", "height")}


def _script_json(data: object) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
