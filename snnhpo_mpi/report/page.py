"""One self-contained HTML page of a study: opens anywhere without a network, prints, fits a phone, light and dark."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from snnhpo_mpi.analysis.durations import duration, rough_duration
from snnhpo_mpi.analysis.edges import advice
from snnhpo_mpi.analysis.points import axes
from snnhpo_mpi.analysis.repeats import Repeats, is_retraining, repeats, retrainings, tested_on
from snnhpo_mpi.analysis.score import score
from snnhpo_mpi.analysis.summary import Summary, failures, is_own_function, objective_name, stops_early, summarise
from snnhpo_mpi.host.atomic_write import atomic_write
from snnhpo_mpi.plain_text import some
from snnhpo_mpi.record import StudyData
from snnhpo_mpi.report import figures, trials
from snnhpo_mpi.report.conclusion import doubt, sampling_error, trainings, used_up_text
from snnhpo_mpi.report.failing import attempt
from snnhpo_mpi.report.figures import Computed
from snnhpo_mpi.report.labels import shortened
from snnhpo_mpi.report.text import busy, figure, percent
from snnhpo_mpi.report.traces import Chart

FILE_NAME = "report.html"
SECTIONS = {  # key -> title, and whether its figures are small
    "candidates": ("The candidates", False),
    "search": ("The search", False),
    "stopping": ("Networks stopped early", False),
    "curves": ("Learning curves", False),
    "constraints": ("Constraints", False),
    "metrics": ("Metrics", False),
    "best": ("The best network", False),
    "workers": ("The workers", False),
    "space": ("The search space", False),
    "feasible": ("Where networks are feasible", True),
    "slices": ("Along each hyperparameter", True),
}
_MOST_REASONS = 20
_MOST_CHOICES = 12  # named in the table


def write_page(data: StudyData, computed: Sequence[Computed], folder: Path) -> tuple[Path, dict[str, str]]:
    """Writes ``report.html`` into a folder.

    Args:
        data: the study.
        computed: its figures, see ``figures.compute``.
        folder: where to.

    Returns:
        The page's path, and of the figures that could not be drawn the reason by name.

    Raises:
        OSError: the folder cannot be written.
    """
    sections = _sections(data, computed)
    html = _render(data, sections)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    with atomic_write(path) as new:  # a browser that reloads never sees half a page
        new.write_text(html, encoding="utf-8", errors="replace")
    return path, {name: reason for section in sections for name, reason in section.failed.items()}


def render_page(data: StudyData) -> str:
    """The page's HTML. Everything that a study, a config or an error says is escaped."""
    return _render(data, _sections(data, figures.compute(data)))


def _render(data: StudyData, sections: Sequence[Section]) -> str:
    summary = summarise(data)
    again = is_retraining(data)
    # Not fetched from anywhere: the loader reads a file of this package.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        summary=summary,
        tiles=_training_tiles(summary) if again else _tiles(data, summary),
        objective=objective_name(data),
        stops_early=stops_early(data),
        sections=sections,
        parameters=_parameters(data, summary),
        candidates=_candidates(summary.repeats),
        trainings=trainings,
        advice=advice(summary.edges, summary.n_ranges) if summary.edges else "",
        remarks=_remarks(data, summary),
        what="Final trainings of the best of a search" if again else "Hyperparameter search",
        retrained=[
            (one.name, repeats(one), tested_on(one), sampling_error(one))
            for one in ([data] if again else retrainings(data))
        ],
        score=score,
        failures=failures(data)[:_MOST_REASONS],
        config=json.dumps(data.config, indent=2),
        config_text=data.config_text,
        provenance=_provenance(data),
        notices=data.notices,
        updated=_moment(summary.updated_at),
        plotly=Markup(get_plotlyjs()),
        trials=_script_json(trials.table(data)),
        figures=_script_json({chart.key: _figure(chart) for section in sections for chart in section.charts}),
    )


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; ``empty`` says why it has no charts, ``failed`` why some could not be drawn."""

    key: str
    title: str
    charts: list[Chart]
    empty: str
    failed: dict[str, str]
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
        position, beside: of the best and of the baseline in the range, in percent; None for a choice, and where the
            hyperparameter does not exist.
        is_range: of a number.
    """

    name: str
    best: str
    baseline: str
    low: str
    high: str
    position: float | None = None
    beside: float | None = None
    is_range: bool = False


def _sections(data: StudyData, computed: Sequence[Computed]) -> list[Section]:
    """Those that have a figure; that of the best has a table of its own."""
    sections = []
    for key, (title, small) in SECTIONS.items():
        mine = [one for one in computed if one.section == key]
        if mine or (key == "best" and not is_retraining(data)):
            sections.append(_section(key, title, mine, small=small))
    return sections


def _section(key: str, title: str, computed: Sequence[Computed], *, small: bool) -> Section:
    drawn: list[Chart] = []
    failed = {one.name: one.fault for one in computed if one.fault}
    for one in computed:
        if one.found is not None:
            charts, reason = attempt(partial(one.drawing.charts, one.found))
            drawn += charts or []
            if reason:
                failed[one.name] = reason
    nothing = dict.fromkeys(one.nothing for one in computed if one.nothing)
    empty = " ".join(f"{why[0].upper()}{why[1:]}." for why in nothing) or "No feasible network yet."
    return Section(key, title, drawn, empty, failed, small)


def _remarks(data: StudyData, summary: Summary) -> list[str]:
    """What a reader must know of the headline number."""
    if summary.best is None:
        return []
    told = [(one, repeated) for one in retrainings(data) for repeated in repeats(one) if repeated.values]
    found = [f"Retrained: trial {repeated.number}, {objective_name(one)} {repeated.text} (mean and standard deviation "
             f"of {repeated.seeds}, {one.name})." for one, repeated in told]  # fmt: skip
    if not told and not summary.finalists and summary.feasible > 1:
        about = doubt(summary).replace("`", "")
        found.append(f"{about[0].upper()}{about[1:]}.")
    if summary.used_up:
        found.append(f"All {used_up_text(summary.used_up)}.")
    return found


def _tiles(data: StudyData, summary: Summary) -> list[Tile]:
    best, baseline = summary.best, summary.baseline
    beside = f"; {baseline.name}: {baseline.text}" if baseline is not None and baseline.scored else ""
    of = f"of {summary.budget_trials}" if summary.budget_trials else ""
    lost = f", {summary.lost} lost" if summary.lost else ""
    left = f", about {duration(summary.seconds_left)} left" if summary.seconds_left is not None else ""
    error = f"± {best.text.partition(' ± ')[2]}; " if best and " ± " in best.text else ""
    trained = "evaluated" if is_own_function(data) else "trained to the end"
    tiles = [
        Tile(score(best.worth) if best else "-", f"best {summary.objective_name}",
             f"{error}{summary.chosen_from}; trial {best.number}{beside}" if best else "no feasible trial yet"),
        Tile(str(summary.ended), "trials ended", f"{of}{' ' if of else ''}({summary.failed} failed{lost})"),
        Tile(str(summary.feasible), "feasible", f"of {summary.completed} {trained}"),
    ]  # fmt: skip
    if data.constraint_names and summary.completed:
        share = percent(summary.infeasible / summary.completed)
        tiles.append(Tile(share, "infeasible", f"of those {trained}: a constraint is violated"))
    if stops_early(data):
        tiles += [
            Tile(percent(summary.silent_share), "stopped early", f"{summary.stopped} networks"),
            Tile(rough_duration(summary.saved_seconds), "of training saved", "by stopping networks early"),
        ]
    if summary.pruned:
        saved = f"; {rough_duration(summary.pruned_seconds)} of training saved" if summary.pruned_seconds else ""
        tiles.append(Tile(str(summary.pruned), "pruned", f"trials that could not win{saved}"))
    return [*tiles, _busy_tile(summary), Tile(rough_duration(summary.seconds), "of search", f"{summary.state}{left}")]


def _busy_tile(summary: Summary) -> Tile:
    _, found, with_start = busy(summary).partition(" (")
    note = f"{duration(summary.evaluation_seconds)} in all{f'; {with_start[:-1]}' if found else ''}"
    return Tile(percent(summary.busy_share), "of worker time busy", note)


def _training_tiles(summary: Summary) -> list[Tile]:
    """Of a retraining: the search's best candidate, which nobody picked by its test scores."""
    first = summary.repeats[0]
    of = f"of {summary.budget_trials}" if summary.budget_trials else ""
    lost = f", {summary.lost} lost" if summary.lost else ""
    spread = f"± {score(first.sd)} (standard deviation), " if first.sd is not None else ""
    return [
        Tile(score(first.mean) if first.mean is not None else "-", f"mean {summary.objective_name}",
             f"{spread}{first.seeds}; trial {first.number}, the best of the search"),
        Tile(str(len(summary.repeats)), "candidates", "each trained with several seeds"),
        Tile(str(summary.ended), "trainings ended", f"{of}{' ' if of else ''}({summary.failed} failed{lost})"),
        _busy_tile(summary),
        Tile(rough_duration(summary.seconds), "of training", summary.state),
    ]  # fmt: skip


def _candidates(found: Sequence[Repeats]) -> list[list[str]]:
    """Hyperparameters of each candidate of a retraining: the head of a table, then a row a hyperparameter."""
    if not found:
        return []
    names = dict.fromkeys(name for one in found for name in one.params)
    return [
        ["name", *(f"trial {one.number}" for one in found)],
        *([name, *(figure(one.params.get(name)) for one in found)] for name in names),
    ]


def _parameters(data: StudyData, summary: Summary) -> list[ParameterRow]:
    if summary.best is None:
        return []
    row = data.number.tolist().index(summary.best.number)
    beside: Mapping[str, Any] = summary.baseline.params if summary.baseline else {}
    rows = []
    for axis in axes(data):
        best, other = figure(summary.best.params.get(axis.name)), figure(beside.get(axis.name))
        if axis.name not in {**summary.best.params, **beside}:  # it exists for neither
            continue
        if axis.choices:
            rows.append(ParameterRow(axis.name, best, other, _choices(axis.choices), ""))
        else:
            place = (100 * axis.position).round(1).tolist()
            low, high = f"{axis.low:.4g}", f"{axis.high:.4g}"
            places = [None if math.isnan(at) else at for at in (place[row], place[0])]
            other_at = places[1] if beside else None
            rows.append(ParameterRow(axis.name, best, other, low, high, places[0], other_at, is_range=True))
    return rows


def _provenance(data: StudyData) -> list[tuple[str, str]]:
    facts = [(name.replace("_", " ", 1), str(value)) for name, value in data.provenance.items() if str(value)]
    hosts = sorted({worker.host for worker in data.workers.values()})
    facts += [("study", f"{data.name} ({data.study_id})"), ("begun", _moment(data.created_at))]
    facts += [("runs", str(len(data.sessions))), ("workers on", some(hosts))]
    return facts


def _choices(choices: Sequence[str]) -> str:
    shown = some([shortened(choice) for choice in choices], _MOST_CHOICES)
    return shown if len(choices) <= _MOST_CHOICES else f"{len(choices)} choices: {shown}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _figure(chart: Chart) -> dict[str, Any]:
    return {name: value for name, value in asdict(chart).items() if name in ("traces", "layout", "height")}


def _script_json(data: object) -> Markup:
    """JSON that cannot end the script element that it stands in; what is infinite is absent."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _finite(data: Any) -> Any:
    """The same with null for numbers that JSON does not have."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {name: _finite(value) for name, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data
