"""What the reading commands say of files that are damaged, missing, copied, or no study at all."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path

import fake_study
import pandas as pd
import pytest

from snnhpo_mpi import cli
from snnhpo_mpi.analysis.summary import best_trials
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import read
from snnhpo_mpi.study.retrain import Wish, configure


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fake_study.written(tmp_path / "s", 20)


def without_its_best(folder: Path) -> int:
    """A bit is flipped in the line that ends the best trial, and no snapshot makes up for it; its number."""
    best = best_trials(read(folder), 1)[0].number
    (folder / "study.h5").unlink()
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"kind":"ended","number":%d,' % best in line)
    lines[at] = lines[at].replace(b'"completed"', b'"complet%d"' % 34)
    path.write_bytes(b"".join(lines))
    return best


@pytest.mark.parametrize("command", ["best --json", "status --json", "compare --json --out c.png"])
def test_json_has_what_could_not_be_read(
    folder: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    name, *options = command.split()
    assert cli.main([name, str(folder), *options]) == 0
    assert "notices" not in json.loads(capsys.readouterr().out)
    without_its_best(folder)
    assert cli.main([name, str(folder), *options]) == 0
    (notice,) = json.loads(capsys.readouterr().out)["notices"]
    assert "journal.jsonl is damaged (line" in notice


@pytest.mark.parametrize("command", ["best", "best --yaml", "status", "export", "report --format csv", "compare"])
def test_every_command_tells_on_stderr_what_could_not_be_read(
    folder: Path, command: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    without_its_best(folder)
    name, *options = command.split()
    caplog.clear()
    assert cli.main([name, str(folder), *options]) == 0
    told = [record.getMessage() for record in caplog.records]
    assert sum("journal.jsonl is damaged (line" in text for text in told) == 1
    assert any("a better trial" in text for text in told) == (name == "best")


def test_read_tells_it_where_no_logging_is_set_up(folder: Path) -> None:
    without_its_best(folder)
    script = f"from snnhpo_mpi import record; print(len(record.read({str(folder)!r}).losses))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n" and "is damaged (line" in done.stderr


def test_another_than_the_best_is_retrained_only_if_the_user_accepts_it(tmp_path: Path) -> None:
    kept = Path(__file__).parent / "schema_1"
    for name in ("journal.jsonl", "study.h5"):
        (tmp_path / "old").mkdir(exist_ok=True)
        shutil.copy(kept / name, tmp_path / "old")
    best = without_its_best(tmp_path / "old")
    with pytest.raises(RecordError, match=r"a better trial may be among what is lost.*--accept-damage"):
        configure(Wish(tmp_path / "old"))
    retraining = configure(Wish(tmp_path / "old", accept_damage=True)).retraining
    assert retraining is not None and retraining.candidates[0].number != best


def test_a_live_study_is_not_to_be_edited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_its_best(folder)
    assert "sed -i" in read(folder).notices[0] and "--accept-damage" in read(folder).notices[0]
    monkeypatch.setattr("snnhpo_mpi.record.data.is_live", lambda _: True)
    assert "sed" not in read(folder).notices[0]


def test_the_file_that_is_named_is_read(folder: Path, tmp_path: Path) -> None:
    other = fake_study.written(tmp_path / "other", 7)
    for name in ("study.h5", "journal.jsonl"):
        copy = Path(shutil.copy(other / name, folder / f"backup{Path(name).suffix}"))
        data = read(copy)
        assert (data.n_trials, data.notices, data.live) == (7, (), False)
        assert list(data.events()) == list(read(other).events())
        assert data.curves(0).keys() == read(other).curves(0).keys() and data.errors() == read(other).errors()
    shutil.copy(other / "study.h5", folder / "without_suffix")
    assert read(folder / "without_suffix").n_trials == 7
    assert read(folder / "study.h5").n_trials == read(folder / "journal.jsonl").n_trials == read(folder).n_trials == 20


def test_a_file_that_is_not_there_is_not_made_up_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "study.h5").unlink()
    for name in ("backup.h5", "study.h5"):
        assert cli.main(["best", str(folder / name)]) == 3
        assert f"there is no study in {folder / name}" in capsys.readouterr().err


def test_a_study_may_be_called_like_a_file(tmp_path: Path) -> None:
    for name in ("run.h5", "run.jsonl", "study.h5"):
        assert read(fake_study.written(tmp_path / "results" / name, 3)).n_trials == 3


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"study: {name: x}\n", "x.yaml", "is no study: name its results folder"),
        (b"", "empty", "is no study"),
        (b"garbage", "study.h5", "study.h5 is damaged, or no study record"),
        (b"garbage", "copy.h5", "copy.h5 is damaged, or no study record"),
        (b"garbage\n", "copy.jsonl", "copy.jsonl, which names the study, is lost"),
    ],
)
def test_a_file_of_something_else_is_refused_by_its_name(
    tmp_path: Path, content: bytes, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert cli.main(["status", str(tmp_path / name)]) == 3
    told = capsys.readouterr().err
    assert said in told and "taken from the journal" not in told and told.count("\n") == 1


def test_paths_that_the_system_refuses_are_errors_with_a_reason(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for arguments, code, said in [
        (["best", "x" * 5000], 3, "File name too long"),
        (["best", "~nouser/x"], 3, "there is no study in ~nouser/x"),
        (["best", str(tmp_path / "file" / "x")], 3, "there is no study in"),
        (
            ["export", str(folder), "--out", str(tmp_path / "file")],
            2,
            f"{tmp_path / 'file'}: is there, and is no folder",
        ),
        (
            ["export", str(folder), "--out", str(tmp_path / "file" / "x")],
            2,
            f"{tmp_path / 'file'}: is there, and is no folder",
        ),
        (["export", str(folder), "--out", "y" * 5000], 2, "File name too long"),
        (["compare", str(folder), "--out", str(tmp_path / "file" / "c.png")], 2, f"{tmp_path / 'file'} is there, and"),
    ]:
        assert cli.main(arguments) == code
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(("stdout", "stderr", "code"), [("/dev/full", None, 2), (None, "/dev/full", 0)])
def test_output_that_goes_nowhere_is_no_traceback(
    folder: Path, stdout: str | None, stderr: str | None, code: int
) -> None:
    with contextlib.ExitStack() as files:
        streams = [files.enter_context(Path(name).open("w")) if name else subprocess.PIPE for name in (stdout, stderr)]
        arguments = [sys.executable, "-m", "snnhpo_mpi", "best", str(folder)]
        done = subprocess.run(arguments, stdout=streams[0], stderr=streams[1], text=True, check=False)
    assert done.returncode == code
    assert done.stderr in (None, "snnhpo: standard output: No space left on device\n")


def test_a_full_disk_is_told_with_the_file_that_was_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "export").mkdir()
    (folder / "export" / "trials.csv").write_text("of yesterday")

    def full(_: pd.DataFrame, path: Path, **options: object) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    assert cli.main(["export", str(folder)]) == 2
    assert capsys.readouterr().err == f"snnhpo: {folder}/export/trials.csv: No space left on device\n"
    assert [file.read_text() for file in (folder / "export").iterdir()] == ["of yesterday"]
