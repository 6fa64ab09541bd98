from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import fake_study
import numpy as np
import psutil
import pytest

from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import read
from snnhpo_mpi.record import snapshot as snapshot_module
from snnhpo_mpi.record.writer import MAX_METRICS
from snnhpo_mpi.trial import Asked, Ended, Outcome, Progress, Started, State


def test_what_was_appended_is_read_by_another_at_once(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    events = list(fake_study.events(10))
    record.append(*events)
    data = read(tmp_path / "s")
    assert data.live
    assert list(data.events()) == events
    assert data.unfinished() == [fake_study.trial(int(n)) for n in data.number[~data.ended]]
    record.close("complete")


def test_memory_snapshot_and_journal_tell_the_same(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    record.append(*fake_study.events(25))
    views = [record.read(), read(tmp_path / "s")]
    record.close("complete")
    views.append(read(tmp_path / "s" / "study.h5"))
    for name in ("study.h5", "journal.jsonl"):
        alone = tmp_path / name.partition(".")[0]
        alone.mkdir()
        shutil.copy(tmp_path / "s" / name, alone)
        views.append(read(alone))
    for view in views[1:]:
        assert view.frame().equals(views[0].frame())
        np.testing.assert_array_equal(view.x, views[0].x)
        for number in (0, 3, 20):
            assert view.curves(number).keys() == views[0].curves(number).keys()
            for name, curve in view.curves(number).items():
                np.testing.assert_array_equal(curve, views[0].curves(number)[name])
        assert view.errors() == views[0].errors()
        for name, figures in view.optimizer.items():
            np.testing.assert_array_equal(figures, views[0].optimizer[name])


def test_arrays_hold_what_the_trials_gave(tmp_path: Path) -> None:
    data = read(fake_study.written(tmp_path / "s", 20))
    for row, number in enumerate(data.number):
        asked = fake_study.trial(int(number))
        assert data.trial(row) == asked
        np.testing.assert_array_equal(data.x[row], fake_study.SPACE.encode(asked.params))
        if not data.ended[row]:
            continue
        outcome = fake_study.outcome(asked)
        assert data.state[row] == outcome.state
        assert data.feasible[row] == outcome.feasible
        if outcome.objective is not None:
            assert data.objective[row] == outcome.objective
            assert tuple(data.constraints[row]) == outcome.constraints
            assert data.metrics["train_seconds"][row] == outcome.metrics["train_seconds"]
        if outcome.error is not None:
            assert data.errors()[int(number)] == outcome.error


def test_a_resumed_study_continues_where_it_was(tmp_path: Path) -> None:
    events = list(fake_study.events(20))
    first = fake_study.create(tmp_path / "s")
    first.append(*events[:17])
    first.close("interrupted")
    second = fake_study.resume(tmp_path / "s")
    assert second.notices == ()
    second.append(*events[17:])
    second.close("complete")
    data = read(tmp_path / "s")
    assert list(data.events()) == events
    assert [span.closed.state for span in data.sessions if span.closed] == ["interrupted", "complete"]


def test_a_study_is_not_begun_twice(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "s", 2)
    with pytest.raises(RecordError, match="--resume"):
        fake_study.create(tmp_path / "s")


def test_a_study_that_was_not_begun_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no study"):
        fake_study.resume(tmp_path / "s")


def test_another_study_is_refused_by_name(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "s", 2)
    with pytest.raises(RecordError, match="holds the study 'fake', not 'other'"):
        fake_study.resume(tmp_path / "s", fake_study.config(study={"name": "other", "seed": 1}))
    assert not (tmp_path / "s" / "lock.json").exists()


def test_a_changed_configuration_is_refused_with_a_diff_unless_accepted(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "s", 2)
    changed = fake_study.config(optimizer={"name": "sobol", "initial": 12, "study": None})
    with pytest.raises(RecordError, match=r"(?s)-optimizer.name: scbo\n\+optimizer.name: sobol.*--accept-config"):
        fake_study.resume(tmp_path / "s", changed)
    record = fake_study.resume(tmp_path / "s", changed, accept_config=True)
    assert "sobol" in record.notices[0]
    record.close("complete")
    assert read(tmp_path / "s").config["optimizer"]["name"] == "sobol"


def test_budget_workers_and_record_may_change(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "s", 2)
    changed = fake_study.config(budget={"trials": 99}, workers={"gpus": 2}, record={"flush_every": 5.0})
    fake_study.resume(tmp_path / "s", changed).close("complete")
    assert read(tmp_path / "s").config["budget"] == {"trials": 99}


def test_another_search_space_is_never_accepted(tmp_path: Path) -> None:
    fake_study.written(tmp_path / "s", 2)
    space = dict(fake_study.CONFIG["space"])
    del space["norm"]
    with pytest.raises(RecordError, match="search space"):
        fake_study.resume(tmp_path / "s", fake_study.config(space=space), accept_config=True)


@pytest.mark.parametrize("again", ["asked", "ended"])
def test_a_trial_is_asked_once_and_ends_once(tmp_path: Path, again: str) -> None:
    record = fake_study.create(tmp_path / "s")
    asked = Asked(fake_study.trial(0), 1.0)
    ended = Ended(Outcome(0, State.LOST), 1, 2.0, 1.0)
    record.append(asked, Started(0, 1, 1.5), ended)
    with pytest.raises(RecordError, match=f"trial 0 was {again}"):
        record.append(asked if again == "asked" else ended)
    record.close("complete")
    assert len(list(read(tmp_path / "s").events())) == 3


def test_an_outcome_of_garbage_is_recorded_without_it(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    metrics = {"a/b": 1.0, "..": 2.0, "word": "x", "n\0": 4.0}
    curves = {"ragged": [[1.0], [2.0, 3.0]], "a/b": [1.0, 2.0]}
    outcome = Outcome(0, State.COMPLETED, {"accuracy": 0.5}, (-1.0, -1.0), metrics, curves)  # type: ignore[arg-type]
    record.append(Asked(fake_study.trial(0), 1.0), Ended(outcome, 1, 2.0, 1.0))
    record.close("complete")
    (tmp_path / "s" / "journal.jsonl").unlink()
    data = read(tmp_path / "s")
    assert {name: values[0] for name, values in data.metrics.items()} == {"a/b": 1.0, "..": 2.0, "n\0": 4.0}
    assert list(data.curves(0)) == ["a/b"]


def test_metrics_under_ever_new_names_do_not_fill_memory_and_file(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    for number in range(3):
        metrics = {"accuracy": 0.5} | {f"loss_{number}_{i}": 1.0 for i in range(MAX_METRICS)}
        outcome = Outcome(number, State.COMPLETED, {"accuracy": 0.5}, (-1.0, -1.0), metrics)
        record.append(Asked(fake_study.trial(number), 1.0), Ended(outcome, 1, 2.0, 1.0))
    record.close("interrupted")
    fake_study.resume(tmp_path / "s").close("complete")
    data = read(tmp_path / "s")
    assert len(data.metrics) == MAX_METRICS + 1
    assert data.metrics["accuracy"].tolist() == [0.5, 0.5, 0.5]
    assert data.metrics["metrics_cut"].tolist() == [1.0, MAX_METRICS, MAX_METRICS]


def test_news_of_running_trials_are_seen_only_while_the_run_goes_on(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    news = Progress(3, 1, 500, 1000, 0.4, {"excitatory": 0.02})
    record.progress(2, news)
    record._live_at = -1e9
    record.maintain()
    assert read(tmp_path / "s").progress == {2: news}
    record.close("complete")
    assert read(tmp_path / "s").progress == {}


def test_maintain_renews_the_snapshot_when_it_is_due(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s", flush_every_s=0.0)
    record._saver.wait()
    record.append(*fake_study.events(6))
    record._saver._pause_s = 0.0
    record.maintain()
    record._saver.wait()
    table, n_bytes = snapshot_module.load(tmp_path / "s" / "study.h5")
    assert table.n_trials == 6
    assert n_bytes == (tmp_path / "s" / "journal.jsonl").stat().st_size
    record.close("complete")


@pytest.mark.parametrize("fault", ["disk", "killed", "no process"])
def test_a_snapshot_that_fails_is_made_up_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    record = fake_study.create(tmp_path / "s", flush_every_s=0.0)
    record._saver.wait()
    record._saver._pause_s = 0.0
    record.append(*fake_study.events(6))
    in_the_way = tmp_path / "s" / "study.h5.new"
    in_the_way.mkdir()
    with monkeypatch.context() as patch:
        if fault == "no process":
            patch.setattr(subprocess, "Popen", mock.Mock(side_effect=OSError(errno.EAGAIN, "no more processes")))
        record.maintain()
    if fault == "killed":
        assert record._saver._process is not None
        record._saver._process.kill()
    record._saver.wait()
    said = {"disk": "Is a directory", "killed": "ended with code -9", "no process": "no more processes"}[fault]
    assert said in caplog.text and "the journal has everything" in caplog.text
    assert snapshot_module.load(tmp_path / "s" / "study.h5")[0].n_trials == 0
    in_the_way.rmdir()
    record.close("complete")
    assert (
        snapshot_module.load_curves(tmp_path / "s" / "study.h5", 0).keys()
        == fake_study.outcome(fake_study.trial(0)).curves.keys()
    )


def test_a_snapshot_goes_no_further_than_what_is_acknowledged(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    record._saver.wait()
    record.append(*list(fake_study.events(6))[:9])
    acknowledged = record._journal.n_bytes
    record.append(*list(fake_study.events(6))[9:])  # as if its fsync were not done: it may be cut back
    record._saver.start(acknowledged)
    record._saver.wait()
    table, n_bytes = snapshot_module.load(tmp_path / "s" / "study.h5")
    assert (table.n_events, n_bytes) == (10, acknowledged)
    record.close("complete")
    assert list(read(tmp_path / "s").events()) == list(fake_study.events(6))


def ignored(pid: int, number: int) -> bool:
    masks = re.search(r"SigIgn:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text())
    assert masks is not None
    return bool(int(masks[1], 16) >> (number - 1) & 1)


def test_whoever_saves_a_snapshot_ends_with_its_run_and_not_with_the_signals_to_the_job(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "study.h5")  # opening it for reading waits for a writer
    script = f"""
import sys, time
sys.path[:] = {sys.path!r}
from pathlib import Path
from snnhpo_mpi.record.saver import Saver
from snnhpo_mpi.record.journal import Journal
from snnhpo_mpi.record.entries import Header
folder = Path({str(tmp_path)!r})
saver = Saver(folder, 1.0)
saver.start(Journal.write_new(folder / "journal.jsonl", [Header("id", "name", (), 1.0)]).n_bytes)
print(saver._process.pid, flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        saving = psutil.Process(int(run.stdout.readline()))
        while not ignored(saving.pid, signal.SIGTERM):  # it is past its preparations
            time.sleep(0.02)
        saving.terminate()
        time.sleep(0.3)
        assert saving.is_running() and saving.status() != psutil.STATUS_ZOMBIE
        run.kill()
        saving.wait(20.0)


def test_a_snapshot_deleted_while_running_comes_back_complete(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    record.append(*list(fake_study.events(6))[:9])
    record._saver.start(record._journal.n_bytes)
    record._saver.wait()
    (tmp_path / "s" / "study.h5").unlink()
    record.append(*list(fake_study.events(6))[9:])
    record.close("complete")
    (tmp_path / "s" / "journal.jsonl").unlink()
    assert list(read(tmp_path / "s").events()) == list(fake_study.events(6))


def test_the_file_opens_with_plain_h5py_and_has_the_schema(tmp_path: Path) -> None:
    import h5py

    folder = fake_study.written(tmp_path / "s", 20)
    with h5py.File(folder / "study.h5", "r") as file:
        assert file.attrs["schema"] == 2 and file.attrs["name"] == "fake"
        assert json.loads(file.attrs["resolved_config"])["study"]["seed"] == 1
        assert file["trials/number"][:].tolist() == list(range(20))
        assert set(file["trials"]) >= {"number", "state", "rank", "seed", "x", "objective", "constraints", "asked_at"}
        decoders = file["trials/params/decoder"]
        choices = json.loads(decoders.attrs["choices"])
        assert choices == ["all", "vote", "2gram", 3]
        assert [choices[i] for i in decoders] == [fake_study.trial(n).params["decoder"] for n in range(20)]
        assert file["trials/constraints"].shape == (20, 2)
        assert file["optimizer/lengthscales"].shape == (20, fake_study.SPACE.dim)
        assert file["curves/0/train_accuracy"].ndim == 1


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import fake_study
from snnhpo_mpi.record import exists
folder = Path(sys.argv[1])
record = (fake_study.resume if exists(folder) else fake_study.create)(folder, flush_every_s=0.02)
done = len(list(record.read().events()))
events = list(fake_study.events(100))
print(done, flush=True)
for event in events[done:]:
    record.append(event)
    record.maintain()
    done += 1
    print(done, flush=True)
"""


def test_a_writer_killed_at_random_moments_loses_nothing_acknowledged(tmp_path: Path) -> None:
    events = list(fake_study.events(100))
    folder = tmp_path / "s"
    rng = np.random.default_rng(5)
    acknowledged = 0
    for _ in range(3):
        arguments = [sys.executable, "-c", WRITER, str(folder), str(Path(__file__).parents[1])]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first and int(first) >= acknowledged
            time.sleep(float(rng.uniform(0.0, 0.3)))
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split("\n")[:-1]
        acknowledged = max([acknowledged, *map(int, lines)])
        found = list(read(folder).events())
        assert len(found) >= acknowledged
        assert found == events[: len(found)]
        if (folder / "study.h5").exists():
            snapshot_module.load(folder / "study.h5")  # always whole
    assert acknowledged > 20


def test_a_run_whose_study_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    record = fake_study.create(tmp_path / "s")
    lock = json.loads((tmp_path / "s" / "lock.json").read_text()) | {"lock_id": "somebody else"}
    (tmp_path / "s" / "lock.json").write_text(json.dumps(lock))
    before = (tmp_path / "s" / "journal.jsonl").read_bytes()
    record._lock._renewed = -1e9  # stopped for long
    with pytest.raises(RecordError, match="has taken over"):
        record.append(Asked(fake_study.trial(0), 1.0))
    record.close("error")
    assert (tmp_path / "s" / "journal.jsonl").read_bytes() == before
    assert json.loads((tmp_path / "s" / "lock.json").read_text()) == lock


def test_an_append_interrupted_by_a_signal_leaves_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = fake_study.create(tmp_path / "s")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("snnhpo_mpi.record.journal.os.fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            record.append(Asked(fake_study.trial(0), 1.0))
    record.close("interrupted")
    data = read(tmp_path / "s")
    assert data.n_trials == 0 and data.notices == ()
    assert data.sessions[-1].closed is not None
