import importlib.util
import struct
from pathlib import Path

import pytest

from snnhpo_mpi.errors import ConfigError
from snnhpo_mpi.progress import Tally
from snnhpo_mpi.scalars import Scalars, require_package
from snnhpo_mpi.trial import Asked, Ended, Outcome, State, Trial


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
        Ended(Outcome(0, State.COMPLETED, 0.75, (-0.125,), {"train_accuracy": 0.5}), 1, 20.0, 16.0),
        Ended(Outcome(1, State.STOPPED, 0.25, (0.5,)), 2, 21.0, 2.0),
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


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install tensorboardX"):
        require_package()
