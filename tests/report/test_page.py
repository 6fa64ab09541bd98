from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fake_study
import numpy as np
import plotly.graph_objects
import pytest

from snnhpo_mpi.analysis import curves, timeline
from snnhpo_mpi.analysis.summary import best_trials, status_dict, summarise
from snnhpo_mpi.record import StudyData, Worker, read
from snnhpo_mpi.report import conclusion, export, figures, looks, page, pictures, terminal, text, traces
from snnhpo_mpi.report.figures import confusion, incumbent, workers
from snnhpo_mpi.trial import Asked, Ended, Outcome, Started, State, Trial

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
KINDS: dict[str, dict[str, Any]] = {
    "nothing": {"n": 0},
    "one": {"n": 5, "n_workers": 4},
    "all failed": {"n": 12, "state": State.FAILED},
    "all silent": {"n": 12, "state": State.STOPPED},
    "all completed": {"n": 12, "state": State.COMPLETED},
    "killed": {"n": 12, "close": None},
    "running": {"n": 20, "live": True},
    "many": {"n": 40},
}


@pytest.fixture(params=KINDS, scope="session")
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    options = dict(KINDS[request.param])
    return read(fake_study.written(tmp_path_factory.mktemp("kind") / "s", options.pop("n"), **options))


def figures_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', html, re.S)
    assert found is not None
    figures: dict[str, Any] = json.loads(found.group(1))
    return figures


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_of_any_study_is_whole_and_asks_nothing_of_a_network(data: StudyData, tmp_path: Path) -> None:
    path, failed = page.write_page(data, figures.compute(data), tmp_path / "report")
    assert failed == {}
    html = path.read_text(encoding="utf-8")
    elements = Elements(html).found
    assert [attrs for tag, attrs in elements if attrs.get("src") or tag == "link"] == []
    plots_in_page = {attrs["id"] for _, attrs in elements if attrs.get("class") == "plot"}
    assert plots_in_page == set(figures_of(html))
    assert len(html) < 15e6
    assert html.rstrip().endswith("</html>")


def test_every_trace_has_as_many_x_as_y(data: StudyData) -> None:
    for figure in figures_of(page.render_page(data)).values():
        assert figure["traces"]
        for trace in figure["traces"]:
            assert len(trace["x"]) == len(trace["y"]) > 0 or trace["type"] == "heatmap"


@pytest.mark.parametrize("row", figures.SEARCH, ids=lambda row: row.name)
def test_every_figure_draws_any_study_or_says_why_not(data: StudyData, row: figures.Row) -> None:
    found = row.drawing.compute(data)
    if found is None or isinstance(found, str):
        assert (found is None) == (row.name in ("metrics", "learning_curves"))
        return
    assert row.drawing.paper(found).axes
    for chart in row.drawing.charts(found):
        assert chart.traces
        plotly.graph_objects.Figure(chart.traces, chart.layout)  # refuses what plotly.js does not know


def test_names_of_figures_are_those_of_their_files_and_charts_have_each_their_own_key(data: StudyData) -> None:
    folder = Path(figures.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {row.name for row in (*figures.SEARCH, *figures.RETRAINING)} == files
    assert {row.section for row in (*figures.SEARCH, *figures.RETRAINING)} == {*page.SECTIONS, "failures"}
    keys = [chart.key for one in figures.compute(data) if one.found is not None
            for chart in one.drawing.charts(one.found)]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_the_terminal_view_fits_80_columns(data: StudyData) -> None:
    lines = terminal.as_text(data).splitlines()
    assert len(lines) >= 4
    assert max(map(len, lines)) <= 80


def test_figures_are_written_in_the_formats_asked_for(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 20))
    computed = [one for one in figures.compute(data) if one.name in ("workers", "hyperparameters", "feasible")]
    assert pictures.write_figures(computed, tmp_path / "none", []) == ([], {})
    assert not (tmp_path / "none").exists()
    written, _ = pictures.write_figures(computed, tmp_path / "figures", ["png"])
    assert [path.name for path in written] == ["workers.png", "feasible.png", "hyperparameters.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    (document,), failed = pictures.write_figures(computed[:1], tmp_path / "figures", ["pdf"])
    assert failed == {}
    assert document.read_bytes().startswith(b"%PDF")


def test_what_a_config_or_an_error_says_is_escaped(tmp_path: Path) -> None:
    space = dict(fake_study.CONFIG["space"])
    space["decoder"] = space["decoder"] | {"choices": ("all", EVIL, "2gram", 3)}
    configuration = fake_study.config(space=space, baseline={"name": EVIL, "params": {}}, note=EVIL)
    with_errors = fake_study.written(tmp_path / "s", 16, configuration=configuration, state=State.FAILED)
    data = read(fake_study.written(tmp_path / "t", 40, configuration=configuration, state=State.COMPLETED))
    for html in (page.render_page(read(with_errors)), page.render_page(data)):
        assert EVIL not in html and "<img" not in html
        assert "alert(1)" in html  # it is shown, as text
        scripts = [attrs for tag, attrs in Elements(html).found if tag == "script"]
        assert len(scripts) == 4
    assert "ValueError: &lt;b&gt;NaN&lt;/b&gt;" in page.render_page(read(with_errors))
    names = [trace.get("name", "") for trace in figures_of(page.render_page(data))["trials"]["traces"]]
    assert any("&lt;script" in name for name in names)  # plotly.js reads simple HTML


def test_the_headline_numbers_are_those_of_the_summary(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 40))
    summary = summarise(data)
    html = page.render_page(data)
    assert summary.best is not None
    assert f"<b>{summary.best.objective:.4f}</b>" in html
    assert f"<b>{summary.ended}</b>trials ended" in html
    assert f"Hyperparameters of trial {summary.best.number}" in html


def test_the_line_of_the_best_ends_at_the_best(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 40))
    best = summarise(data).best
    assert best is not None
    found = incumbent.charts(incumbent.compute(data))
    assert [chart.key for chart in found] == ["trials", "time", "effort"]
    for chart in found:
        (line,) = (trace for trace in chart.traces if trace["name"] == "best feasible so far")
        assert line["y"][-1] == pytest.approx(best.objective, rel=1e-4)
        assert line["y"] == sorted(line["y"])


def test_large_studies_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_POINTS", 5)
    data = read(fake_study.written(tmp_path / "s", 40))
    chart = incumbent.charts(incumbent.compute(data))[0]
    assert "at most 5 trials" in chart.caption
    drawn = traces.objectives(data, data.number.astype(float), limit=5)
    assert drawn and all(len(trace["x"]) <= 5 for trace in drawn)


def test_the_timeline_of_a_long_study_is_that_of_its_latest_trials_without_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_MOST_BARS", 8)
    data = read(fake_study.written(tmp_path / "s", 40))
    (chart,) = workers.charts(workers.compute(data))
    n_ended = int(data.ended.sum())
    assert f"Only the latest 8 of {n_ended} trials are drawn" in chart.caption
    drawn = {number for trace in chart.traces for number in trace["customdata"]}
    assert drawn == set(data.number[data.ended][np.argsort(data.started_at[data.ended])[-8:]].tolist())


def test_many_points_are_drawn_small_and_few_large() -> None:
    assert looks.crowding(looks.CROWD) == (0.75, 1.0)
    assert max(looks.crowding(looks.CROWD + 1)) < 0.75


def test_the_page_of_a_retraining_shows_its_own_numbers_and_no_best(tmp_path: Path) -> None:
    search = fake_study.written(tmp_path / "s", 40)
    retrained(search, n_candidates=2)
    data = read(search / "retrain")
    html = page.render_page(data)
    first, second = best_trials(read(search), 2)
    assert "Final trainings of the best" in html and "mean test accuracy" in html and "held-out" not in html
    assert "<b>0.6250</b>" in html and "± 0.1768 (standard deviation), 2 seeds" in html  # of 0.5 and 0.75
    assert "best test accuracy" not in html and "best feasible so far" not in html and ">max<" not in html
    figures = figures_of(html)
    assert set(figures) == {"candidates", "confusion", "confusion1", "workers"}
    assert figures["candidates"]["traces"][0]["y"] == [
        f"trial {n}" for n in (first.number, second.number) for _ in "12"
    ]
    for one in (first, second):  # each has its own hyperparameters and its own confusion matrix
        assert f'<th class="number">trial {one.number}</th>' in html
        assert f"Trial {one.number}, 2 seeds together, test data" in html
        assert f'<td class="number">{text.figure(one.params["norm"])}</td>' in html
    assert figures["confusion"]["traces"][0]["z"] != figures["confusion1"]["traces"][0]["z"]


def retrained(search: Path, n_candidates: int = 1) -> None:
    """A retraining in the folder of a search, as the program records it: two seeds of each candidate."""
    best = best_trials(read(search), n_candidates)
    candidates = [{"number": one.number, "objective": one.objective, "params": dict(one.params)} for one in best]
    configuration = fake_study.config(retrain={"candidates": candidates, "networks": None}, stopping=[])
    record = fake_study.create(search / "retrain", configuration)
    table = np.array([[9.0, 1.0, 0.0], [3.0, 5.0, 2.0]])
    for number in range(2 * n_candidates):
        candidate, seed = number % n_candidates, number // n_candidates
        again = Trial(number, best[candidate].params, number)
        confusion = {"confusion": (table + 10 * candidate).tolist()}
        outcome = Outcome(number, State.COMPLETED, {"accuracy": 0.5 + 0.25 * seed}, (-0.1, -0.1), {}, confusion)
        record.append(Asked(again, 1.0), Started(number, 1, 2.0), Ended(outcome, 1, 3.0, 1.0))
    record.close("complete")


def test_a_retraining_is_in_the_report_of_its_search_apart_from_held_out_data(tmp_path: Path) -> None:
    search = fake_study.written(tmp_path / "s", 40)
    before = page.render_page(read(search))
    assert "trained again" not in before and "too good by chance: snnhpo retrain measures it" in before
    retrained(search)
    data = read(search)
    html = page.render_page(data)
    number = best_trials(data, 1)[0].number
    assert f"Retrained: trial {number}, test accuracy 0.6250 ± 0.1768 (mean and standard deviation of 2 seeds" in html
    assert "too good by chance" not in html
    assert set(figures_of(html)) == set(figures_of(before))  # none shows test data
    assert "no feasible network whose" in str(confusion.compute(data))
    assert f"retrain  trial {number}, test accuracy 0.6250 ± 0.1768" in conclusion.conclusion(data)


def test_the_conclusion_of_a_retraining_has_means_and_no_maximum(tmp_path: Path) -> None:
    search = fake_study.written(tmp_path / "s", 40)
    retrained(search)
    data = read(search / "retrain")
    said = conclusion.conclusion(data)
    assert "0.6250" in said and "0.1768" in said and "max" not in said and "0.7500" not in said
    assert "digits that the search never" in said
    assert said.splitlines()[-3:-1] == ["   0   90   10    .", "   1   30   50   20"]
    (heat,) = confusion.charts(confusion.compute(data))[0].traces
    assert heat["z"] == [[0.9, 0.1, 0.0], [0.3, 0.5, 0.2]]
    assert heat["x"] == ["0", "1", "none"] and heat["y"] == ["0", "1"]
    assert confusion.paper(confusion.compute(data)).axes[0].get_title().endswith("2 seeds together, test data [%]")
    status = terminal.as_text(data)
    assert "0.6250 ± 0.1768 (2 seeds)" in status and "best" not in status and "0.7500" not in status
    assert status_dict(summarise(data))["best"] is None
    assert [path.name for path in pictures.write_figures(figures.compute(data), tmp_path / "f", ["png"])[0]] == [
        "candidates.png", "confusion.png", "workers.png", "failures.png",
    ]  # fmt: skip
    frame = export.trials_frame(data)
    assert set(frame.candidate) == {best_trials(read(search), 1)[0].number}


def test_the_best_tenth_are_the_best_feasible_ones_at_least_five(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 60))
    rows = curves.best_tenth(data)
    expected = np.sort(data.objective[data.feasible])[::-1][:5]
    assert data.objective[rows].tolist() == expected.tolist()


def test_time_of_workers_is_gpu_time_where_all_have_gpus(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 10))
    assert timeline.worker_time(data) == "GPU time"
    assert timeline.worker_time(replace(data, workers={1: Worker(1, "node", "cpu x 4")})) == "time of all workers"
