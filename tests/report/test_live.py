from __future__ import annotations

import io
import math
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
        assert f"{news.accuracy:.4g}" in row
        assert str(news.epoch) in row


def test_many_workers_fit_a_small_terminal(tmp_path: Path) -> None:
    folder = fake_study.written(tmp_path / "s", 90, n_workers=40, live=True)
    lines = drawn(folder, 24)
    assert len(lines) <= 23
    assert lines[-1].startswith("and ") and lines[-1].endswith("more workers")


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
