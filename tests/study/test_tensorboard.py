import importlib.util
import os
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.study.progress import Tally
from snnhpo_mpi.study.tensorboard import MOST_WAITING, Scalars, Step, require_package
from snnhpo_mpi.trial import Asked, Ended, Outcome, State, Trial

Program = Callable[..., subprocess.CompletedProcess[str]]


def events_of(folder: Path) -> list[tuple[str, int, float, float]]:
    """Tag, step, time and value of each scalar, as TensorBoard reads them: TFRecords of Event messages."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 12 + length + 4
            found += [(value.tag, event.step, event.wall_time, value.simple_value) for value in event.summary.value]
    return found


def test_every_ended_trial_is_a_step_with_its_values_and_the_state_of_the_search(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    tally = Tally(10)
    scalars = Scalars(tmp_path / "tb", tally, ("silent_output",))
    happened = [
        Asked(Trial(0, {}, 1), 1.0),
        Ended(Outcome(0, State.COMPLETED, {"accuracy": 0.75}, (-0.125,), {"train_accuracy": 0.5}), 1, 20.0, 16.0),
        Ended(Outcome(1, State.STOPPED, {"accuracy": 0.25}, (0.5,)), 2, 21.0, 2.0),
        Ended(Outcome(2, State.FAILED, error="out of memory"), 1, 22.0, 1.0),
    ]
    for event in happened:
        tally.update(event)
        scalars.note(event)
    scalars.close()
    told = {(tag, step): (at, value) for tag, step, at, value in events_of(tmp_path / "tb")}
    assert told["trial/objective", 1] == (20.0, 0.75)
    assert told["constraint/silent_output", 2] == (21.0, 0.5)
    assert told["metric/train_accuracy", 1][1] == 0.5
    assert [told["search/best", step][1] for step in (1, 2, 3)] == [0.75] * 3
    assert [told["search/silent_share", step][1] for step in (1, 2, 3)] == [0.0, 0.5, 0.5]
    assert told["search/failed", 3] == (22.0, 1.0)
    assert ("trial/objective", 3) not in told


class Stuck:
    """A disk that answers no more, until it is let go."""

    def __init__(self, folder: Path) -> None:
        self.go_on = threading.Event()
        STUCK.append(self)

    def write(self, step: Step) -> None:
        self.go_on.wait()

    flush = close = lambda self: None


STUCK: list[Stuck] = []


class Full:
    """A disk that is full after some steps, at a flush, or at the end."""

    def __init__(self, folder: Path, fails: str) -> None:
        self.fails, self.n_closed = fails, 0

    def _do(self, what: str) -> None:
        if what == self.fails:
            raise OSError(28, "No space left on device")

    def write(self, step: Step) -> None:
        self._do("write")

    def flush(self) -> None:
        self._do("flush")

    def close(self) -> None:
        self._do("close")


def ended(number: int) -> Ended:
    return Ended(Outcome(number, State.COMPLETED, {"accuracy": 0.5}), 1, 20.0, 16.0)


def test_a_disk_that_does_not_answer_neither_blocks_the_search_nor_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("snnhpo_mpi.study.tensorboard.CLOSING_S", 0.1)
    scalars = Scalars(tmp_path, Tally(None), (), Stuck)
    began = time.monotonic()
    for number in range(3 * MOST_WAITING):
        scalars.note(ended(number))
    scalars.close()
    assert time.monotonic() - began < 5.0
    assert [record.message for record in caplog.records] == [
        "no more TensorBoard scalars are written (1000 trials wait to be written); the search goes on without them"
    ]
    STUCK.pop().go_on.set()


@pytest.mark.parametrize("fails", ["write", "flush", "close"])
def test_a_full_disk_turns_them_off_with_one_warning(
    fails: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scalars = Scalars(tmp_path, Tally(None), (), lambda folder: Full(folder, fails))
    for number in range(50):
        scalars.note(ended(number))
        time.sleep(0.001)
    scalars.close()
    (record,) = caplog.records
    assert "No space left on device" in record.message


def test_a_folder_that_cannot_be_made_turns_them_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("tensorboardX")
    (tmp_path / "file").write_text("")
    scalars = Scalars(tmp_path / "file" / "tb", Tally(None), ())
    scalars.note(ended(0))
    scalars.close()
    (record,) = caplog.records
    assert "NotADirectoryError" in record.message


def test_a_search_whose_event_file_cannot_grow_is_complete(snnhpo: Program, toy: Path) -> None:
    pytest.importorskip("tensorboardX")
    (toy / "sitecustomize.py").write_text(
        "import tensorboardX.record_writer as r\n"
        "class Full(r.RecordWriter):\n"
        "    def write(self, data): raise OSError(28, 'No space left on device')\n"
        "import tensorboardX.event_file_writer as e\n"
        "e.RecordWriter = Full\n"
    )
    path = f"{toy}:{os.environ.get('PYTHONPATH', '')}"
    done = snnhpo("run", "toy.yaml", "--tensorboard", "--trials", "40", TOY_SECONDS="0", PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("TensorBoard") == 1
    assert "complete: 40 trials" in done.stdout


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'snnhpo_mpi\[tensorboard\]'"):
        require_package()
