from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhpo_mpi import codec
from snnhpo_mpi.errors import RecordError
from snnhpo_mpi.record import journal
from snnhpo_mpi.record.entries import Closed, Header, Proposed, Session, WorkerSeen, from_json, to_json
from snnhpo_mpi.record.journal import Journal, format_line, scan
from snnhpo_mpi.trial import Asked, Ended, Interim, Outcome, Repeat, Repeated, Reported, Started, State, Trial

HEADER = Header("id", "name", ("c",), 1.5)
floats = st.floats(allow_nan=False)
outcomes = st.builds(
    Outcome,
    number=st.integers(0, 10**6),
    state=st.sampled_from(State),
    objectives=st.dictionaries(st.text(), floats, max_size=2),
    n_scored=st.none() | st.integers(0, 10**6),
    constraints=st.lists(floats, max_size=3).map(tuple),
    metrics=st.dictionaries(st.text(), floats, max_size=3),
    curves=st.dictionaries(st.text(), st.lists(floats, max_size=4), max_size=2),
    error=st.none() | st.text(),
)


@given(outcomes, floats)
def test_an_outcome_read_back_is_equal_bit_for_bit(outcome: Outcome, at: float) -> None:
    ended = Ended(outcome, 3, at, 2.5)
    assert from_json(format_line(7, ended)) == ended


def test_every_kind_of_entry_is_read_back() -> None:
    asked = Asked(Trial(4, {"a": 1, "b": 0.1, "c": "x"}, 99), 2.0, {"length": 0.8, "lengthscales": [0.1, 0.2]}, 3)
    kinds = (
        HEADER,
        Session(1.0, "study: {}\n", {"study": {"name": "name"}}, {"host": "h"}),
        WorkerSeen(1, "h", "cpu", 1.0),
        Proposed(asked, (0.25, 0.5)),
        Started(4, 1, 3.0),
        Reported(Interim(4, 32, 1.5, 0.25, 20, {"output": 0.1}, {"output": 3.0}), 1, 4.0),
        Reported(Interim(4, 32, 1.5), 1, 4.0),
        Repeated(Repeat(4, 7, "test", 0.5, 10_000), 1, 5.0, 2.5),
        Closed("complete", 9.0),
    )
    for entry in kinds:
        assert from_json(codec.write(to_json(entry))) == entry


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    ended = Ended(Outcome(0, State.COMPLETED, {"accuracy": 0.5}, metrics={"a": math.inf, "b": math.nan}), 1, 1.0, 1.0)
    Journal.write_new(tmp_path / "j", [ended]).close()
    (line,) = scan(tmp_path / "j")
    read = line.entry()
    assert isinstance(read, Ended)
    assert read.outcome.metrics["a"] == math.inf and math.isnan(read.outcome.metrics["b"])


@given(st.data())
def test_any_flipped_bit_is_noticed(data: st.DataObject) -> None:
    text = format_line(3, Started(5, 2, 1.25))[:-1]
    position, bit = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 7))
    flipped = bytearray(text)
    flipped[position] ^= 1 << bit
    assert journal._checked_number(text) == 3
    assert journal._checked_number(bytes(flipped)) is None


@given(st.binary())
def test_no_garbage_passes_for_a_line(text: bytes) -> None:
    assert journal._checked_number(text) is None


def test_lines_are_numbered_through_and_tell_their_place(tmp_path: Path) -> None:
    lines = Journal.write_new(tmp_path / "j", [HEADER])
    lines.append([Started(0, 1, 1.0), Started(1, 2, 1.0)])
    lines.append([Started(2, 1, 2.0)])
    lines.close()
    found = list(scan(tmp_path / "j"))
    assert [line.n for line in found] == [0, 1, 2, 3]
    assert not any(line.torn for line in found)
    assert found[-1].end == (tmp_path / "j").stat().st_size
    assert [line.entry() for line in scan(tmp_path / "j", found[2].start)] == [Started(1, 2, 1.0), Started(2, 1, 2.0)]


def test_a_last_line_without_its_end_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "j"
    Journal.write_new(path, [HEADER, Started(0, 1, 1.0)]).close()
    path.write_bytes(path.read_bytes()[:-9])
    whole, torn = scan(path)
    assert (whole.n, whole.torn) == (0, False)
    assert (torn.n, torn.torn) == (None, True)


def test_a_full_disk_leaves_whole_lines_and_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j"
    lines = Journal.write_new(path, [HEADER])
    before = path.read_bytes()
    real = os.write

    def half(fd: int, data: memoryview) -> int:
        if len(data) < 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(RecordError, match=r"No space left.*--resume"):
            lines.append([Started(0, 1, 1.0)])
    assert path.read_bytes() == before
    lines.append([Started(0, 1, 1.0)])  # there is room again
    assert [line.n for line in scan(path)] == [0, 1]


def test_an_overlong_error_loses_its_middle() -> None:
    error = "begin" + "x" * 50_000 + "end"
    ended = from_json(format_line(1, Ended(Outcome(0, State.FAILED, error=error), 1, 1.0, 1.0)))
    assert isinstance(ended, Ended) and ended.outcome.error is not None
    assert len(ended.outcome.error) < 21_000
    assert ended.outcome.error.startswith("begin") and ended.outcome.error.endswith("end")
    assert "characters left out" in ended.outcome.error


def test_a_line_of_a_later_version_is_refused_with_its_number(tmp_path: Path) -> None:
    Journal.write_new(tmp_path / "j", [HEADER]).close()
    (line,) = scan(tmp_path / "j")
    strange = type(line)(line.text.replace(b'"study"', b'"stady"'), 0, line.end, 0)
    with pytest.raises(RecordError, match=r"line 0 of journal.jsonl"):
        strange.entry()


def test_a_line_of_schema_1_with_half_a_surrogate_pair_is_read() -> None:
    """Python's json wrote it as an escape, which other readers of JSON refuse."""
    line = (
        b'{"n":5,"kind":"ended","number":0,"state":"failed","objective":null,"constraints":[],"metrics":{},'
        b'"curves":{},"error":"no file \\udcff","rank":1,"at":2.0,"seconds":0.5}'
    )
    assert from_json(line) == Ended(Outcome(0, State.FAILED, error="no file ?"), 1, 2.0, 0.5)


def test_numbers_of_numpy_are_recorded_as_plain_ones() -> None:
    curves = {"flat": np.array([0.5, np.nan]), "rows": np.eye(2, dtype=np.float32)}
    metrics = {"a": np.float32(0.5), "b": np.int64(3)}
    ended = from_json(
        format_line(1, Ended(Outcome(0, State.COMPLETED, {"accuracy": 0.5}, (), metrics, curves), 1, 1.0, 1.0))
    )  # type: ignore[arg-type]
    assert isinstance(ended, Ended)
    assert ended.outcome.metrics == {"a": 0.5, "b": 3.0}
    assert ended.outcome.curves["rows"] == [[1.0, 0.0], [0.0, 1.0]]
    assert ended.outcome.curves["flat"][0] == 0.5 and math.isnan(ended.outcome.curves["flat"][1])  # type: ignore[arg-type]


def test_what_a_line_lacks_or_has_of_another_type_is_said() -> None:
    for line, said in [
        (b'{"n":1,"kind":"started","number":1,"rank":2}', "at: Field required"),
        (b'{"n":1,"kind":"started","number":true,"rank":2,"at":1.0}', "number: Input should be a valid integer"),
        (b'{"n":1,"kind":"begun"}', "unknown kind of entry 'begun'"),
    ]:
        with pytest.raises(ValueError, match=said):
            from_json(line)
