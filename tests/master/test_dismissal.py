import time

from snnhpo_mpi.comm.messages import Beat, Goodbye, Hello, Stop, Stopped, decode, encode
from snnhpo_mpi.comm.transport import local_transports
from snnhpo_mpi.master.dismissal import dismiss


def _said(end):
    said = []
    while (received := end.receive()) is not None:
        said.append(decode(received[1]))
    return said


def test_every_worker_is_told_and_a_second_time_nobody():
    master, first, second = local_transports(3)
    for end in (first, second):
        end.send(0, encode(Hello("node", 1)))
        end.send(0, encode(Stopped()))
    dismiss(master, 75)
    assert _said(first) == _said(second) == [Stop(75)]
    assert master.peers == set()
    dismiss(master, 75)
    assert _said(first) == []


def test_what_comes_before_the_answer_is_handed_on():
    master, first, _ = local_transports(3)
    master.peers.discard(2)
    for message in (Beat(None), Goodbye("no GPU"), Stopped()):
        first.send(0, encode(message))
    heard = []
    dismiss(master, 0, handle=lambda rank, data: heard.append((rank, decode(data))))
    assert heard == [(1, Beat(None)), (1, Goodbye("no GPU"))]


def test_it_waits_no_longer_than_told_and_not_for_the_lost(caplog):
    master, _, second = local_transports(3)
    second.send(0, encode(Stopped()))
    dismiss(master, 0, timeout_s=0.05)
    assert master.peers == {1}
    assert "no answer from ranks [1]" in caplog.text
    began = time.monotonic()
    dismiss(master, 0, timeout_s=60.0, lost={1})
    assert time.monotonic() - began < 30.0
