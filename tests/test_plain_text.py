import logging
import sys
from pathlib import Path

import pytest
from fake_study import outcome, trial, written

from snnhpo_mpi.analysis.summary import failures
from snnhpo_mpi.cli import main
from snnhpo_mpi.plain_text import LogFile, PlainFormatter, plain
from snnhpo_mpi.record import read
from snnhpo_mpi.report import terminal
from snnhpo_mpi.study.progress import Announcer, Tally
from snnhpo_mpi.trial import Ended, Outcome, State

EVIL = "RuntimeError: \x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \x9b1A\x07 end"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, even with ü, \u00a0 and 😀\n\ttabs", "plain, even with ü, \u00a0 and 😀\n\ttabs"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07a \x1b]8;;http://x\x1b\\link", "a link"),
        ("10 %\r20 %\r\nnext", "10 %\n20 %\nnext"),
        ("\x9b31m\x07\x08", "\\x9b31m\\x07\\x08"),
        ("\x1bc reset, \x1b[ cut off\x1b", "\\x1bc reset, ut off\\x1b"),
        ("\u202edlrow", "\\u202edlrow"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_what_a_terminal_would_act_on_is_taken_out_or_shown(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_log_lines_and_their_tracebacks_are_plain() -> None:
    try:
        raise RuntimeError(EVIL)
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "said: %s", (EVIL,), sys.exc_info())
    line = PlainFormatter("%(message)s").format(record)
    assert "said: RuntimeError: red" in line and "Traceback" in line and is_plain(line)


def is_plain(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study whose failures, hosts and logs send terminal sequences."""
    real = outcome
    monkeypatch.setattr(
        "fake_study.outcome",
        lambda of, **options: Outcome(of.number, State.FAILED, error=EVIL) if of.number % 3 else real(of, **options),
    )
    folder = written(tmp_path, live=True)
    (folder / "logs").mkdir()
    (folder / "logs" / "rank_001.log").write_text(f"{EVIL}\n50 %\r{EVIL}\n")
    return folder


@pytest.mark.parametrize("command", [["status"], ["report", "--format", "html,png,csv"], ["best"], ["compare"]])
def test_no_command_sends_an_evaluations_control_codes_to_the_terminal(
    evil: Path, command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, str(evil)]) == 0
    said = capsys.readouterr()
    assert said.out and is_plain(said.out) and is_plain(said.err)
    for file in evil.glob("report/*.*"):
        if file.suffix in (".html", ".csv"):
            assert "\x1b" not in file.read_text().replace("\\x1b", "")


def test_reasons_and_the_live_view_are_plain(evil: Path) -> None:
    data = read(evil)
    assert failures(data)[0][0] == "RuntimeError: red \\x9b1A\\x07 end"
    assert any("RuntimeError: red" in line for line in terminal.last_log_lines(evil))
    assert all(is_plain(line) for line in terminal.last_log_lines(evil))


def test_an_error_that_ends_a_command_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path / "\x1b[31mno\x07")]) == 3
    assert is_plain(capsys.readouterr().err)


def test_the_first_failures_of_a_search_are_said_plainly() -> None:
    said: list[str] = []
    announcer = Announcer(Tally(5), said.append, lambda: None)
    announcer.note(Ended(Outcome(trial(0).number, State.FAILED, error=f"{EVIL}\n\nTraceback"), 1, 5.0, 1.0))
    assert said == ["trial 0 failed on rank 1: RuntimeError: red \\x9b1A\\x07 end"]


def test_a_log_that_cannot_be_written_is_told_once_and_goes_on_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rank_000.log"
    path.symlink_to("/dev/full")
    logger = logging.Logger("apart")
    handler = LogFile(path)
    logger.addHandler(handler)
    for i in range(5):
        logger.warning("line %d", i)
    path.unlink()
    logger.warning("there is room")
    path.unlink()
    handler.close()
    path.mkdir()
    logger.warning("a folder in its place")
    handler.close()
    assert capsys.readouterr().err == ""
    assert [record.getMessage() for record in caplog.records] == [
        f"no log in {path}: No space left on device; the run goes on without"
    ]
