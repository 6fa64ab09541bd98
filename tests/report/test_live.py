from __future__ import annotations

import io
import itertools
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fake_study
import pytest
from rich.console import Console

from snnhpo_mpi.record import read
from snnhpo_mpi.report import live
from snnhpo_mpi.report.summary import summarise


def drawn(folder: Path, height: int, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(live.render(read(folder), height))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_each_running_worker_has_a_row_with_its_news(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 20, live=True)
    data = read(folder)
    text = live.as_text(data)
    assert len(data.progress) == 4
    for rank, news in data.progress.items():
        (row,) = (line.split() for line in text.splitlines() if line.split()[:2] == [str(rank), str(news.number)])
        assert f"{news.accuracy:.3f}" in row
        assert {"4.0", "%", "21"} <= set(row)  # the largest silent rate, and the spikes
        assert str(news.epoch) in row


def test_many_workers_fit_a_small_terminal(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 90, n_workers=40, live=True)
    lines = drawn(folder, 24)
    assert len(lines) <= 23
    assert lines[-1].startswith("and ") and lines[-1].endswith("more workers")


def logged(folder: Path, **ranks: str) -> None:
    (folder / "logs").mkdir()
    for i, (name, text) in enumerate(ranks.items()):
        path = folder / "logs" / f"{name}.log"
        path.write_text(text)
        os.utime(path, (1000 + i, 1000 + i))


def test_the_last_lines_of_the_logs_are_shown_below_the_workers(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 20, live=True)
    logged(folder, rank_002="old\nolder\n", rank_000="12:00:00 INFO one\ntwo \x1b[31mred\a\n\n", rank_001="")
    assert live.last_log_lines(folder) == ["  2| old", "  2| older", "  0| 12:00:00 one", "  0| two red\\x07"]
    lines = drawn(folder, 24)
    assert lines[-1].rstrip() == "  0| two red\\x07" and len(lines) <= 23
    assert "| 12:00:00 one" in live.as_text(read(folder))


def test_many_workers_leave_two_lines_for_the_log(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 90, n_workers=40, live=True)
    logged(folder, rank_000="one\ntwo\nthree\n")
    lines = [line.rstrip() for line in drawn(folder, 24)]
    assert len(lines) <= 23
    assert lines[-2:] == ["  0| two", "  0| three"]
    assert any(line.startswith("and ") for line in lines)


def test_a_worker_without_a_trial_is_idle(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 20, live=True)
    fake_study.LIVE[-1].worker(9, "node09.cluster.example", "GPU 7")
    fake_study.LIVE[-1].maintain()
    (row,) = (line for line in live.as_text(read(folder)).splitlines() if "GPU 7" in line)
    assert row.split()[:2] == ["9", "idle"] and row.endswith("GPU 7 on node09")


def test_after_a_resume_only_the_workers_of_this_run_are_shown(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 20, live=True)
    data = read(folder)
    before = data.sessions[-1]
    resumed = replace(data, sessions=(before, replace(before, began=replace(before.began, at=time.time()))))
    assert "GPU" in live.as_text(data) and "GPU" not in live.as_text(resumed)
    newcomer = replace(next(iter(data.workers.values())), rank=7, device="GPU 9", at=time.time() + 1)
    text = live.as_text(replace(resumed, workers=data.workers | {7: newcomer}))
    assert text.count("GPU") == 1 and "GPU 9" in text


def test_lines_of_the_log_on_how_the_search_stands_are_left_to_the_view(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 20, live=True)
    logged(folder, rank_000="12:00:00 INFO one\n12:00:01 INFO trials 4/10  feasible 1\n", rank_001="trials 7\n")
    assert live.last_log_lines(folder) == ["  0| 12:00:00 one", "  1| trials 7"]


def test_a_progress_line_with_its_state_fits_a_terminal(tmp_path: Path) -> None:
    summary = summarise(read(fake_study.written(tmp_path / "s", 30)))
    wide = replace(
        summary, budget_trials=10**6, completed=10**6, feasible=10**5, stopped=10**5, state="no workers left"
    )
    line = live.progress_line(wide)
    assert len(line) <= 80 and line.endswith("  no workers left")


def test_a_tall_terminal_shows_all(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 90, n_workers=40, live=True)
    assert sum(" on node" in line for line in drawn(folder, 80)) == 40


def test_news_of_an_earlier_trial_are_not_shown_for_the_next(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 20, live=True)
    data = read(folder)
    rank = next(iter(data.progress))
    data.progress[rank] = type(data.progress[rank])(10**6, 9, 1, 2, 0.12345)  # type: ignore[index]
    assert "0.1235" not in live.as_text(data) and "0.1234" not in live.as_text(data)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((), ""),
        ((math.nan, math.nan), ""),
        ((0.5,), "█ 0.5"),
        ((math.nan, 0.0, 0.5, 1.0), "0 ▁▅█ 1"),
    ],
)
def test_sparkline(values: tuple[float, ...], line: str) -> None:
    assert live.sparkline(values, 10).replace("▁ 0.5", "█ 0.5") == line


def test_a_long_sparkline_keeps_its_width_and_its_last_value() -> None:
    line = live.sparkline([i / 999 for i in range(1000)], 40)
    assert len(line.split()[1]) == 40 and line.endswith("█ 1")


def test_a_progress_line_is_plain_text_in_one_line(tmp_path: Path) -> None:
    line = live.progress_line(summarise(read(fake_study.written(tmp_path / "s", 30))))
    assert "\n" not in line and line.isascii()
    assert line.startswith("trials 26/60  feasible ")
    assert line.endswith("complete")


def test_watching_an_ended_study_shows_it_and_returns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert live.watch(fake_study.written(tmp_path / "s", 8)) == 0
    assert capsys.readouterr().out.count("trials ") == 1


def test_a_terminal_without_cursor_gets_a_line_when_something_but_the_time_left_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = read(fake_study.written(tmp_path / "a", 20, live=True))
    ended = read(fake_study.written(tmp_path / "b", 20))
    looks = iter([running, running, running, ended])
    seconds = itertools.count(100)
    summaries = lambda data: replace(summarise(data), seconds_left=float(next(seconds)))  # noqa: E731
    monkeypatch.setattr(live, "read", lambda study: next(looks))
    monkeypatch.setattr(live, "summarise", summaries)
    monkeypatch.setattr(live, "LINE_EVERY_S", 0.0)
    monkeypatch.setenv("TERM", "dumb")
    assert live.watch(tmp_path) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.endswith("left 1 min 40 s") and last.endswith("complete")


@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["status", "watch"])
def test_a_terminal_without_unicode_gets_a_view_of_its_own_characters(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "snnhpo_mpi", "status", str(fake_study.written(tmp_path / "s", 30)), *options]
    environment = os.environ | {"PYTHONIOENCODING": "latin-1", "TERM": "xterm", "FORCE_COLOR": "1"}
    said = subprocess.run(command, env=environment, capture_output=True, check=True).stdout.decode("ascii")
    assert "?" not in said.replace("\x1b[?", "")
    assert re.search(r"[_.:=+*-]#+ 0\.\d+", said) and "----" in said
