"""Figures of studies with unusual names and numbers: none fails, none is unreadable, one that fails costs itself."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_study
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from snnhpo_mpi import cli
from snnhpo_mpi.analysis import compare, points
from snnhpo_mpi.analysis.partial_dependence import Along
from snnhpo_mpi.analysis.summary import summarise
from snnhpo_mpi.host.process_tuning import quiet_libraries
from snnhpo_mpi.record import StudyData, read
from snnhpo_mpi.report import comparison, conclusion, figures, page, pictures, terminal, trials
from snnhpo_mpi.report.canvas import STYLE
from snnhpo_mpi.report.figures import constraints, feasible, hyperparameters, incumbent, parallel, silence, workers
from snnhpo_mpi.report.labels import for_matplotlib, for_plotly, shortened, ticks
from snnhpo_mpi.trial import State

NAMES = ["$a$", "$\\frac{", "cost $5 and $6 _{", "_b", "<b>x</b>", "a\nb", "神经网络", "\x1b[31mred", "x" * 300, "%{y}"]


def named(folder: Path, choices: list[str]) -> StudyData:
    """A search whose last hyperparameter has these choices, and whose baseline and constraints have such names too."""
    space = {**fake_study.CONFIG["space"], "decoder": {"type": "categorical", "choices": ["all", "vote", "2gram", 3]}}
    configuration = fake_study.config(space=space, baseline={"name": choices[0], "params": {}})
    data = read(fake_study.written(folder, 40, configuration=configuration, state=State.COMPLETED))
    start = data.x.shape[1] - 4
    which = np.random.default_rng(0).integers(0, max(len(choices) - 1, 1), data.n_trials)  # the last has no trial
    x = np.column_stack([data.x[:, :start], np.eye(len(choices))[which]])
    values = np.array([choices[i] for i in which], dtype=object)
    space["decoder"]["choices"] = choices
    return replace(
        data, x=x, params={**data.params, "decoder": values}, config={**data.config, "space": space},
        constraint_names=tuple(choices[:2]),
    )  # fmt: skip


def test_any_name_is_drawn_as_it_is(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    quiet_libraries()  # as every command does
    data = named(tmp_path / "s", NAMES)
    written, failed = pictures.write_figures(figures.compute(data), tmp_path / "f", ["png", "pdf"])
    assert failed == {} and len(written) == 22
    html = page.render_page(data)
    assert "<b>x</b>" not in html and "\x1b" not in json.dumps(figures_of(html))
    assert not [str(w.message) for w in recwarn] and not caplog.records
    with mpl.rc_context(STYLE):
        legend = incumbent.paper(
            found(incumbent, replace(data, config={**data.config, "baseline": {"name": "_b", "params": {}}}))
        )
        assert "_b" in [text.get_text().strip() for text in legend.legends[0].get_texts()]
        texts = [
            text for text in hyperparameters.paper(found(hyperparameters, data)).findobj(Text) if "$" in text.get_text()
        ]
        assert texts and not any(text.get_parse_math() for text in texts)


def found(drawing: figures.Drawing, data: StudyData) -> Any:
    """What a figure computes where there is something to draw."""
    numbers = drawing.compute(data)
    assert numbers is not None and not isinstance(numbers, str)
    return numbers


def figures_of(html: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.S)
    assert found is not None
    return dict(json.loads(found.group(1), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")))


def test_labels_are_one_short_line_without_markup() -> None:
    assert for_matplotlib("_b") == " _b"
    assert for_plotly("<b>x</b>") == "&lt;b&gt;x&lt;/b&gt;"
    assert shortened("a\n  b\t\x1b[31mc") == "a b c"
    assert len(shortened("x" * 300, 14)) == 14 and shortened("abcdefghijklmnop", 9) == "abcdef…op"


def test_150_choices_are_some_labels_and_the_last_choice_has_room(tmp_path: Path) -> None:
    choices = [f"optimizer_{i}" for i in range(150)]
    data = named(tmp_path / "s", choices)
    with mpl.rc_context(STYLE):
        figure = hyperparameters.paper(found(hyperparameters, data))
        figure.draw_without_rendering()
    ax = next(ax for ax in figure.axes if ax.get_title() == "decoder")
    assert ax.get_xlim() == (-0.5, 149.5) and ax.get_xlabel() == "150 choices"
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels[0] == "optimizer_0" and labels[-1] == "optimizer_149" and 2 <= len(labels) <= 10
    assert apart(ax)
    axis = next(
        chart
        for chart in hyperparameters.charts(found(hyperparameters, data))
        if "decoder" in chart.layout["xaxis"]["title"]["text"]
    )
    assert axis.layout["xaxis"]["range"][1] > 149 and len(axis.layout["xaxis"]["ticktext"]) <= 10
    cell = re.search(r"150 choices: [^<]*", page.render_page(data))
    assert cell is not None and cell.group().endswith("and 138 more") and len(cell.group()) < 250
    assert ticks(choices, 3) == [0, 74, 149] or ticks(choices, 3) == [0, 75, 149]


@pytest.mark.parametrize(
    "names", [["adam", "adamw", "sgd", "rmsprop", "adagrad", "lion"], ["a", "b"], ["x" * 90, "y" * 90]]
)
def test_labels_of_choices_do_not_overlap(tmp_path: Path, names: list[str]) -> None:
    data = named(tmp_path / "s", names)
    places = (np.arange(len(names)) + 0.5) / len(names)
    one = Along("decoder", places, places, places)
    axes = [axis for axis in points.axes(data) if axis.name == "decoder"]
    with mpl.rc_context(STYLE):
        for figure in (
            hyperparameters.paper(found(hyperparameters, data)),
            feasible.paper(feasible.Found([one], axes)),
        ):
            figure.draw_without_rendering()
            ax = next(ax for ax in figure.axes if ax.get_title() == "decoder")
            assert [label.get_text() for label in ax.get_xticklabels()] == [for_matplotlib(name, 14) for name in names]
            assert apart(ax)


def apart(ax: Axes) -> bool:
    """Whether no two labels of the horizontal axis touch: turned by 40 degrees, lines of text 10 points high."""
    labels = ax.get_xticklabels()
    boxes = [label.get_window_extent() for label in labels]
    if labels[0].get_rotation() == 0:
        return all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
    return all((b.x1 - a.x1) * np.sin(np.radians(40)) > 6 * ax.figure.dpi / 72 for a, b in itertools.pairwise(boxes))


def test_61_hyperparameters_stand_apart(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 40, state=State.COMPLETED))
    names = [f"hyperparameter_number_{i}" for i in range(61)]
    rng = np.random.default_rng(0)
    x = rng.random((40, 61))
    space = {name: {"type": "float", "low": 0, "high": 1, "scale": "linear"} for name in names}
    data = replace(data, x=x, params=dict(zip(names, x.T, strict=True)), config={**data.config, "space": space})
    with mpl.rc_context(STYLE):
        figure = parallel.paper(found(parallel, data))
        figure.draw_without_rendering()
        boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
        assert len(boxes) == 61 and all(a.x1 < b.x0 + 1 for a, b in itertools.pairwise(boxes))
        titles = hyperparameters.paper(found(hyperparameters, data))
        titles.draw_without_rendering()
        boxes = [ax.title.get_window_extent() for ax in titles.axes[:4]]
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
    assert parallel.charts(found(parallel, data))[0].layout["xaxis"]["dtick"] == 1


VALUES = {
    "infinite": [np.inf, -np.inf, 0.5],
    "huge": [1.7e308, -1.7e308, 9e299],
    "tiny": [1e-300, 2e-300, -3e-300],
    "denormal": [5e-324, 1e-320, 0.0],
    "mixed": [np.inf, 1e308, 1e-300],
    "all infinite": [np.inf],
    "equal": [1e300 * (1 - 1e-16)],
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_any_number_leaves_a_whole_report(
    tmp_path: Path, values: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    data = read(fake_study.written(tmp_path / "s", 40))
    strange = np.resize(values, 40)
    data = replace(
        data,
        objectives={"accuracy": np.where(np.isnan(data.objective), np.nan, strange)},
        constraints=np.where(np.isnan(data.constraints), np.nan, np.column_stack([strange, -strange])),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written, failed = pictures.write_figures(figures.compute(data), tmp_path / "f", ["png"])
        assert failed == {} and len(written) == 11
        path, failed = page.write_page(data, figures.compute(data), tmp_path / "f")
        assert failed == {} and set(figures_of(path.read_text(encoding="utf-8")))
        comparison.write_figure(compare.compare([data, data]), tmp_path / "c.png")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("values", [*VALUES.values(), [-1.7e308, 0.0, 1.7e308]], ids=[*VALUES, "far apart"])
def test_any_number_leaves_a_whole_status(tmp_path: Path, values: list[float]) -> None:
    data = read(fake_study.written(tmp_path / "s", 30, state=State.COMPLETED))
    text = terminal.as_text(_with_objective(data, np.resize(values, 30), constraints=np.full((30, 2), -1.0)))
    assert max(map(len, text.splitlines())) <= 80 and "best" in text


def test_pruned_trials_have_a_name_and_a_colour_of_their_own_and_no_score(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 60))
    state = data.state.copy()
    rows = np.flatnonzero(state == State.COMPLETED.value)[::2]
    state[rows] = State.PRUNED.value
    data = replace(data, state=state)
    counts = {kind: len(of_kind) for kind, of_kind in points.by_kind(data)}
    assert counts["pruned"] == len(rows) and np.isnan(points.scored(data)[rows]).all()
    chart = incumbent.charts(found(incumbent, data))[0]
    ticks_of = {trace["name"]: set(trace["y"]) for trace in chart.traces if trace.get("yaxis") == "y2"}
    assert ticks_of == {"stopped early": {0.0}, "pruned": {0.7}}  # two rows
    assert "Networks stopped early or pruned have no score" in chart.caption
    summary = summarise(data)
    assert summary.pruned == len(rows) and summary.ended == int(data.ended.sum())
    text = terminal.as_text(data)
    assert f"{len(rows)} pruned" in text and f"{len(rows)} pruned" in conclusion.of_search(summary, tmp_path)
    with mpl.rc_context(STYLE):
        figure = incumbent.paper(found(incumbent, data))
        assert {"stopped early", "pruned"} <= {text.get_text() for text in figure.legends[0].get_texts()}
    assert ">pruned<" in page.render_page(data)
    assert {"pruned", "stopped early"} <= set(trials.table(data)["cells"][1])


def test_what_cannot_be_drawn_is_counted(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 40, state=State.COMPLETED))
    objective = data.objective.copy()
    objective[[3, 5]] = np.inf, 1e305
    assert (
        "Not drawn: 2 whose objective"
        in incumbent.charts(found(incumbent, _with_objective(data, objective)))[0].caption
    )
    assert points.nothing_drawn(_with_objective(data, np.full(40, np.inf))).startswith("all objectives are infinite")


def _with_objective(data: StudyData, objective: np.ndarray, **others: Any) -> StudyData:
    return replace(data, objectives={"accuracy": objective}, **others)


def broken(*arguments: object) -> Figure:
    raise ValueError("a figure with <faults>")


def test_a_figure_that_fails_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study = fake_study.written(tmp_path / "s", 20)
    monkeypatch.setattr(workers, "paper", broken)
    monkeypatch.setattr(parallel, "compute", broken)
    monkeypatch.setattr(silence, "charts", broken)
    out = tmp_path / "elsewhere" / "deep"
    code = cli.main(["report", str(study), "--format", "html,png,csv", "--out", str(out)])
    said, errors = capfd.readouterr()
    assert code == 1
    drawn = {row.name for row in figures.SEARCH} - {"workers", "parallel", "metrics", "learning_curves"}
    assert {path.name for path in out.iterdir()} == {f"{name}.png" for name in drawn} | {"trials.csv", "report.html"}
    assert not (study / "report").exists()
    assert errors.count("could not be drawn: ValueError: a figure with <faults>") == 3 and "Traceback" not in errors
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "could not be drawn" in html and "a figure with &lt;faults&gt;" in html
    assert {"trials", "workers"} <= set(figures_of(html)) and "silence" not in figures_of(html)
    assert f"trials   {out}" in said


def test_a_page_that_fails_leaves_figures_and_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study = fake_study.written(tmp_path / "s", 20)
    monkeypatch.setattr(figures, "SEARCH", [figures.Row("workers", "workers", workers)])
    monkeypatch.setattr(page, "_provenance", broken)
    assert cli.main(["report", str(study), "--format", "html,png,csv"]) == 1
    said, errors = capfd.readouterr()
    names = {path.name for path in (study / "report").iterdir()}
    assert names == {"workers.png", "trials.csv"}
    assert "report.html could not be drawn" in errors and "report   not written" in said


def full_disk(*arguments: object, **options: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("formats", ["png", "csv", "html"])
def test_a_full_disk_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], formats: str
) -> None:
    study = fake_study.written(tmp_path / "s", 20)
    monkeypatch.setattr(Figure, "savefig", full_disk)
    monkeypatch.setattr("pandas.DataFrame.to_csv", full_disk)
    monkeypatch.setattr(Path, "write_text", full_disk)
    assert cli.main(["report", str(study), "--format", formats]) == 2
    said, errors = capfd.readouterr()
    folder = study / "report"
    assert errors == f"snnhpo: cannot write to {folder}: No space left on device; --out names another place\n"
    assert said.startswith("fake: 16 trials") and not list(folder.iterdir())


def test_a_file_in_the_way_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = fake_study.written(tmp_path / "s", 9)
    (tmp_path / "file").write_text("mine")
    for command in (
        ["report", "--format", "csv", "--out", "file"],
        ["report", "--out", "file/x"],
        ["compare", "--out", "file/x.png"],
    ):
        name, *options = command
        options[-1] = str(tmp_path / options[-1])
        assert cli.main([name, str(study), *options]) == 2
        reason = f"{tmp_path / 'file'} is there, and is no folder; --out names another place"
        assert capfd.readouterr().err.endswith(f"snnhpo: cannot write to {options[-1]}: {reason}\n")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "0.5,nan", "abc", "", "0.5,,0.6"])
def test_levels_of_a_comparison_are_finite_numbers(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["compare", str(tmp_path), f"--at={text}"])
    assert ended.value.code == 2
    assert f"finite numbers with commas between them are needed, found {text}" in capfd.readouterr().err


def test_best_of_a_retraining_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configuration = fake_study.config(retrain={"candidates": [{"number": 1, "objective": 0.5, "params": {}}]})
    study = fake_study.written(tmp_path / "s", 5, configuration=configuration, state=State.COMPLETED)
    assert cli.main(["best", str(study), "--json"]) == 2
    said, errors = capfd.readouterr()
    assert said == "" and "is a retraining, whose trainings are to be averaged" in errors


def test_ticks_of_stopped_trials_are_within_the_axis(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 60))
    stopped = data.constraints[data.state == State.STOPPED.value, 0]
    panel = constraints.paper(found(constraints, data)).axes[0]
    low, high = panel.get_xlim()
    assert len(stopped) and low <= stopped.min() and stopped.max() <= high
    numbers = points.scored(data)
    low, high = panel.get_ylim()
    assert low <= np.nanmin(numbers) and np.nanmax(numbers) <= high  # and do not stretch that of the scores
    assert high - low < 1.5 * np.ptp(numbers[~np.isnan(numbers)])
