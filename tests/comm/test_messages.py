import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhpo_mpi.comm.messages import (
    MESSAGE_LIMIT,
    Beat,
    Goodbye,
    Hello,
    MessageError,
    Prune,
    Reached,
    Ready,
    Report,
    Result,
    Run,
    Stop,
    Stopped,
    Welcome,
    decode,
    encode,
)
from snnhpo_mpi.trial import Interim, Outcome, Progress, State, Trial

names = st.text(max_size=20)
floats = st.floats(allow_nan=False)
outcomes = st.builds(
    Outcome,
    number=st.integers(0, 10**6),
    state=st.sampled_from(State),
    objectives=st.dictionaries(names, floats, max_size=2),
    n_scored=st.none() | st.integers(0, 10**6),
    constraints=st.lists(floats, max_size=3).map(tuple),
    metrics=st.dictionaries(names, floats, max_size=3),
    curves=st.dictionaries(names, st.lists(floats) | st.lists(st.lists(floats, min_size=2, max_size=2)), max_size=3),
    error=st.none() | names,
)
trials = st.builds(
    Trial,
    number=st.integers(0, 10**6),
    params=st.dictionaries(names, floats | st.integers() | names, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
interims = st.builds(
    Interim,
    number=st.integers(0),
    position=st.integers(0),
    seconds=floats,
    score=st.none() | floats,
    n_scored=st.none() | st.integers(0),
    silent_rate=st.dictionaries(names, floats, max_size=2),
    spikes=st.dictionaries(names, floats, max_size=2),
)
progresses = st.builds(
    Progress,
    number=st.integers(0),
    epoch=st.integers(1),
    n_samples=st.integers(0),
    n_samples_planned=st.integers(0),
    accuracy=st.none() | floats,
    silent_rate=st.dictionaries(names, floats, max_size=2),
)
messages = st.one_of(
    st.builds(Hello, names, st.integers(0)),
    st.builds(Welcome, names, floats),
    st.builds(Ready, names),
    st.builds(Run, trials),
    st.builds(Prune, st.integers(0), st.integers(0)),
    st.builds(Report, progresses),
    st.builds(Reached, interims),
    st.builds(Result, outcomes, floats, st.booleans()),
    st.builds(Beat, st.none() | st.integers(0)),
    st.builds(Goodbye, names),
    st.builds(Stop, st.integers(0, 255)),
    st.builds(Stopped),
)


@given(messages)
def test_every_message_comes_back_equal_and_as_one_line(message):
    data = encode(message)
    assert decode(data) == message
    assert b"\n" not in data


def test_white_space_around_a_message_does_not_matter():
    """Lines come with their newline."""
    assert decode(encode(Beat(3)) + b"\n") == decode(b' { "Beat" : {"running": 3} }\r\n') == Beat(3)


@given(st.floats())
def test_floats_come_back_bit_by_bit(value):
    back = decode(encode(Result(Outcome(0, State.COMPLETED, objectives={"accuracy": value}), 1.0))).outcome.objective
    assert math.isnan(back) if math.isnan(value) else struct.pack("d", back) == struct.pack("d", value)


@pytest.mark.parametrize("text", ["9" * 400, "C:\\udder", "\\ud800 " + "[" * 300])
def test_text_that_looks_like_odd_json_is_text(text):
    assert decode(encode(Goodbye(text))) == Goodbye(text)


def test_whole_numbers_stay_whole_and_floats_stay_floats():
    params = decode(encode(Run(Trial(3, {"epochs": 2, "rate": 2.0, "big": 2**60, "decoder": "all"}, 7)))).trial.params
    assert [type(value) for value in params.values()] == [int, float, int, str]
    assert params["big"] == 2**60


def test_text_that_utf_8_cannot_hold_is_sent_all_the_same():
    assert decode(encode(Goodbye("no file \udcff\u00e9"))).reason == "no file ?\u00e9"


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_message_error(data):
    with pytest.raises(MessageError):
        decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(message=messages, value=json_values, data=st.data())
def test_a_field_of_any_other_type_gives_a_message_or_a_message_error(message, value, data):
    ((name, body),) = json.loads(encode(message)).items()
    if body:
        body[data.draw(st.sampled_from(sorted(body)))] = value
    changed = json.dumps({name: body}).encode()
    try:
        assert type(decode(changed)) is type(message)
    except MessageError as error:
        assert "not a message" in str(error)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"Run": 1, "Stop": 2}',
        b'{"Unknown": {}}',
        b'{"Stop": {"exit_code": true}}',
        b'{"Stop": {"exit_code": 1.5}}',
        b" " * (MESSAGE_LIMIT + 1),
        b'{"Beat": {"running": ' + b"9" * 10_000 + b"}}",
    ],
)
def test_hostile_bytes_are_refused(data):
    with pytest.raises(MessageError):
        decode(data)


def test_a_message_over_the_limit_is_not_sent():
    with pytest.raises(MessageError, match="limit"):
        encode(Welcome("x" * MESSAGE_LIMIT, 5.0))


def test_what_is_not_plain_data_is_not_sent():
    with pytest.raises(MessageError, match="object is not plain data"):
        encode(Welcome(object(), 5.0))
